"""The openai engine against a real endpoint that fails in every way of the table of error classes."""

import time
import traceback

import pytest
from aiohttp import web

from language_models.answering import answer_all
from language_models.engines import make_engine
from language_models.ledger import Ledger
from schemas.errors import EngineError
from schemas.run import Llm
from tests.support.faulty_endpoint import ANSWER, chat, endpoint, refuse
from tests.support.prompts import make_prompt

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)


def settings(served, **changes):
    base = {"engine": "openai", "model": "m-1", "base_url": served.url, "key_env": "TEST_KEY", "concurrency": 4}
    return Llm(**base | {"attempts": 2, "timeout_s": 5.0, "usd_per_million_input": 10.0} | changes)


def ask(served, count=1, **changes):
    engine = make_engine(settings(served, **changes))
    return list(engine.answer([make_prompt(str(n)) for n in range(count)]))


def test_an_answer_with_its_usage_cost_and_latency():
    with endpoint(lambda body, attempt: chat()) as served:
        [completion] = ask(served)
    assert (completion.text, completion.finish_reason, completion.model) == (ANSWER, "stop", "m-1")
    assert (completion.input_tokens, completion.output_tokens) == (100, 20)
    assert completion.cost_usd == pytest.approx(100 * 10.0 / 1e6)
    assert 0.01 <= completion.latency_s < 5
    assert served.authorizations == {f"Bearer {KEY}"}
    [body] = served.bodies
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.0, 600, "m-1")
    schema = body["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["required"] == ["summarization", "reasoning"]
    assert schema["schema"]["additionalProperties"] is False
    assert "default" not in schema["schema"]["properties"]["reasoning"]


def test_calls_in_flight_are_bounded_and_each_prompt_is_asked_once():
    with endpoint(lambda body, attempt: chat()) as served:
        completions = ask(served, 40, concurrency=4)
    assert len({completion.key for completion in completions}) == 40
    assert len(served.bodies) == 40
    assert 1 < served.most_in_flight <= 4


@pytest.mark.parametrize("fault", [500, 503, 408, 409, 429, "reset"])
def test_a_passing_fault_is_tried_again(fault):
    def respond(body, attempt):
        if attempt > 1:
            return chat()
        return fault if fault == "reset" else refuse(fault)

    with endpoint(respond) as served:
        [completion] = ask(served)
    assert completion.finish_reason == "stop"
    assert len(served.bodies) == 2


@pytest.mark.parametrize(
    ("status", "reason"), [(500, "server"), (408, "timeout"), (409, "conflict"), (429, "rate_limit")]
)
def test_a_lasting_fault_ends_as_an_error_row_of_its_class(status, reason):
    with endpoint(lambda body, attempt: refuse(status, message=f"echo {KEY}")) as served:
        [completion] = ask(served)
    assert completion.finish_reason == f"error:{reason}"
    assert completion.text == f"{status}: echo ***"
    assert completion.cost_usd == 0.0
    assert len(served.bodies) == 2, "as many attempts as llm.attempts allows"


def test_retry_after_is_waited_for():
    def respond(body, attempt):
        return refuse(429, retry_after="1") if attempt == 1 else chat()

    with endpoint(respond) as served:
        started = time.monotonic()
        [completion] = ask(served)
    assert completion.finish_reason == "stop"
    assert time.monotonic() - started >= 1.0


def test_a_hang_is_a_timeout():
    with endpoint(lambda body, attempt: "hang") as served:
        [completion] = ask(served, timeout_s=0.3)
    assert completion.finish_reason == "error:timeout"


def test_a_reset_that_lasts_is_a_connection_error():
    with endpoint(lambda body, attempt: "reset" if '"Book 1"' in str(body) else chat()) as served:
        completions = ask(served, 3)
    assert sorted(completion.finish_reason for completion in completions) == ["error:connection", "stop", "stop"]


@pytest.mark.parametrize("body", ['{"choi', '{"choices": []}', "[]", '{"choices": [{"message": null}]}'])
def test_a_body_that_is_no_chat_completion(body):
    with endpoint(lambda _, attempt: web.Response(text=body, content_type="application/json")) as served:
        [completion] = ask(served)
    assert completion.finish_reason == "error:bad_response"


def test_truncated_json_in_an_answer_is_kept_as_it_came():
    with endpoint(lambda body, attempt: chat('{"summarization": "Peo')) as served:
        [completion] = ask(served)
    assert (completion.text, completion.finish_reason) == ('{"summarization": "Peo', "stop")
    assert len(served.bodies) == 1


@pytest.mark.parametrize(
    ("response", "reason", "text"),
    [
        (lambda: chat("half", "length"), "length", "half"),
        (lambda: chat("", "content_filter"), "content_filter", ""),
        (lambda: chat(refusal="I cannot"), "refusal", "I cannot"),
    ],
)
def test_finish_reasons_are_kept(response, reason, text):
    with endpoint(lambda body, attempt: response()) as served:
        [completion] = ask(served)
    assert (completion.finish_reason, completion.text) == (reason, text)


@pytest.mark.parametrize(("status", "code"), [(401, None), (403, None), (429, "insufficient_quota")])
def test_a_refused_key_or_an_empty_quota_stops_the_run_and_hides_the_key(status, code):
    with endpoint(lambda body, attempt: refuse(status, code, f"bad key {KEY}")) as served:
        with pytest.raises(EngineError, match="TEST_KEY") as raised:
            ask(served, 50)
        assert len(served.bodies) <= 4, "no more than were in flight"
    shown = "".join(traceback.format_exception(raised.value)) + repr(raised.value)
    assert KEY not in shown
    assert served.url in shown


def test_answers_in_flight_are_not_lost_when_the_run_stops():
    def respond(body, attempt):
        return refuse(401) if '"Book 5"' in str(body) else chat()

    with endpoint(respond) as served:
        engine, came = make_engine(settings(served, concurrency=3)), []
        with pytest.raises(EngineError):
            came.extend(completion for completion in engine.answer([make_prompt(str(n)) for n in range(30)]))
        assert len(came) == len(served.bodies) - 1 >= 5


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_bad_request_is_not_tried_again(status):
    with endpoint(lambda body, attempt: refuse(status) if '"Book 3"' in str(body) else chat()) as served:
        completions = ask(served, 4, concurrency=1)
    assert [completion.finish_reason for completion in completions] == ["stop"] * 3 + ["error:bad_request"]
    assert len(served.bodies) == 4


@pytest.mark.parametrize("accepted", ["json_object", "text"])
def test_an_endpoint_without_schemas_is_asked_for_less_and_that_is_remembered(accepted):
    def respond(body, attempt):
        form = body.get("response_format", {"type": "text"})["type"]
        return chat() if form == accepted else refuse(400, message="response_format is not supported")

    with endpoint(respond) as served:
        completions = ask(served, 5, concurrency=1)
    assert {completion.finish_reason for completion in completions} == {"stop"}
    assert len(served.bodies) == 5 + ["json_object", "text"].index(accepted) + 1


def test_an_address_where_nobody_listens_stops_the_run():
    with endpoint(lambda body, attempt: chat()) as served:
        pass
    with pytest.raises(EngineError, match=r"cannot be reached.*llm\.base_url"):
        ask(served, 3)


def test_a_missing_key_names_its_variable(monkeypatch):
    monkeypatch.delenv("TEST_KEY")
    engine = make_engine(Llm(engine="openai", model="m", base_url="https://llm.example/v1", key_env="TEST_KEY"))
    assert engine.key(make_prompt("1")), "planning needs no key"
    with pytest.raises(EngineError, match=r"https://llm\.example/v1: no key; set the environment variable TEST_KEY"):
        list(engine.answer([make_prompt("1")]))


def test_loopback_needs_no_key(monkeypatch):
    monkeypatch.delenv("TEST_KEY")
    with endpoint(lambda body, attempt: chat()) as served:
        [completion] = ask(served)
    assert completion.finish_reason == "stop"


def test_the_key_of_a_call_follows_what_decides_its_answer():
    base = Llm(engine="openai", model="m", base_url="http://localhost/v1")
    changed = [{"model": "n"}, {"base_url": "http://localhost:1/v1"}, {"temperature": 0.5}, {"max_output_tokens": 9}]
    keys = {make_engine(base.model_copy(update=change)).key(make_prompt("1")) for change in [{}, *changed]}
    assert len(keys) == 5
    same = base.model_copy(update={"concurrency": 2, "attempts": 1, "max_cost_usd": 1.0})
    assert make_engine(same).key(make_prompt("1")) in keys


def test_a_consumer_that_stops_early_leaves_nothing_running():
    with endpoint(lambda body, attempt: chat()) as served:
        answers = make_engine(settings(served)).answer([make_prompt(str(n)) for n in range(200)])
        next(answers)
        answers.close()
        asked = len(served.bodies)
        time.sleep(0.2)
        assert len(served.bodies) == asked < 200


def test_a_night_over_a_flaky_endpoint_pays_each_prompt_once(tmp_path):
    def respond(body, attempt):
        number = int("".join(filter(str.isdigit, body["messages"][-1]["content"])))
        faults = {0: "reset", 1: refuse(500), 2: refuse(429, retry_after="0")}
        return faults[number % 10] if attempt == 1 and number % 10 in faults else chat()

    prompts = [make_prompt(str(n)) for n in range(120)]
    with endpoint(respond) as served, Ledger(tmp_path / "ledger.db") as ledger:
        llm = settings(served, concurrency=16, attempts=3)
        first = list(answer_all(prompts, make_engine(llm), ledger, llm))
        sent = len(served.bodies)
        second = list(answer_all(prompts, make_engine(llm), ledger, llm))
    assert len(first) == len(second) == 120
    assert {completion.finish_reason for _, completion in first} == {"stop"}
    assert sent == 120 + 36
    assert len(served.bodies) == sent
