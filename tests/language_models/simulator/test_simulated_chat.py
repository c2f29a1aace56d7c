"""The chat endpoint as the real client sees it, and what /stats says was paid."""

from __future__ import annotations

import asyncio
import hashlib
import json

import openai
import pytest

from language_models.simulator.asked import request_id
from tests.language_models.simulator.asking import SCHEMA, ask, body, client, post
from tests.support.simulator import simulator


def test_an_answer_fits_the_schema_and_speaks_of_the_prompts_own_book(sim):
    answer = ask(sim, "The Grey Harbour")
    said = json.loads(answer.choices[0].message.content)
    assert sorted(said) == sorted(SCHEMA["properties"])
    assert "Grey Harbour" in said["summarization"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 50


def test_the_async_client_with_its_aiohttp_transport_is_served(sim):
    async def all_of_them():
        http = openai.DefaultAioHttpClient()
        async with openai.AsyncOpenAI(base_url=sim.url, api_key="any", max_retries=0, http_client=http) as asynchronous:
            return await asyncio.gather(*(asynchronous.chat.completions.create(**body(f"B{i}")) for i in range(8)))

    sim.change({"latency": 0.2})
    answers = asyncio.run(all_of_them())
    assert len({answer.choices[0].message.content for answer in answers}) == 8
    stats = sim.stats()
    assert stats["paid"] == stats["served"] == stats["max_in_flight"] == 8
    assert stats["in_flight"] == 0


@pytest.mark.parametrize("form", ["json_object", "text"])
def test_without_a_schema_the_keys_named_in_the_system_message_are_filled(sim, form):
    request = body("Dune", response_format={"type": form})
    request["messages"][0]["content"] = 'Answer with one JSON object with the keys "taste" and "reasoning".'
    said = json.loads(client(sim).chat.completions.create(**request).choices[0].message.content)
    assert list(said) == ["taste", "reasoning"]


def test_without_schema_and_keys_the_usual_two_are_filled(sim):
    said = json.loads(ask(sim, "Dune", response_format={"type": "json_object"}).choices[0].message.content)
    assert list(said) == ["summarization", "reasoning"]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_longer_than_allowed_is_cut_and_its_cap_is_paid(sim, name):
    request = {**body("The Grey Harbour"), "max_completion_tokens": None, name: 5}
    answer = client(sim).chat.completions.create(**request)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 5)
    assert 0 < len(answer.choices[0].message.content) < 40


def test_stats_count_tokens_dollars_and_payments_per_request_and_per_user_message(sim):
    usages = [ask(sim, title).usage for title in ("A", "B", "B")]
    again = body("B", max_completion_tokens=600)
    usages.append(client(sim).chat.completions.create(**again).usage)
    stats = sim.stats(keys=True)
    assert stats["keys"] == {request_id(body("A")): 1, request_id(body("B")): 2, request_id(again): 1}
    user = hashlib.sha256(body("B")["messages"][1]["content"].encode()).hexdigest()
    assert sorted(stats["messages"].values()) == [1, 3]
    assert stats["messages"][user] == 3
    assert (stats["paid"], stats["paid_twice"]) == (4, 1)
    assert stats["input_tokens"] == sum(usage.prompt_tokens for usage in usages)
    assert stats["output_tokens"] == sum(usage.completion_tokens for usage in usages)
    assert stats["cost_usd"] == pytest.approx((stats["input_tokens"] + 10 * stats["output_tokens"]) / 1e6)


def test_cached_tokens_are_reported_as_the_script_says(sim):
    sim.change({"cached_share": 0.5})
    usage = ask(sim, "A").usage
    assert usage.prompt_tokens_details.cached_tokens == usage.prompt_tokens // 2


def test_a_request_id_depends_on_messages_model_schema_and_cap_and_on_nothing_else():
    other = [body("B"), body("A", model="n"), body("A", max_completion_tokens=1), body("A", response_format=None)]
    assert len({request_id(entry) for entry in [body("A"), *other]}) == 5
    assert request_id(body("A", store=True, metadata={"k": "v"}, temperature=1)) == request_id(body("A"))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"messages": []}, "messages"),
        ({"response_format": {"type": "xml"}}, "xml"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"stream": True}, "stream"),
    ],
)
def test_a_request_that_is_wrong_is_refused_by_name_and_not_paid(sim, broken, says):
    status, _, text = post(sim, body("A", **broken))
    assert status == 400
    assert says in json.loads(text)["error"]["message"]
    assert sim.stats()["paid"] == 0


def test_formats_that_a_server_lacks_are_refused_with_400():
    with simulator("--formats", "json_object,text") as sim:
        with pytest.raises(openai.BadRequestError, match="json_schema"):
            ask(sim, "A")
        assert ask(sim, "A", response_format={"type": "json_object"}).choices


def test_a_key_is_asked_for_when_one_is_set():
    with simulator("--key", "right") as sim:
        with pytest.raises(openai.AuthenticationError):
            ask(sim, "A")
        right = openai.OpenAI(base_url=sim.url, api_key="right", max_retries=0)
        assert right.chat.completions.create(**body("A")).choices
        assert sim.stats()["by_status"] == {"200": 1, "401": 1}


def test_brief_answers_are_short_valid_and_the_same_for_all_prompts():
    with simulator("--answers", "brief") as sim:
        texts = {ask(sim, title).choices[0].message.content for title in ("A", "B")}
        assert len(texts) == 1
        assert sorted(json.loads(texts.pop())) == sorted(SCHEMA["properties"])


def test_stored_completions_are_found_by_metadata_page_by_page(sim):
    for number in range(5):
        ask(sim, f"S{number}", store=True, metadata={"night": "stored-test", "row": str(number)})
    ask(sim, "unmarked", store=True, metadata={"night": "another"})
    ask(sim, "not kept", metadata={"night": "stored-test"})
    listed = client(sim).chat.completions.list(metadata={"night": "stored-test"}, limit=2)
    assert len(listed.data) == 2
    assert [entry.metadata["row"] for entry in listed] == list("01234")  # the client turns the pages
    both = client(sim).chat.completions.list(metadata={"night": "stored-test", "row": "3"}).data
    assert [entry.metadata["row"] for entry in both] == ["3"]
    assert "S3" in client(sim).chat.completions.retrieve(both[0].id).choices[0].message.content
    newest = client(sim).chat.completions.list(metadata={"night": "stored-test"}, order="desc", limit=1).data
    assert newest[0].metadata["row"] == "4"
    with pytest.raises(openai.NotFoundError):
        client(sim).chat.completions.retrieve("chatcmpl-none")


def test_a_stored_completion_is_listed_only_after_the_scripts_delay(sim):
    sim.change({"store_delay_s": 0.4})
    ask(sim, "Late", store=True, metadata={"delayed": "yes"})
    assert client(sim).chat.completions.list(metadata={"delayed": "yes"}).data == []
    sim.change({"store_delay_s": 0.0})
    assert len(client(sim).chat.completions.list(metadata={"delayed": "yes"}).data) == 1


def test_an_answer_that_was_reset_on_its_way_is_stored_all_the_same(sim):
    sim.change({"reset": 1.0})
    with pytest.raises(openai.APIConnectionError):
        ask(sim, "Lost", store=True, metadata={"lost": "yes"})
    assert len(client(sim).chat.completions.list(metadata={"lost": "yes"}).data) == 1


def test_an_idempotency_key_is_paid_once_however_often_it_comes(sim):
    first, again = (post(sim, body("Idem"), idempotency_key="k1") for _ in range(2))
    assert first[2] == again[2]
    stats = sim.stats()
    assert (stats["paid"], stats["idempotent_replays"], stats["served"]) == (1, 1, 2)


def test_concurrent_requests_with_one_idempotency_key_wait_for_the_first(sim):
    async def three():
        asynchronous = openai.AsyncOpenAI(base_url=sim.url, api_key="any", max_retries=0)
        headers = {"Idempotency-Key": "k2"}
        async with asynchronous as it:
            asked = (it.chat.completions.create(**body("Together"), extra_headers=headers) for _ in range(3))
            return await asyncio.gather(*asked)

    sim.change({"latency": 0.2})
    assert len({answer.id for answer in asyncio.run(three())}) == 1
    assert (sim.stats()["paid"], sim.stats()["idempotent_replays"]) == (1, 2)


def test_an_answer_lost_by_a_reset_is_had_again_under_its_idempotency_key_for_nothing(sim):
    sim.faults({"reset": 1.0, "most": {"reset": 1}})
    with pytest.raises(OSError, match=r"closed|reset"):
        post(sim, body("Reset"), idempotency_key="k3")
    assert post(sim, body("Reset"), idempotency_key="k3")[0] == 200
    assert (sim.stats()["paid"], sim.stats()["paid_twice"]) == (1, 0)


def test_an_idempotency_key_of_another_request_is_refused(sim):
    post(sim, body("One"), idempotency_key="k4")
    status, _, text = post(sim, body("Two"), idempotency_key="k4")
    assert (status, json.loads(text)["error"]["code"]) == (400, "idempotency_key_reused")


def test_without_the_option_an_idempotency_key_means_nothing(tmp_path):
    journal = tmp_path / "paid.tsv"
    with simulator("--journal", str(journal)) as sim:
        for _ in range(2):
            post(sim, body("A"), idempotency_key="k")
        assert (sim.stats()["paid"], sim.stats()["paid_twice"]) == (2, 1)
        sim.faults({"truncated_json": 1.0, "reset": 1.0})
        with pytest.raises(OSError, match=r"closed|reset"):
            post(sim, body("B"))
    lines = [line.split("\t") for line in journal.read_text().splitlines()]
    assert [line[1] for line in lines] == [request_id(body("A")), request_id(body("A")), request_id(body("B"))]
    assert lines[0][2] == hashlib.sha256(body("A")["messages"][1]["content"].encode()).hexdigest()
    assert [line[3] for line in lines] == ["chat", "chat", "chat:truncated_json:reset"]


def test_embeddings_are_unit_vectors_that_are_near_for_texts_with_common_words(sim):
    texts = ["a novel about the sea", "a novel about the sea and ships", "quantum chromodynamics"]
    found = client(sim).embeddings.create(model="e", input=texts, dimensions=64)  # base64 by default
    plain = client(sim).embeddings.create(model="e", input=texts, dimensions=64, encoding_format="float")
    vectors = [entry.embedding for entry in found.data]
    assert vectors[0] == pytest.approx(plain.data[0].embedding)
    near, far = (sum(a * b for a, b in zip(vectors[0], other, strict=True)) for other in vectors[1:])
    assert sum(value * value for value in vectors[0]) == pytest.approx(1, abs=1e-5)
    assert near > 0.6 > 0.4 > far
    assert sim.stats()["embedding_tokens"] == 2 * found.usage.total_tokens > 0


def test_the_models_are_listed(sim):
    assert "simulated" in [model.id for model in client(sim).models.list()]
