"""Answering: each distinct call once, kept before it is read, within the cap."""

import time
from contextlib import closing

import pytest

from language_models.answering import Counts, answer_all
from language_models.ledger import Ledger
from schemas.errors import BudgetError, EngineError
from schemas.run import Llm
from tests.support.prompts import make_prompt
from tests.support.scripted_engine import ScriptedEngine

FREE = Llm(concurrency=2)
# one call: an input of 0.0 and at most 100 output tokens at 0.01 dollars each = 1 dollar reserved
PAID = Llm(engine="openai", model="m", max_output_tokens=100, usd_per_million_output=10_000.0, concurrency=4)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        yield ledger


def said(prompt):
    return f"about {prompt.id}"


def test_every_prompt_gets_its_answer_and_equal_ones_are_asked_once(ledger):
    engine, counts = ScriptedEngine(said), Counts()
    prompts = [make_prompt(str(n)) for n in range(300)] + [make_prompt("twin", make_prompt("5").user)] * 400
    answers = [(p.id, c.text) for p, c in answer_all(prompts, engine, ledger, FREE, counts)]
    assert sorted(answers) == sorted([(str(n), f"about {n}") for n in range(300)] + [("twin", "about 5")] * 400)
    assert (counts.asked, counts.cached) == (300, 400)
    assert len(engine.calls) == 300
    assert (counts.input_tokens, counts.output_tokens) == (3000, 1500)


def test_a_second_pass_asks_nothing(ledger):
    prompts = [make_prompt(str(n)) for n in range(20)]
    first = {p.id: c for p, c in answer_all(prompts, ScriptedEngine(said), ledger, FREE)}
    engine, counts = ScriptedEngine(said), Counts()
    second = {p.id: c for p, c in answer_all(prompts, engine, ledger, FREE, counts)}
    assert first == second
    assert engine.calls == []
    assert (counts.asked, counts.cached) == (0, 20)


def test_an_answer_is_in_the_ledger_before_it_is_read(ledger):
    engine = ScriptedEngine(said)
    with closing(answer_all([make_prompt(str(n)) for n in range(50)], engine, ledger, FREE)) as answers:
        for prompt, completion in answers:
            assert ledger.known([engine.key(prompt)]) == {completion.key: completion}


def test_an_early_stop_keeps_what_came_back_and_frees_the_rest(ledger, tmp_path):
    engine = ScriptedEngine(lambda prompt: time.sleep(0.01) or "text")
    prompts = [make_prompt(str(n)) for n in range(60)]
    with closing(answer_all(prompts, engine, ledger, FREE)) as answers:
        next(answers)
    assert 0 < len(engine.calls) < 60
    assert len(ledger.known(map(engine.key, prompts))) == len(engine.calls)
    assert ledger.reserved() == 0.0


def test_a_failed_call_is_not_repeated_in_one_run_but_in_the_next(ledger):
    engine = ScriptedEngine(lambda prompt: ("down", "error:server"))
    prompts = [make_prompt("1")] * 1200
    assert {c.finish_reason for _, c in answer_all(prompts, engine, ledger, FREE)} == {"error:server"}
    assert len(engine.calls) == 1
    list(answer_all(prompts, engine, ledger, FREE))
    assert len(engine.calls) == 2


def test_an_engine_that_stops_keeps_the_answers_before(ledger):
    engine = ScriptedEngine(lambda prompt: EngineError("no quota") if prompt.id == "7" else "text")
    prompts = [make_prompt(str(n)) for n in range(20)]
    with pytest.raises(EngineError, match="no quota"):
        list(answer_all(prompts, engine, ledger, FREE))
    assert len(ledger.known(map(engine.key, prompts))) == 7
    assert ledger.reserved() == 0.0


def test_the_cap_is_reached_and_never_passed(ledger):
    llm = PAID.model_copy(update={"max_cost_usd": 5.0})
    engine, counts = ScriptedEngine(said, cost_usd=0.5), Counts()
    prompts = [make_prompt(str(n)) for n in range(40)]
    with pytest.raises(BudgetError, match=r"spent \$4\.5000.*cap of \$5\.0.*--max-cost") as raised:
        list(answer_all(prompts, engine, ledger, llm, counts))
    assert raised.value.exit_code == 4
    assert counts.asked == len(engine.calls) == 9, "4.5 spent; one more could have made it 5.5"
    assert ledger.spent() == pytest.approx(4.5)

    more = PAID.model_copy(update={"max_cost_usd": 100.0})
    list(answer_all(prompts, engine, ledger, more))
    assert len(engine.calls) == 40, "the second run continued from the nine answers"


def test_progress_sees_the_counts_grow(ledger):
    seen = []
    prompts = [make_prompt(str(n)) for n in range(10)]
    list(answer_all(prompts, ScriptedEngine(said), ledger, FREE, progress=lambda counts: seen.append(counts.asked)))
    assert seen[-1] == 10
    assert seen == sorted(seen)


def test_an_engine_that_forgets_a_prompt_is_found_out(ledger):
    class Forgetful(ScriptedEngine):
        def answer(self, prompts):
            return super().answer(prompt for prompt in prompts if prompt.id != "3")

    with pytest.raises(EngineError, match="1 never came"):
        list(answer_all([make_prompt(str(n)) for n in range(5)], Forgetful(said), ledger, FREE))
