"""The openai engine against a real endpoint that fails in every way of the table of error classes."""

import asyncio
import logging
import socket
import threading
import time
import traceback
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from language_models.engines import make_engine
from language_models.faults import Failure
from language_models.protocols import OnlineEngine
from schemas.errors import EngineError
from schemas.records import KeyMaker
from schemas.sections import Llm
from tests.support.faulty_endpoint import ANSWER, chat, completion, endpoint, refuse
from tests.support.prompts import make_prompt

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)


def settings(served, **changes):
    base = {"engine": "openai", "model": "m-1", "key_env": "TEST_KEY", "concurrency": 4}
    base |= {"base_url": served.url} if served else {}
    priced = {"usd_per_million_input": 10.0, "usd_per_million_output": 0.0}
    return Llm(**base | {"attempts": 2, "timeout_s": 5.0} | priced | changes)


def ask(served, count=1, **changes):
    engine = make_engine(settings(served, **changes))
    return list(engine.answer([make_prompt(str(n)) for n in range(count)]))


def attempts(served, count=1, prompt=None, **changes):
    """What single attempts come to: a Reply or a Fault each."""
    prompt = prompt or make_prompt("0")

    async def main():
        async with make_engine(settings(served, **{"structured": "text"} | changes)).connect() as connection:
            return [await one(connection) for _ in range(count)]

    async def one(connection):
        try:
            return await connection.send(prompt)
        except Failure as failure:
            return failure.fault

    return asyncio.run(main())


def test_it_is_an_engine_that_a_scheduler_can_pace():
    assert isinstance(make_engine(Llm(engine="openai", model="m")), OnlineEngine)


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


@pytest.mark.parametrize(("status", "reason"), [(500, "server"), (408, "timeout"), (409, "conflict")])
def test_a_lasting_fault_ends_as_an_error_row_of_its_class(status, reason):
    with endpoint(lambda body, attempt: refuse(status, message=f"echo {KEY}")) as served:
        [completion] = ask(served)
    assert completion.finish_reason == f"error:{reason}"
    assert completion.text == f"{status}: echo ***"
    assert completion.cost_usd == 0.0
    assert len(served.bodies) == 2, "as many attempts as llm.attempts allows"


@pytest.mark.parametrize("header", [{"retry_after": "1"}, {"retry_after_ms": "1000"}])
def test_retry_after_is_waited_for_and_is_no_attempt(header):
    with endpoint(lambda body, attempt: refuse(429, **header) if attempt == 1 else chat()) as served:
        started = time.monotonic()
        [completion] = ask(served, attempts=1)
    assert completion.finish_reason == "stop"
    assert time.monotonic() - started >= 1.0


# ---- one attempt: before sending or after, paid or perhaps paid


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("hang", "timeout"),
        ("reset", "connection"),
        ("cut", "connection"),
        (lambda: web.Response(text="<html>hi</html>", content_type="text/html"), "bad_response"),
        (lambda: web.json_response({"choices": []}), "bad_response"),
        (lambda: web.json_response({"error": {"message": "upstream"}}), "bad_response"),
        (lambda: web.Response(text="{}", headers={"x-long": "x" * 100_000}), "bad_response"),
    ],
)
def test_what_comes_after_sending_is_perhaps_paid(said, reason):
    with endpoint(lambda body, attempt: said() if callable(said) else said) as served:
        [fault] = attempts(served, timeout_s=0.3 if said == "hang" else 5.0)
    assert (fault.reason, fault.action, fault.outage, fault.unreachable) == (reason, "unknown", True, False)


def test_a_reset_on_a_kept_connection_counts_as_sent():
    with endpoint(lambda body, attempt: chat() if attempt == 1 else "reset") as served:
        reply, fault = attempts(served, 2)
        assert len(served.connections) == 1
    assert reply.completion.text == ANSWER
    assert (fault.reason, fault.action) == ("connection", "unknown")


@contextmanager
def closing_server():
    """Answers the first request of a connection, and closes it unread when the second one comes."""
    body = b'{"choices": [{"message": {"content": "hi"}}]}'
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                data = b""
                while b'"u"}' not in data and b"max_tokens" not in data:
                    data += connection.recv(65536)
                connection.sendall(answer)
                connection.recv(1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        thread.join(5)


def test_a_server_that_closes_a_kept_connection_may_have_been_paid():
    with closing_server() as url:
        reply, fault = attempts(None, 2, base_url=url)
    assert reply.completion.text == "hi"
    assert (fault.reason, fault.action, fault.unreachable) == ("connection", "unknown", False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:{free}/v1", "https://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"]
)
def test_what_comes_before_sending_is_not_paid(url):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        free = taken.getsockname()[1]
    with endpoint(lambda body, attempt: chat()) as served:
        port = served.url.split(":")[2].removesuffix("/v1")
        [fault] = attempts(served, base_url=url.format(free=free, port=port))
        assert served.bodies == []
    assert (fault.reason, fault.action, fault.unreachable) == ("connection", "retry", True)


def test_headers_of_limits_come_with_the_reply_and_with_the_fault():
    def respond(body, attempt):
        header = {"X_RateLimit_Remaining_Requests": "3"}
        return chat(**header) if attempt == 1 else refuse(429, **header)

    with endpoint(respond) as served:
        reply, fault = attempts(served, 2)
    assert reply.headers == fault.headers == {"x-ratelimit-remaining-requests": "3"}


def test_connections_are_kept_and_each_call_is_one_request():
    with endpoint(lambda body, attempt: chat()) as served:
        attempts(served, 20)
        assert len(served.connections) == 1
        assert len(served.bodies) == 20


def test_the_sdk_says_who_we_are():
    with endpoint(lambda body, attempt: chat()) as served:
        attempts(served)
        [headers] = served.headers
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("AsyncOpenAI/Python")
    assert "idempotency-key" not in headers


def test_a_proxy_of_the_environment_is_used(monkeypatch):
    with endpoint(lambda body, attempt: chat()) as served:
        monkeypatch.setenv("HTTP_PROXY", served.url.removesuffix("/v1"))
        [reply] = attempts(served, base_url="http://llm.example/v1")
        [headers] = served.headers
    assert reply.completion.text == ANSWER
    assert headers["host"] == "llm.example"


def test_texts_of_all_scripts_arrive_as_they_are():
    prompt = make_prompt("0", user='{"title": "Ünïcode 日本語 🎉 \\u0000"}')
    with endpoint(lambda body, attempt: chat()) as served:
        attempts(served, prompt=prompt)
        [body] = served.bodies
    assert body["messages"][-1]["content"] == prompt.user


def test_a_redirect_is_not_followed_and_stops_the_run():
    respond = lambda body, attempt: web.Response(status=307, headers={"location": "https://other.example/v1"})  # noqa: E731
    with endpoint(respond) as served, pytest.raises(EngineError, match=r"redirects to https://other\.example/v1"):
        ask(served)


# ---- finding a lost answer again


@pytest.mark.parametrize("turn", [0, 2])
def test_an_idempotency_key_names_the_call_and_its_turn(turn):
    prompt = replace(make_prompt("0"), turn=turn)
    with endpoint(lambda body, attempt: chat()) as served:
        attempts(served, 2, prompt=prompt, recovery="idempotency")
        keys = {headers["idempotency-key"] for headers in served.headers}
        engine = make_engine(settings(served))
    assert keys == {f"{engine.key(prompt)}-{turn}"}
    assert "store" not in served.bodies[0]


def look_up(served, prompt, **changes):
    async def main():
        async with make_engine(settings(served, **changes)).connect() as connection:
            return await connection.recover(prompt)

    return asyncio.run(main())


def test_a_stored_answer_is_found_by_its_key_and_turn_and_by_nothing_else():
    prompt = replace(make_prompt("0"), turn=1)
    with endpoint(lambda body, attempt: chat()) as served:
        attempts(served, prompt=prompt, recovery="stored")
        [body] = served.bodies
        key = make_engine(settings(served)).key(prompt)
        assert (body["store"], body["metadata"]) == (True, {"loregraph_key": key, "loregraph_turn": "1"})
        served.stored = [completion("of another turn") | {"metadata": body["metadata"] | {"loregraph_turn": "0"}}]
        served.stored += [completion("without a name")]
        assert look_up(served, prompt, recovery="stored") is None
        served.stored += [completion("mine") | {"metadata": body["metadata"]}]
        found = look_up(served, prompt, recovery="stored")
        assert (found.text, found.key, found.turn) == ("mine", key, 1)
        assert found.cost_usd > 0
        assert served.listed[0]["metadata[loregraph_key]"] == key
        assert look_up(served, prompt, recovery="none") is None


def test_a_lost_answer_is_recovered_while_asking():
    def respond(body, attempt):
        served.stored.append(completion("paid before") | {"metadata": body["metadata"]})
        return "reset"

    with endpoint(respond) as served:
        [found] = ask(served, recovery="stored")
        assert len(served.bodies) == 1
    assert (found.text, found.finish_reason) == ("paid before", "stop")


def test_an_endpoint_that_stores_nothing_has_nothing_to_recover():
    with endpoint(lambda body, attempt: chat()) as served:
        served.stored = [{"metadata": None}, {"unexpected": 1}]
        assert look_up(served, make_prompt("0"), recovery="stored") is None
    assert look_up(served, make_prompt("0"), recovery="stored") is None, "nobody listens any more"


# ---- many calls


def test_a_hang_is_a_timeout():
    with endpoint(lambda body, attempt: "hang") as served:
        [completion] = ask(served, timeout_s=0.3)
        assert len(served.bodies) == 2, "an attempt that may have been paid is repeated where there is no ledger"
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


@pytest.mark.parametrize("fault", [400, 429, 500, "reset", "cut", "hang", "html", "json"])
def test_the_key_is_in_no_answer_error_or_log(fault, caplog):
    echo = f"you sent {KEY}"

    def respond(body, attempt):
        bodies = {"html": lambda: web.Response(text=echo), "json": lambda: web.json_response({"error": echo})}
        if fault in bodies:
            return bodies[fault]()
        return refuse(fault, message=echo, retry_after="0") if isinstance(fault, int) and attempt < 3 else fault

    caplog.set_level(logging.DEBUG)
    with endpoint(
        lambda body, attempt: chat() if isinstance(fault, int) and attempt > 2 else respond(body, attempt)
    ) as served:
        came = ask(served, 2, timeout_s=0.3)
        [seen, *_] = attempts(served, timeout_s=0.3, prompt=make_prompt("7"))
    assert KEY in str(served.authorizations)
    assert KEY not in repr(came) + repr(seen) + str(Failure(seen)) + caplog.text


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


@pytest.mark.parametrize("concurrency", [1, 8])
def test_finding_the_format_loses_no_row_and_is_no_stampede(concurrency):
    def respond(body, attempt):
        return refuse(422, message="unknown field response_format") if "response_format" in body else chat()

    with endpoint(respond) as served:
        completions = ask(served, 40, concurrency=concurrency, attempts=1)
        refused = [body for body in served.bodies if "response_format" in body]
    assert [completion.finish_reason for completion in completions] == ["stop"] * 40
    assert len(refused) == 2


def test_a_format_is_remembered_by_the_caller_from_run_to_run():
    async def main(known):
        async with make_engine(settings(served)).connect() as connection:
            connection.format = known
            await connection.send(make_prompt("1"))
            return connection.format

    with endpoint(lambda body, attempt: chat()) as served:
        assert asyncio.run(main("json_object")) == "json_object"
        assert served.bodies[-1]["response_format"] == {"type": "json_object"}
        assert asyncio.run(main(None)) == "json_schema"


def test_a_format_of_the_run_file_is_not_weakened():
    with endpoint(lambda body, attempt: refuse(400, message="response_format is not supported")) as served:
        [completion] = ask(served, structured="json_schema")
        assert len(served.bodies) == 1
    assert completion.finish_reason == "error:bad_request"


def test_a_schema_that_is_refused_weakens_the_format_of_its_recipe_alone():
    def respond(body, attempt):
        asked = body["response_format"]
        bad = asked["type"] == "json_schema" and asked["json_schema"]["name"] == "other"
        return refuse(400, message="Invalid schema for response_format 'other'") if bad else chat()

    prompts = [replace(make_prompt(str(n)), recipe="other" if n % 2 else "rlmrec.item") for n in range(20)]
    with endpoint(respond) as served:
        completions = list(make_engine(settings(served, concurrency=2)).answer(prompts))
        forms = [body["response_format"]["type"] for body in served.bodies]
    assert {completion.finish_reason for completion in completions} == {"stop"}
    assert forms.count("json_object") == 10
    assert forms.count("json_schema") <= 10 + 2


def test_a_prompt_that_is_refused_in_every_format_is_at_fault_itself():
    with endpoint(lambda body, attempt: refuse(400) if '"Book 0"' in str(body) else chat()) as served:
        completions = ask(served, 5)
    assert sorted(completion.finish_reason for completion in completions) == ["error:bad_request"] + ["stop"] * 4
    assert served.bodies[-1]["response_format"]["type"] == "json_schema"


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


def test_the_key_of_a_call_is_what_it_always_was():
    engine = make_engine(Llm(engine="openai", model="m", base_url="http://localhost/v1/", max_output_tokens=9))
    params = {"engine": "openai", "endpoint": "http://localhost/v1", "temperature": 0.0, "max_output_tokens": 9}
    assert engine.key(make_prompt("1")) == make_prompt("1").key("m", params) == KeyMaker("m", params)(make_prompt("1"))
    assert engine.key(make_prompt("1")) == ("558df876955140d7ddf3ed047a485aed5f93f672a54d5a52a0de63c8b4d147d8"), (
        "an answer that was paid before stays known"
    )


def test_a_consumer_that_stops_early_leaves_nothing_running():
    with endpoint(lambda body, attempt: chat()) as served:
        answers = make_engine(settings(served)).answer([make_prompt(str(n)) for n in range(200)])
        next(answers)
        answers.close()
        asked = len(served.bodies)
        time.sleep(0.2)
        assert len(served.bodies) == asked < 200


def test_equal_prompts_are_not_in_flight_twice():
    with endpoint(lambda body, attempt: chat()) as served:
        completions = list(make_engine(settings(served, concurrency=8)).answer([make_prompt("1")] * 8))
        assert len(completions) == len(served.bodies) == 1


def test_a_flaky_endpoint_answers_every_prompt_once():
    def respond(body, attempt):
        number = int("".join(filter(str.isdigit, body["messages"][-1]["content"])))
        faults = {0: "reset", 1: refuse(500), 2: refuse(429, retry_after="0")}
        return faults[number % 10] if attempt == 1 and number % 10 in faults else chat()

    with endpoint(respond) as served:
        completions = ask(served, 120, concurrency=16, attempts=3)
        assert len(served.bodies) == 120 + 36
    assert len({completion.key for completion in completions}) == len(completions) == 120
    assert {completion.finish_reason for completion in completions} == {"stop"}


def test_the_prompts_of_an_endless_iterator_are_taken_as_they_are_needed():
    taken = []

    def endless():
        while True:
            taken.append(len(taken))
            yield make_prompt(str(len(taken)))

    with endpoint(lambda body, attempt: chat()) as served:
        answers = make_engine(settings(served, concurrency=4)).answer(endless())
        for _ in range(40):
            next(answers)
        answers.close()
    assert len(taken) < 40 + 4 * 4
