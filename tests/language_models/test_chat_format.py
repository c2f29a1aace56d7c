"""Requests as they are sent, and bodies as they are read."""

from dataclasses import replace

import pytest

from language_models.chat_format import (
    OPENAI_URL,
    concerns_format,
    concerns_likeliest,
    output_limit,
    read_completion,
    request_body,
    strict_schema,
)
from language_models.first_token import FirstToken, read_first_token
from schemas.sections import Llm
from tests.support.choices import GOTHIC, choice_prompt
from tests.support.faulty_endpoint import ANSWER, completion
from tests.support.prompts import make_prompt

LLM = Llm(engine="openai", model="m-1", max_output_tokens=50, usd_per_million_input=10.0, usd_per_million_output=100.0)


def read(body, prompt=None, **options):
    return read_completion("key", prompt or make_prompt("1"), body, LLM, 1.5, **options)


def test_a_request_holds_the_question():
    body = request_body(make_prompt("1"), LLM, "text")
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["model"], body["temperature"]) == ("m-1", 0.0)
    assert "response_format" not in body


def test_a_follow_up_says_what_was_wrong_and_gives_more_room():
    follow_up = replace(make_prompt("1"), turn=1, correction="summarization is missing", room=2)
    body = request_body(follow_up, LLM, "json_object")
    assert body["messages"][-1] == {"role": "user", "content": "summarization is missing"}
    assert body["response_format"] == {"type": "json_object"}
    assert output_limit(follow_up, LLM, "http://localhost/v1") == {"max_tokens": 100}


def test_openai_itself_wants_the_newer_name_of_the_limit():
    assert output_limit(make_prompt("1"), LLM, OPENAI_URL) == {"max_completion_tokens": 50}


def test_a_schema_is_sent_in_the_strict_subset():
    schema = {
        "title": "Answer",
        "type": "object",
        "properties": {
            "title": {"type": "string", "default": ""},
            "parts": {"type": "array", "items": {"$ref": "#/$defs/P"}},
        },
        "$defs": {"P": {"type": "object", "properties": {"a": {"type": "integer", "title": "A"}}}},
    }
    strict = strict_schema(schema)
    assert strict["required"] == ["title", "parts"], "a property may be called title"
    assert strict["properties"]["title"] == {"type": "string"}
    assert strict["$defs"]["P"] == {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    assert "title" not in strict


def test_a_schema_is_named_as_the_api_allows():
    body = request_body(replace(make_prompt("1"), recipe="a.b/" + "c" * 100), LLM, "json_schema")
    name = body["response_format"]["json_schema"]["name"]
    assert name == "a_b_" + "c" * 60


def test_a_completion_is_read_with_its_usage_and_cost():
    read_back = read(completion(), replace(make_prompt("1"), turn=2))
    assert (read_back.text, read_back.finish_reason, read_back.turn) == (ANSWER, "stop", 2)
    assert (read_back.input_tokens, read_back.cached_tokens, read_back.output_tokens) == (100, 64, 20)
    assert read_back.cost_usd == pytest.approx((100 * 10 + 20 * 100) / 1e6)
    assert (read_back.key, read_back.model, read_back.latency_s) == ("key", "m-1", 1.5)


def test_a_batch_is_cheaper():
    assert read(completion(), batch=True).cost_usd == pytest.approx(read(completion()).cost_usd / 2)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None}])
def test_tokens_are_estimated_where_none_are_reported(usage):
    read_back = read(completion() | {"usage": usage})
    assert read_back.input_tokens > 5
    assert read_back.output_tokens > 5
    assert read_back.cached_tokens == 0


def test_more_cached_tokens_than_there_are_do_not_make_a_negative_price():
    usage = {"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 99}}
    assert read(completion() | {"usage": usage}).cached_tokens == 10


def test_a_refusal_is_a_finish_reason_of_its_own():
    assert read(completion(refusal="I cannot")).finish_reason == "refusal"


@pytest.mark.parametrize(
    "body", [None, [], {}, {"choices": []}, {"choices": [{"message": None}]}, {"choices": "x"}, "x"]
)
def test_a_body_that_is_no_completion_is_refused(body):
    with pytest.raises(ValueError, match="Error"):
        read(body)


@pytest.mark.parametrize(
    ("message", "concerns"),
    [
        ("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.", True),
        ("This response_format type is unavailable now", True),
        ("failed to parse grammar", True),
        ("This model's maximum context length is 8192 tokens", False),
        ("no", False),
    ],
)
def test_whether_a_refusal_concerns_the_format(message, concerns):
    assert concerns_format(message) is concerns


def test_a_first_token_is_asked_for_with_the_likeliest_and_without_a_format():
    prompt = choice_prompt(GOTHIC, likeliest=7)
    for form in ("json_schema", "json_object", "text"):
        body = request_body(prompt, LLM, form)
        assert (body["logprobs"], body["top_logprobs"]) == (True, 7)
        assert "response_format" not in body
    assert output_limit(prompt, LLM, "http://localhost/v1") == {"max_tokens": 1}
    assert output_limit(replace(prompt, room=2), LLM, OPENAI_URL) == {"max_completion_tokens": 1}
    assert "logprobs" not in request_body(make_prompt("1"), LLM, "text")


def first_token(logprobs, text="A", finish_reason="length", **options):
    body = completion(text, finish_reason, **options)
    body["choices"][0]["logprobs"] = logprobs
    return read(body, choice_prompt(GOTHIC))


def entry(token, logprob, *others):
    return {"token": token, "logprob": logprob, "bytes": None, "top_logprobs": [entry(*other) for other in others]}


def test_a_first_token_is_read_with_the_written_one_counted_once():
    told = {"content": [entry(" A", -0.5, ("B", -1.5), (" A", -0.5), ("C", -9999.0))]}
    done = first_token(told, " A")
    assert (done.finish_reason, done.output_tokens) == ("stop", 20), "the tokens are the endpoint's count"
    assert read_first_token(done.text) == FirstToken("A", {"A": -0.5, "B": -1.5, "C": -9999.0})
    unlikely = first_token({"content": [entry("D", -4.0, ("A", -0.1))]}, "D")
    assert read_first_token(unlikely.text) == FirstToken("D", {"A": -0.1, "D": -4.0}), "a sample may be none of the top"


@pytest.mark.parametrize(
    "logprobs",
    [None, {}, {"content": None}, {"content": []}, {"content": [{"token": "A"}]}, {"tokens": ["A"]}, "yes", [1]],
)
def test_log_probabilities_that_are_missing_or_of_another_form_leave_the_answer(logprobs):
    done = first_token(logprobs)
    assert (done.text, done.finish_reason) == ('{"answer": "A", "logprobs": {}}', "stop")


def test_a_model_that_declines_gives_no_first_token():
    assert first_token(None, refusal="I cannot").text == "I cannot"
    assert first_token(None, finish_reason="content_filter").finish_reason == "content_filter"


def test_a_refusal_of_log_probabilities_is_known_by_its_words():
    assert concerns_likeliest("You are not allowed to request logprobs from this model")
    assert not concerns_likeliest("max_tokens is too large")
