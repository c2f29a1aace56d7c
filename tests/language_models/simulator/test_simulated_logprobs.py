"""First tokens at the simulated endpoint, through our engine, its ledger and the Batch API, and a planted bias."""

from __future__ import annotations

import json
import math

import openai
import pytest

from language_models.answering import answer_all
from language_models.batch import answer_batches
from language_models.engines import make_engine
from language_models.engines.offline import OfflineEngine
from language_models.first_token import read_first_token
from language_models.ledger import Ledger
from schemas.sections import Llm
from tests.language_models.simulator.asking import client
from tests.support.choices import CHOICE, COOKING, GOTHIC, LETTERS, SEA, asked, choice_prompt, shown, verdict_prompt

PROMPTS = [choice_prompt(COOKING, SEA, GOTHIC), verdict_prompt(GOTHIC), verdict_prompt(COOKING)]


def settings(sim, **changes):
    return Llm(engine="openai", model="simulated", base_url=sim.url, **changes)


def answers(sim, tmp_path, prompts=PROMPTS, **changes):
    """What the ledger has after a run, in the order of the prompts."""
    llm = settings(sim, **changes)
    engine = make_engine(llm)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        if llm.mode == "batch":
            answer_batches(lambda: map(asked, prompts), engine, ledger, llm)
        else:
            answer_all(map(asked, prompts), engine, ledger, llm)
        kept = ledger.answers([engine.key(prompt) for prompt in prompts])
    return [kept[engine.key(prompt)][-1] for prompt in prompts]


def body(**changes):
    messages = [{"role": "system", "content": CHOICE}, {"role": "user", "content": shown(COOKING, GOTHIC)}]
    return {"model": "m", "messages": messages, "max_completion_tokens": 1, **changes}


@pytest.mark.parametrize("mode", ["online", "batch"])
def test_the_likeliest_tokens_come_with_the_answer_and_agree_with_the_offline_writer(sim, tmp_path, mode):
    completions = answers(sim, tmp_path, mode=mode, batch_poll_s=0.03)
    firsts = [read_first_token(completion.text) for completion in completions]
    assert [first.answer for first in firsts] == ["C", "Yes", "No"]
    offline = OfflineEngine(Llm()).answer(PROMPTS)
    assert [read_first_token(completion.text).answer for completion in offline] == ["C", "Yes", "No"]
    assert list(firsts[0].of(LETTERS)) == list(LETTERS)
    assert firsts[0].of(LETTERS)["B"] > firsts[0].of(LETTERS)["A"], "the horror at sea is nearer than the cookery book"
    for first, completion in zip(firsts, completions, strict=True):
        assert max(first.logprobs, key=first.logprobs.get) == first.answer
        assert 0.9 < sum(map(math.exp, first.logprobs.values())) <= 1.001
        assert (completion.finish_reason, completion.output_tokens) == ("stop", 1)
    assert sim.stats()["paid"] == 3


def test_an_endpoint_that_gives_none_leaves_the_answer(sim, tmp_path):
    sim.change({"logprobs": "ignored"})
    firsts = [read_first_token(completion.text) for completion in answers(sim, tmp_path)]
    assert [(first.answer, first.logprobs) for first in firsts] == [("C", {}), ("Yes", {}), ("No", {})]


def test_an_endpoint_that_refuses_to_give_them_is_asked_for_the_token_alone(sim, tmp_path):
    sim.change({"logprobs": "refused"})
    firsts = [read_first_token(completion.text) for completion in answers(sim, tmp_path, concurrency=1)]
    assert [(first.answer, first.logprobs) for first in firsts] == [("C", {}), ("Yes", {}), ("No", {})]
    stats = sim.stats()
    assert stats["paid"] == 3
    assert stats["requests"] == 4, "it is refused once, and asked without from then on"


def test_a_first_token_teaches_nothing_about_response_formats(sim, tmp_path):
    async def format_after(engine):
        async with engine.connect() as connection:
            await connection.send(PROMPTS[0])
            return connection.format

    import asyncio

    assert asyncio.run(format_after(make_engine(settings(sim)))) is None


def test_a_wrong_word_is_asked_for_once_more(sim, tmp_path):
    sim.change({"wrong_schema": 1.0})
    [completion] = answers(sim, tmp_path, PROMPTS[:1])
    assert completion.turn == 1
    assert read_first_token(completion.text).answer == "C"
    assert sim.stats()["paid"] == 2


def test_the_order_shown_decides_where_the_bias_is_planted(sim, tmp_path):
    sim.change({"position_bias": 1.0})
    orders = [choice_prompt(COOKING, SEA, GOTHIC), choice_prompt(GOTHIC, COOKING, SEA), verdict_prompt(COOKING)]
    firsts = [read_first_token(completion.text) for completion in answers(sim, tmp_path, orders)]
    assert [first.answer for first in firsts] == ["A", "A", "No"], "one candidate has no position"
    assert math.exp(firsts[0].of(LETTERS)["A"]) > 0.9
    schema = {"type": "object", "properties": {"ranking": {"type": "array", "items": {"enum": list(LETTERS)}}}}
    strict = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}
    whole = body(response_format=strict, max_completion_tokens=100)
    assert json.loads(content(sim, whole)) == {"ranking": ["A", "B"]}
    sim.change({"position_bias": 0.0})
    assert json.loads(content(sim, whole)) == {"ranking": ["B", "A"]}


def test_the_bias_strikes_its_share_of_questions_the_same_ones_every_time(sim, tmp_path):
    sim.change({"position_bias": 0.5})
    prompts = [choice_prompt(COOKING, {**GOTHIC, "title": f"Gothic horror {number}"}) for number in range(60)]
    said = [read_first_token(completion.text).answer for completion in answers(sim, tmp_path, prompts)]
    assert 18 < said.count("A") < 42
    assert set(said) == {"A", "B"}
    again = tmp_path / "again"
    again.mkdir()
    assert said == [read_first_token(completion.text).answer for completion in answers(sim, again, prompts)]


def content(sim, request):
    return client(sim).chat.completions.create(**request).choices[0].message.content


@pytest.mark.parametrize("form", ["json_object", "text"])
def test_a_ranking_is_understood_without_a_schema(sim, form):
    request = body(response_format={"type": form}, max_completion_tokens=100)
    request["messages"][0]["content"] = 'Rank the candidates. Answer with a JSON object with the key "ranking".'
    assert json.loads(content(sim, request)) == {"ranking": ["B", "A"]}
    request["messages"][0]["content"] = 'Answer with a JSON object with the key "answer": "Yes" or "No".'
    assert json.loads(content(sim, request))["answer"] in ("Yes", "No")


def test_as_many_tokens_come_as_are_asked_for(sim):
    first = client(sim).chat.completions.create(**body(logprobs=True, top_logprobs=2)).choices[0]
    assert first.finish_reason == "length"
    [written] = first.logprobs.content
    assert (written.token, bytes(written.bytes)) == ("B", b"B")
    assert [entry.token for entry in written.top_logprobs] == ["B", "A"]
    alone = client(sim).chat.completions.create(**body(logprobs=True)).choices[0]
    assert alone.logprobs.content[0].top_logprobs == []
    assert client(sim).chat.completions.create(**body()).choices[0].logprobs is None


@pytest.mark.parametrize("wrong", [{"top_logprobs": 21}, {"top_logprobs": -1}, {"top_logprobs": 5, "logprobs": None}])
def test_what_openai_refuses_is_refused(sim, wrong):
    with pytest.raises(openai.BadRequestError, match="top_logprobs"):
        client(sim).chat.completions.create(**body(**{"logprobs": True, **wrong}))
