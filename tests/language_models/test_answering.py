"""Answering: each distinct call once, kept before it is judged, follow-ups as turns of it, within the cap."""

import os
import signal
import subprocess
import sys
from functools import partial

import pytest

from language_models.answering import answer_all
from language_models.inquiry import Counts
from language_models.judging import Question
from language_models.ledger import Ledger
from schemas.errors import BudgetError, EngineError, StopError
from schemas.sections import Llm
from tests.support.prompts import make_prompt, make_question
from tests.support.scripted_engine import ScriptedEngine

FREE = Llm(concurrency=2)
# one call: input at no cost and at most 100 output tokens at 0.01 dollars each = 1 dollar reserved
PRICES = {"usd_per_million_input": 0.0, "usd_per_million_output": 10_000.0}
PAID = Llm(engine="openai", model="m", max_output_tokens=100, **PRICES)


@pytest.fixture
def ledger(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        yield ledger


def said(prompt):
    return f"about {prompt.id}"


def texts(ledger, engine, ids):
    keys = {engine.key(make_prompt(id)): id for id in ids}
    return {keys[key]: [answer.text for answer in answers] for key, answers in ledger.answers(keys).items()}


def questions(count):
    return [make_question(str(n)) for n in range(count)]


def test_every_question_gets_its_answer_and_equal_ones_are_asked_once(ledger):
    engine, counts = ScriptedEngine(said), Counts()
    twins = [make_question("twin", make_prompt("5").user)] * 700
    answer_all([*questions(300), *twins], engine, ledger, FREE, counts)
    assert texts(ledger, engine, map(str, range(300))) == {str(n): [f"about {n}"] for n in range(300)}
    assert (counts.asked, counts.cached) == (300, 700)
    assert len(engine.calls) == 300
    assert (counts.input_tokens, counts.output_tokens) == (3000, 1500)
    assert set(ledger.settled(map(engine.key, map(make_prompt, map(str, range(300))))).values()) == {"parsed"}


def test_a_second_pass_asks_nothing(ledger):
    answer_all(questions(20), ScriptedEngine(said), ledger, FREE)
    engine = ScriptedEngine(said)
    counts = answer_all(questions(20), engine, ledger, FREE)
    assert engine.calls == []
    assert (counts.asked, counts.cached) == (0, 20)


def test_an_answer_is_in_the_ledger_before_it_is_judged(ledger):
    engine, seen = ScriptedEngine(said), []

    def check(id, text):
        seen.append(texts(ledger, engine, [id]) == {id: [text]})

    asked = [make_question(str(n)) for n in range(50)]
    answer_all([Question(q.prompt, partial(check, q.prompt.id)) for q in asked], engine, ledger, FREE)
    assert seen == [True] * 50


def test_an_unreadable_answer_is_asked_again_once_and_then_rejected(ledger):
    engine = ScriptedEngine(lambda prompt: "bad" if prompt.id == "1" or not prompt.turn else "good")
    counts = answer_all(questions(3), engine, ledger, FREE)
    assert engine.calls == ["0", "1", "2", "0", "1", "2"]
    assert (counts.asked, counts.follow_ups, counts.rejected, counts.reasons) == (3, 3, 1, {"schema": 1})
    assert texts(ledger, engine, "01") == {"0": ["bad", "good"], "1": ["bad", "bad"]}
    again = answer_all(questions(3), engine, ledger, FREE)
    assert (again.asked, again.cached) == (0, 3), "a rejected answer is not paid for again"


def test_a_cut_off_answer_is_asked_for_again_with_twice_the_room(ledger):
    rooms = []
    cut = ("cut", "length")
    engine = ScriptedEngine(lambda prompt: rooms.append(prompt.room) or ("good" if prompt.turn else cut))
    counts = answer_all(questions(1), engine, ledger, FREE)
    assert rooms == [1, 2]
    assert (counts.asked, counts.follow_ups, counts.rejected) == (1, 1, 0)


def test_a_follow_up_that_a_stop_prevented_is_asked_by_the_next_run(ledger):
    down = ScriptedEngine(lambda prompt: EngineError("no quota") if prompt.turn else "bad")
    with pytest.raises(EngineError, match="no quota"):
        answer_all(questions(2), down, ledger, FREE)
    engine = ScriptedEngine(said)
    counts = answer_all(questions(2), engine, ledger, FREE)
    assert engine.calls == ["0", "1"]
    assert (counts.asked, counts.follow_ups) == (0, 2)


def test_a_failed_call_is_not_repeated_in_one_run_but_in_the_next(ledger):
    engine = ScriptedEngine(lambda prompt: ("down", "error:server"))
    counts = answer_all([make_question("1")] * 1200, engine, ledger, FREE)
    assert (len(engine.calls), counts.asked, counts.failed, counts.cached) == (1, 1, 1, 1199)
    key = engine.key(make_prompt("1"))
    assert ledger.settled([key]) == {}
    assert ledger.failures([key])[key].finish_reason == "error:server"
    answer_all([make_question("1")], engine, ledger, FREE)
    assert len(engine.calls) == 2


def test_a_call_that_got_lost_is_sent_again_and_what_it_may_have_cost_is_counted(ledger):
    lost = iter(["timeout", "timeout"])
    engine = ScriptedEngine(lambda prompt: ("", f"unknown:{reason}") if (reason := next(lost, None)) else "good")
    counts = answer_all(questions(1), engine, ledger, PAID)
    assert len(engine.calls) == 3
    assert (counts.asked, counts.unknown) == (1, 2)
    assert ledger.totals().unknown == 2
    assert ledger.totals().possible_usd == pytest.approx(2.0, rel=0.2)


def test_a_call_that_always_gets_lost_is_given_up_after_the_attempts_of_the_run_file(ledger):
    engine = ScriptedEngine(lambda prompt: ("", "unknown:timeout"))
    counts = answer_all(questions(1), engine, ledger, FREE.model_copy(update={"attempts": 3}))
    assert (len(engine.calls), counts.unknown, counts.failed, counts.reasons) == (3, 3, 1, {"error:timeout": 1})


def test_an_engine_that_stops_keeps_the_answers_before(ledger):
    engine = ScriptedEngine(lambda prompt: EngineError("no quota") if prompt.id == "7" else "text")
    with pytest.raises(EngineError, match="no quota"):
        answer_all(questions(20), engine, ledger, FREE)
    assert len(texts(ledger, engine, map(str, range(20)))) == 7
    assert ledger.totals().reserved_usd == 0.0


def test_a_stop_request_keeps_what_came_and_frees_the_rest(ledger):
    def answer(prompt):
        if prompt.id == "5":
            os.kill(os.getpid(), signal.SIGTERM)
        return "text"

    engine, before = ScriptedEngine(answer), signal.getsignal(signal.SIGTERM)
    with pytest.raises(StopError, match="run the same command again"):
        answer_all(questions(60), engine, ledger, PAID)
    assert engine.calls == [str(n) for n in range(6)]
    assert len(texts(ledger, engine, map(str, range(60)))) == 6
    assert ledger.totals().reserved_usd == 0.0
    assert signal.getsignal(signal.SIGTERM) == before, "the handler before is back"


def test_the_cap_is_reached_and_never_passed(ledger):
    llm = PAID.model_copy(update={"max_cost_usd": 5.0})
    engine, counts = ScriptedEngine(said, cost_usd=0.5), Counts()
    with pytest.raises(BudgetError, match=r"spent \$4\.5000.*cap of \$5\.0.*--max-cost") as raised:
        answer_all(questions(40), engine, ledger, llm, counts)
    assert raised.value.exit_code == 4
    assert counts.asked == len(engine.calls) == 9, "4.5 spent; one more could have made it 5.5"
    assert ledger.totals().spent_usd == pytest.approx(4.5)

    answer_all(questions(40), engine, ledger, PAID.model_copy(update={"max_cost_usd": 100.0}))
    assert len(engine.calls) == 40, "the second run continued from the nine answers"


def test_progress_sees_the_counts_grow(ledger):
    seen = []
    answer_all(questions(10), ScriptedEngine(said), ledger, FREE, progress=lambda counts: seen.append(counts.done))
    assert seen[-1] == 10
    assert seen == sorted(seen)


def test_an_engine_that_forgets_a_prompt_is_found_out(ledger):
    class Forgetful(ScriptedEngine):
        def answer(self, prompts):
            return super().answer(prompt for prompt in prompts if prompt.id != "3")

    with pytest.raises(EngineError, match="1 never came"):
        answer_all(questions(5), Forgetful(said), ledger, FREE)


def test_what_a_dead_worker_had_leased_is_asked_again(tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from language_models.answering import answer_all
from language_models.ledger import Ledger
from schemas.sections import Llm
from tests.support.prompts import make_question
from tests.support.scripted_engine import ScriptedEngine
engine = ScriptedEngine(lambda prompt: os.kill(os.getpid(), signal.SIGKILL) if prompt.id == "3" else "text")
answer_all([make_question(str(n)) for n in range(9)], engine, Ledger(Path({str(tmp_path / "ledger.db")!r})), Llm())
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    with Ledger(tmp_path / "ledger.db") as ledger:
        engine = ScriptedEngine(said)
        counts = answer_all(questions(9), engine, ledger, FREE)
        assert sorted(engine.calls) == [str(n) for n in range(9)]
        assert counts.asked == 9
        assert ledger.totals().unknown == 0, "a local engine is not paid"
