"""The table of error classes: what each status means, and how long it asks to wait."""

import ast
import json
import sys
import time
from email.utils import formatdate
from pathlib import Path
from subprocess import run

import pytest

from language_models.faults import DETAIL, LONGEST_WAIT_S, bad_response, fault_of_status
from language_models.rate_headers import asked_wait, duration, limit_headers, number


def fault(status, headers=None, message="no", **error):
    return fault_of_status(status, headers or {}, json.dumps({"error": {"message": message, **error}}))


@pytest.mark.parametrize(
    ("status", "reason", "action", "outage"),
    [
        (500, "server", "retry", True),
        (502, "server", "retry", True),
        (503, "server", "retry", True),
        (504, "server", "retry", True),
        (529, "server", "retry", True),
        (408, "timeout", "retry", False),
        (409, "conflict", "retry", False),
        (429, "rate_limit", "wait", False),
        (400, "bad_request", "drop", False),
        (404, "bad_request", "drop", False),
        (413, "bad_request", "drop", False),
        (422, "bad_request", "drop", False),
        (401, "refused", "stop", False),
        (402, "refused", "stop", False),
        (403, "refused", "stop", False),
        (307, "refused", "stop", False),
    ],
)
def test_what_a_status_means(status, reason, action, outage):
    seen = fault(status)
    assert (seen.reason, seen.action, seen.outage) == (reason, action, outage)
    assert f"{status}: no" in seen.detail


@pytest.mark.parametrize("name", ["code", "type"])
def test_a_used_up_quota_stops_the_run(name):
    seen = fault(429, **{name: "insufficient_quota"})
    assert seen.action == "stop"
    assert "quota is used up" in seen.detail


def test_an_unknown_model_stops_the_run():
    assert fault(404, code="model_not_found").action == "stop"


def test_a_redirect_says_where_to():
    assert (
        "redirects to https://b.example/v1; correct llm.base_url"
        in fault(308, {"location": "https://b.example/v1"}).detail
    )


@pytest.mark.parametrize(
    ("status", "advice", "action"), [(500, "false", "drop"), (429, "false", "drop"), (400, "true", "retry")]
)
def test_the_endpoint_may_say_itself_whether_to_retry(status, advice, action):
    assert fault(status, {"x-should-retry": advice}).action == action


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "7"}, 7.0),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "nan"}, None),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m2s"}, 62.0),
        ({"x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "1m2s"}, None),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "2s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            360.0,
        ),
        ({"retry-after": "3", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 3.0),
    ],
)
def test_how_long_a_429_asks_to_wait(headers, seconds):
    assert asked_wait(headers) == seconds
    assert fault(429, headers).wait_s == seconds


def test_a_date_is_a_time_to_wait():
    assert 25 <= asked_wait({"retry-after": formatdate(time.time() + 30, usegmt=True)}) <= 30
    assert asked_wait({"retry-after": formatdate(time.time() - 30, usegmt=True)}) == 0.0


def test_a_date_is_counted_from_the_date_of_the_response_and_not_from_our_clock():
    an_hour_ago = time.time() - 3600
    dates = (formatdate(an_hour_ago + 30, usegmt=True), formatdate(an_hour_ago, usegmt=True))
    assert asked_wait(limit_headers({"Retry-After": dates[0], "Date": dates[1]})) == 30.0
    assert asked_wait(limit_headers({"Retry-After": "7", "Date": dates[1]})) == 7.0
    assert asked_wait(limit_headers({"Retry-After": "soon", "Date": dates[1]})) is None


def test_a_503_may_ask_for_a_wait_too():
    assert fault(503, {"retry-after": "9"}).wait_s == 9.0


def test_a_wait_of_more_than_an_hour_ends_the_run():
    seen = fault(429, {"retry-after": str(LONGEST_WAIT_S + 1)})
    assert seen.action == "stop"
    assert "asks to wait 3601 s; run again after that" in seen.detail


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("1h2m3.5s", 3723.5),
        ("2m59.56s", 179.56),
        ("1d", 86400.0),
        ("30", 30.0),
        ("1700000000", None),
        ("", None),
        ("soon", None),
        ("1s and more", None),
        (None, None),
    ],
)
def test_durations(text, seconds):
    assert duration(text) == pytest.approx(seconds) if seconds is not None else duration(text) is None


def test_numbers():
    assert [number(text) for text in ("5", "0.5", "x", "inf", None)] == [5.0, 0.5, None, None, None]


def test_only_headers_that_speak_of_limits_are_kept():
    headers = {"Content-Type": "x", "X-RateLimit-Limit-Requests": "9", "Retry-After": "1", "X-Should-Retry": "true"}
    assert limit_headers(headers) == {"x-ratelimit-limit-requests": "9", "retry-after": "1", "x-should-retry": "true"}


@pytest.mark.parametrize(
    "body", ["", "<html>\n  busy </html>", "[]", "null", '{"error": "busy"}', '{"message": "busy"}']
)
def test_a_body_of_any_kind_gives_a_detail(body):
    seen = fault_of_status(500, {}, body)
    assert seen.detail.startswith("500: ")
    assert "\n" not in seen.detail


def test_details_are_short():
    assert len(fault(500, message="x" * 10_000).detail) <= DETAIL + 10
    assert len(bad_response("x" * 10_000).detail) <= DETAIL


def test_a_body_that_is_no_completion_is_perhaps_paid():
    assert bad_response("<html>").action == "unknown"


def test_the_classes_can_be_read_without_an_http_client():
    code = "import sys, language_models.scheduler; print([m for m in ('aiohttp', 'openai') if m in sys.modules])"
    root = Path(__file__).resolve().parents[2]
    shown = run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(shown) == []
