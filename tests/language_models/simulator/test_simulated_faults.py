"""Every fault of a script, struck at every request, and drawn for the same requests from the same seed."""

from __future__ import annotations

import http.client
import json
import threading
import time

import openai
import pytest

from language_models.simulator.drawing import Faults
from language_models.simulator.script import ANSWER, TRANSPORT, make_script
from schemas.errors import ConfigError
from tests.language_models.simulator.asking import SCHEMA, ask, body, client, post


def test_429_with_retry_after_says_how_long(sim):
    sim.change({"rate_limit_after": 1.0, "retry_after_s": 1.5})
    status, headers, text = post(sim, body("A"))
    assert (status, headers["retry-after"], headers["retry-after-ms"]) == (429, "2", "1500")
    assert json.loads(text)["error"]["code"] == "rate_limit_exceeded"
    assert sim.stats()["by_fault"] == {"rate_limit_after": 1}
    assert sim.stats()["paid"] == 0


def test_429_without_retry_after_says_nothing(sim):
    sim.change({"rate_limit": 1.0})
    status, headers, _ = post(sim, body("A"))
    assert status == 429
    assert "retry-after" not in headers


def test_server_errors_are_500_502_and_503(sim):
    sim.change({"server_error": 1.0})
    assert {post(sim, body(str(number)))[0] for number in range(20)} == {500, 502, 503}
    assert sim.stats()["paid"] == 0


@pytest.mark.parametrize(("fault", "paid"), [("reset", 1), ("reset_before", 0)])
def test_a_reset_is_paid_only_where_the_model_had_answered(sim, fault, paid):
    sim.change({fault: 1.0})
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        post(sim, body("A"))
    assert (sim.stats()["paid"], sim.stats()["served"]) == (paid, 0)


@pytest.mark.parametrize(("fault", "paid"), [("hang", 0), ("hang_paid", 1)])
def test_a_hang_brings_nothing_and_ends_when_the_client_leaves(sim, fault, paid):
    sim.change({fault: 1.0})
    with pytest.raises(TimeoutError):
        post(sim, body("A"), timeout=0.2)
    _wait(lambda: sim.stats()["in_flight"] == 0)
    assert (sim.stats()["paid"], sim.stats()["served"]) == (paid, 0)


def test_a_hang_ends_with_a_reset_when_its_time_is_over(sim):
    sim.change({"hang": 1.0, "hang_s": 0.2})
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        post(sim, body("A"))


def test_an_invalid_body_is_html_with_status_200(sim):
    sim.change({"invalid_body": 1.0})
    status, headers, text = post(sim, body("A"))
    assert (status, headers["Content-Type"].split(";")[0]) == (200, "text/html")
    assert text.startswith("<html>")
    assert sim.stats()["paid"] == 0


def test_a_client_that_gives_up_while_the_model_is_answering_has_paid(sim):
    sim.change({"latency": 0.4})
    with pytest.raises(TimeoutError):
        post(sim, body("A"), timeout=0.1)
    assert sim.stats()["paid"] == 0
    _wait(lambda: sim.stats()["in_flight"] == 0)
    assert (sim.stats()["paid"], sim.stats()["served"]) == (1, 0)


def test_truncated_json_stops_in_the_middle_and_its_follow_up_is_whole(sim):
    sim.change({"truncated_json": 1.0})
    answer = ask(sim, "A").choices[0]
    assert answer.finish_reason == "stop"
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.message.content)
    assert json.loads(client(sim).chat.completions.create(**_follow_up("A")).choices[0].message.content)
    assert sim.stats()["by_fault"] == {"truncated_json": 1}


def test_the_wrong_schema_is_json_and_its_follow_up_is_right(sim):
    sim.change({"wrong_schema": 1.0})
    assert set(json.loads(ask(sim, "A").choices[0].message.content)) != set(SCHEMA["properties"])
    followed = client(sim).chat.completions.create(**_follow_up("A")).choices[0].message.content
    assert set(json.loads(followed)) == set(SCHEMA["properties"])


@pytest.mark.parametrize("fault", ["truncated_json", "wrong_schema"])
def test_a_follow_up_is_struck_as_well_where_the_script_says_again(sim, fault):
    sim.change({fault: 1.0, "again": 1.0})
    client(sim).chat.completions.create(**_follow_up("A"))
    assert sim.stats()["by_fault"] == {fault: 1}


def test_length_is_cut_until_more_tokens_are_allowed(sim):
    sim.change({"length": 1.0})
    first = [ask(sim, "Long", max_completion_tokens=300) for _ in range(2)]
    assert [answer.choices[0].finish_reason for answer in first] == ["length", "length"]
    assert first[0].usage.completion_tokens == 300
    second = ask(sim, "Long", max_completion_tokens=600)
    assert second.choices[0].finish_reason == "stop"
    assert json.loads(second.choices[0].message.content)


def test_a_refusal_has_no_content(sim):
    sim.change({"refusal": 1.0})
    message = ask(sim, "A").choices[0].message
    assert message.content is None
    assert message.refusal.startswith("I'm sorry")
    assert sim.stats()["paid"] == 1


def test_a_content_filter_is_a_finish_reason(sim):
    sim.change({"content_filter": 1.0})
    assert ask(sim, "A").choices[0].finish_reason == "content_filter"


def test_a_bad_request_stays_one(sim):
    sim.change({"bad_request": 1.0})
    for _ in range(2):
        with pytest.raises(openai.BadRequestError):
            ask(sim, "A")
    assert sim.stats()["paid"] == 0
    assert sim.stats()["by_fault"] == {"bad_request": 2}


def test_the_quota_is_used_up_after_so_many_answers(sim):
    sim.change({"insufficient_quota_after": 2})
    assert [post(sim, body(str(number)))[0] for number in range(3)] == [200, 200, 429]
    with pytest.raises(openai.RateLimitError) as error:
        ask(sim, "4")
    assert error.value.code == error.value.type == "insufficient_quota"


def test_the_key_is_refused_after_so_many_answers(sim):
    sim.change({"unauthorized_after": 1})
    assert [post(sim, body(str(number)))[0] for number in range(2)] == [200, 401]


def test_a_fault_strikes_at_most_as_often_as_the_script_allows(sim):
    sim.change({"server_error": 1.0, "most": {"server_error": 2}})
    assert [post(sim, body("A"))[0] == 200 for _ in range(4)] == [False, False, True, True]


def test_shares_are_met_and_attempts_of_one_request_are_drawn_anew(sim):
    sim.change({"rate_limit": 0.3, "seed": 6})
    statuses = [[post(sim, body(str(number)))[0] for _ in range(5)] for number in range(40)]
    struck = sum(status == 429 for row in statuses for status in row)
    assert 40 <= struck <= 80  # of 200, 60 expected
    assert all(200 in row for row in statuses)


def test_the_same_seed_strikes_the_same_requests_in_whatever_order_they_come(sim):
    shares = {"rate_limit": 0.2, "server_error": 0.1, "truncated_json": 0.2, "refusal": 0.1}
    seen = []
    for order in (range(40), reversed(range(40))):
        sim.faults({**shares, "seed": 3})
        sim.reset()
        seen.append({number: _seen(sim, number) for number in order})
    assert seen[0] == seen[1]
    sim.faults({**shares, "seed": 4})
    sim.reset()
    assert {number: _seen(sim, number) for number in range(40)} != seen[0]


def test_what_is_wrong_with_an_answer_does_not_depend_on_the_attempt():
    faults = Faults(make_script(dict.fromkeys(ANSWER, 0.1)), lambda fault: None)
    question = b"q" * 32
    assert len({faults.of_answer(question) for _ in range(10)}) == 1


def test_draws_meet_every_share_of_a_script():
    shares = {name: 0.01 * (place + 1) for place, name in enumerate(TRANSPORT)}
    faults = Faults(make_script({**shares, "seed": 11}), lambda fault: None)
    for number in range(20_000):
        faults.of_attempt(number.to_bytes(32, "big"), 1)
    found = {name: faults.struck[name] / 20_000 for name in TRANSPORT}
    assert found == {name: pytest.approx(share, abs=4 * (share / 20_000) ** 0.5) for name, share in shares.items()}


def test_latency_is_lognormal_around_its_mean_and_grows_with_the_answer():
    faults = Faults(make_script({"latency": 0.3, "latency_spread": 0.5}), lambda fault: None)
    drawn = [faults.latency_s(number.to_bytes(32, "big"), 1, 0) for number in range(5000)]
    assert sum(drawn) / len(drawn) == pytest.approx(0.3, rel=0.05)
    assert sorted(drawn)[2500] == pytest.approx(0.3 * 2.718281828 ** (-0.125), rel=0.05)
    faults.replace(make_script({"latency": 0.3, "tokens_per_second": 100}))
    assert faults.latency_s(b"", 1, 50) == pytest.approx(0.8)


def test_an_answer_takes_as_long_as_the_script_says(sim):
    sim.change({"latency": 0.3})
    began = time.monotonic()
    ask(sim, "A")
    assert time.monotonic() - began > 0.29


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ({"rate_limt": 0.1}, "did you mean rate_limit"),
        ({"reset": 1.5}, "reset: Input should be less than or equal to 1, found 1.5"),
        ({"reset": 0.6, "hang": 0.6}, "at most 1 in all, found 1.2"),
        ({"most": {"resset": 1}}, "did you mean reset"),
        ({"rpm": 0}, "rpm"),
    ],
)
def test_a_script_that_is_wrong_is_refused_by_name(script, says):
    with pytest.raises(ConfigError) as error:
        make_script(script)
    assert says in str(error.value)


def test_a_wrong_script_is_refused_at_run_time_and_the_old_one_stays(sim):
    sim.change({"rate_limit": 0.25})
    with pytest.raises(ConfigError, match=r"400: .*did you mean refusal"):
        sim.change({"refusel": 0.1})
    assert sim.ask("GET", "/faults")["rate_limit"] == 0.25


def _follow_up(title: str) -> dict:
    request = body(title)
    request["messages"].append({"role": "user", "content": "Your answer broke off: answer again."})
    return request


def _seen(sim, number: int) -> list:
    """What two attempts at a request bring, without ids and times."""
    answers = [post(sim, body(f"Book {number}")) for _ in range(2)]
    return [(status, json.loads(text).get("choices")) for status, _, text in answers]


def _wait(met, most_s: float = 3.0) -> None:
    end = time.monotonic() + most_s
    while not met():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def test_a_reset_of_one_request_leaves_the_others_alone(sim):
    sim.change({"latency": 0.3, "reset": 1.0, "most": {"reset": 1}})
    results: list[object] = []

    def one(title: str) -> None:
        try:
            results.append(post(sim, body(title))[0])
        except (OSError, http.client.HTTPException):
            results.append("reset")

    threads = [threading.Thread(target=one, args=(title,)) for title in "ABC"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == ["200", "200", "reset"]
