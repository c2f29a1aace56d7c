"""Announced and hidden limits, and the headers that announce them."""

from __future__ import annotations

import threading
import time

import pytest

from language_models.simulator.limits import Bucket, Limits, duration
from language_models.simulator.script import make_script
from tests.language_models.simulator.asking import body, post


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_gives_its_quota_continuously_and_no_more():
    clock = Clock()
    bucket, taken = Bucket(600, 1.0, clock), 0
    for _ in range(60_000):  # asked every millisecond for a minute
        clock.now += 0.001
        if bucket.wait_s(1) == 0:
            bucket.take(1)
            taken += 1
    assert 600 <= taken <= 610 + 1  # the quota and the ten that were in it


def test_a_bucket_says_how_long_to_wait_for_what_is_missing():
    clock = Clock()
    bucket = Bucket(60, 10.0, clock)
    bucket.take(10)
    assert bucket.wait_s(3) == pytest.approx(3)
    assert bucket.wait_s(1000) == pytest.approx(10)  # more than it ever holds: a full one will do
    clock.now = 3.0
    assert bucket.wait_s(3) == 0


def test_a_request_larger_than_the_bucket_is_let_in_when_it_is_full_and_paid_back():
    clock = Clock()
    bucket = Bucket(60, 10.0, clock)
    assert bucket.wait_s(25) == 0
    bucket.take(25)
    assert bucket.wait_s(1) == pytest.approx(16)


def test_durations_are_written_as_openai_writes_them():
    written = [duration(seconds) for seconds in (0, 0.012, 1, 1.5, 59.9, 61, 360, 3723)]
    assert written == ["0ms", "12ms", "1s", "1.5s", "59.9s", "1m1s", "6m0s", "1h2m3s"]


def test_quotas_that_stay_keep_their_level_when_the_script_changes():
    limits = Limits(make_script({"rpm": 60, "burst_s": 2.0}))
    assert [limits.admit(1) == 0 for _ in range(3)] == [True, True, False]
    limits.replace(make_script({"rpm": 60, "burst_s": 2.0, "rate_limit": 0.5}))
    assert limits.admit(1) > 0
    limits.replace(make_script({"rpm": 120, "burst_s": 2.0}))
    assert limits.admit(1) == 0


def test_requests_per_minute_are_enforced_and_announced(sim):
    sim.change({"rpm": 240, "burst_s": 0.5})  # two at once, four per second
    answers = [post(sim, body(str(number))) for number in range(3)]
    assert [status for status, _, _ in answers] == [200, 200, 429]
    limits = [headers["x-ratelimit-limit-requests"] for _, headers, _ in answers]
    assert limits == ["240"] * 3
    assert [headers["x-ratelimit-remaining-requests"] for _, headers, _ in answers] == ["1", "0", "0"]
    refused = answers[2][1]
    assert refused["x-ratelimit-reset-requests"].endswith("ms")
    assert 0 < int(refused["retry-after-ms"]) <= 250
    time.sleep(int(refused["retry-after-ms"]) / 1000 + 0.02)
    assert post(sim, body("3"))[0] == 200
    assert sim.stats()["rate_limited"] == 1


def test_tokens_per_minute_count_prompt_and_answer(sim):
    sim.change({"tpm": 6_000})
    remaining = int(post(sim, body("A"))[1]["x-ratelimit-remaining-tokens"])
    used = sim.stats()["input_tokens"] + sim.stats()["output_tokens"]
    assert 0 <= remaining - (6_000 - used) <= 5  # 100 come back per second
    sim.change({"tpm": 60 * used, "burst_s": 1.0})  # one such request per second
    assert [post(sim, body("A"))[0] for _ in range(2)] == [200, 429]


def test_the_quota_is_given_out_in_full_over_some_seconds(sim):
    sim.change({"rpm": 1200, "burst_s": 0.2})
    began, served = time.monotonic(), 0
    while time.monotonic() - began < 2.0:
        served += post(sim, body("A"))[0] == 200
    seconds = time.monotonic() - began
    assert 20 * seconds * 0.9 <= served <= 20 * seconds + 4 + 1


def test_hidden_requests_per_minute_bring_a_bare_429(sim):
    sim.change({"hidden_rpm": 60, "burst_s": 1.0})
    answers = [post(sim, body("A")) for _ in range(2)]
    assert [status for status, _, _ in answers] == [200, 429]
    assert not [name for name in answers[1][1] if name.lower().startswith(("x-ratelimit", "retry-after"))]
    assert sim.stats()["rate_limited"] == 1


def test_hidden_capacity_bounds_what_is_in_flight_and_can_be_changed(sim):
    sim.change({"hidden_capacity": 2, "latency": 0.3})
    assert _together(sim, 5) == {200: 2, 429: 3}
    sim.change({"hidden_capacity": 4})
    assert _together(sim, 5) == {200: 4, 429: 1}


def test_hidden_capacity_follows_a_schedule(sim):
    sim.faults({"capacity": [[0, 4], [0.6, 1]], "latency": 0.2})
    assert _together(sim, 4) == {200: 4}
    time.sleep(0.5)
    assert _together(sim, 4) == {200: 1, 429: 3}


def _together(sim, number: int) -> dict[int, int]:
    """Statuses of so many requests at once."""
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda title: statuses.append(post(sim, body(title))[0]), args=(str(title),))
        for title in range(number)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {status: statuses.count(status) for status in sorted(set(statuses))}
