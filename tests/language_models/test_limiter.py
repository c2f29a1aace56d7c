"""Quotas per minute: the bucket, what is learnt from headers, and servers that enforce a quota in three ways (R8)."""

import asyncio
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from language_models.faults import Fault
from language_models.limiter import BURST_S, SHARE, STREAK, Bucket, Limiter
from language_models.rate_headers import asked_wait
from language_models.scheduler import Scheduler, Status
from schemas.errors import EngineError
from schemas.sections import Llm
from tests.support.scripted_connection import Connection, Engine, ListDesk, Outcome, now
from tests.support.simulated_loop import simulate


def limiter(**changes):
    return Limiter(Llm(engine="openai", model="m", max_output_tokens=100, **changes), 0.0)


def says(**headers):
    return {f"x-ratelimit-{name.replace('_', '-')}": str(value) for name, value in headers.items()}


@given(
    per_minute=st.integers(1, 100_000),
    wanted=st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 1)), min_size=1, max_size=100),
)
def test_a_bucket_gives_no_more_than_its_quota_and_its_burst(per_minute, wanted):
    bucket, time, given_out = Bucket(per_minute, 0.0), 0.0, []
    for pause, share in wanted:
        time = max(time + pause, bucket.ready_at(time + pause, share * bucket.size))
        bucket.take(time, share * bucket.size)
        given_out.append((time, share * bucket.size))
    for start in range(len(given_out)):
        amount = sum(part for _, part in given_out[start:])
        lasted = given_out[-1][0] - given_out[start][0]
        assert amount <= per_minute / 60 * lasted + bucket.size * (1 + 1e-9) + 1e-6


def test_more_than_a_bucket_holds_waits_for_a_full_one_and_leaves_a_debt():
    bucket = Bucket(60, 0.0)
    assert bucket.ready_at(0.0, 5.0) == 0.0
    bucket.take(0.0, 5.0)
    assert bucket.ready_at(0.0, 1.0) == pytest.approx(5 / SHARE)


def test_without_limits_everything_may_go_at_once():
    assert limiter().ready_at(3.0, 10**9) == 3.0


def test_requests_are_spaced_as_the_run_file_says():
    quota, time, sent = limiter(requests_per_minute=60), 0.0, 0
    while time < 60:
        quota.reserve(time, 0)
        sent, time = sent + 1, quota.ready_at(time, 0)
    assert 58 <= sent <= 60 + BURST_S


def test_a_reservation_is_settled_with_what_the_answer_used():
    quota = limiter(tokens_per_minute=6000)
    ticket = quota.reserve(0.0, 400)  # and 100 for the answer
    assert quota.ready_at(0.0, 50) > 4.0
    quota.answered(0.0, ticket, 40, 10)
    assert quota.ready_at(0.0, 30) <= 0.1


def test_the_tokens_of_a_call_that_used_none_are_given_back():
    quota = limiter(tokens_per_minute=6000)
    quota.failed(0.0, quota.reserve(0.0, 400))
    assert quota.ready_at(0.0, 50) == 0.0


def test_the_length_of_answers_is_learnt():
    quota = limiter(tokens_per_minute=6000)
    for _ in range(100):
        quota.answered(0.0, quota.reserve(0.0, 0), 0, 7)
    assert quota.reserve(0.0, 10).tokens == pytest.approx(17, abs=0.5)


def test_limits_are_learnt_from_headers_unless_the_run_file_says_otherwise():
    quota = limiter(tokens_per_minute=900)
    headers = says(limit_requests=120, limit_tokens=10_000, remaining_requests=119)
    quota.observe(0.0, quota.reserve(0.0, 1), headers)
    assert (quota.per_minute("requests"), quota.per_minute("tokens")) == (120, 900)


def test_a_call_that_was_reserved_before_its_limit_was_known_is_not_settled_against_it():
    quota = limiter()
    early = quota.reserve(0.0, 1000)
    quota.observe(1.0, quota.reserve(0.0, 1), says(limit_tokens=6000))
    before = quota.ready_at(1.0, 0)
    quota.answered(1.0, early, 50_000, 50_000)
    assert quota.ready_at(1.0, 0) <= before + 1


@pytest.mark.parametrize(("reset", "seconds"), [("1s", 1.0), ("6m0s", 360.0), ("120ms", 0.12), ("1h2m3.5s", 3600.0)])
def test_a_used_up_limit_holds_everything_until_its_reset(reset, seconds):
    quota = limiter()
    quota.observe(10.0, quota.reserve(10.0, 1), says(remaining_tokens=0, reset_tokens=reset))
    assert quota.ready_at(10.0, 1) == pytest.approx(10.0 + seconds), "an hour at most"


def test_what_remains_bounds_what_is_sent_at_once():
    quota = limiter(requests_per_minute=6000)
    quota.observe(0.0, quota.reserve(0.0, 1), says(remaining_requests=2))
    quota.reserve(0.0, 1)
    quota.reserve(0.0, 1)
    assert quota.ready_at(0.0, 1) > 0.0


def test_an_endpoint_that_always_says_that_nothing_remains_does_not_starve_us():
    """Strict spacing: one request per 100 ms, and none remains after any; the answers come a second later."""
    quota, sent, time = limiter(requests_per_minute=600), deque(), 0.0
    count = 0
    while time < 60:
        while sent and sent[0].at + 1.0 <= time:
            ticket = sent.popleft()
            quota.observe(time, ticket, says(remaining_requests=0, reset_requests="100ms"))
        if quota.ready_at(time, 1) <= time:
            sent.append(quota.reserve(time, 1))
            count += 1
        time += 0.01
    assert count >= 0.9 * 600


def test_waits_in_a_row_hold_everything_for_the_shortest_and_an_answer_ends_the_row():
    quota = limiter()
    for wait_s in [50.0, 9.0, 30.0, 40.0][: STREAK - 1]:
        quota.limited(0.0, wait_s)
    assert quota.ready_at(0.0, 1) == 0.0
    quota.limited(0.0, 40.0)
    assert quota.ready_at(0.0, 1) == 9.0
    other = limiter()
    for _ in range(3 * STREAK):
        other.limited(0.0, 5.0)
        other.answered(0.0, other.reserve(0.0, 1), 1, 1)
    assert other.ready_at(0.0, 1) == 0.0


def test_nothing_but_429s_is_borne_for_a_quarter_of_an_hour_or_three_of_the_waits_asked_for():
    quota = limiter()
    quota.limited(0.0, None)
    quota.limited(899.0, None)
    with pytest.raises(EngineError, match="429 to every call for 900 s"):
        quota.limited(901.0, None)
    patient = limiter()
    patient.limited(0.0, 1000.0)
    patient.limited(2999.0, 1000.0)
    with pytest.raises(EngineError, match="3000 s"):
        patient.limited(3001.0, 1000.0)


# ---- R8: 600 requests and 90,000 tokens per minute


class Refilling:
    """A bucket that refills continuously, as OpenAI describes its own; `seconds` is how much quota it holds."""

    def __init__(self, per_minute, seconds):
        self.rate, self.size = per_minute / 60, max(1.0, per_minute / 60 * seconds)
        self.level, self.at = self.size, 0.0

    def missing_s(self, amount):
        self.level, self.at = min(self.size, self.level + (now() - self.at) * self.rate), now()
        return max(0.0, (min(amount, self.size) - self.level) / self.rate)

    def take(self, amount):
        self.level -= amount

    @property
    def reset_s(self):
        return (self.size - self.level) / self.rate


class Fixed:
    """So much per calendar minute."""

    def __init__(self, per_minute, seconds):
        self.size, self.minute, self.used = per_minute, 0, 0

    def missing_s(self, amount):
        if now() // 60 != self.minute:
            self.minute, self.used = now() // 60, 0
        return 0.0 if self.used + amount <= self.size else self.reset_s

    def take(self, amount):
        self.used += amount

    @property
    def level(self):
        return self.size - self.used

    @property
    def reset_s(self):
        return 60 - now() % 60


class Sliding:
    """So much in any sixty seconds."""

    def __init__(self, per_minute, seconds):
        self.size, self.taken = per_minute, deque()

    def missing_s(self, amount):
        while self.taken and self.taken[0][0] <= now() - 60:
            self.taken.popleft()
        return 0.0 if amount <= self.level else self.taken[0][0] + 60 - now()

    def take(self, amount):
        self.taken.append((now(), amount))

    @property
    def level(self):
        return self.size - sum(amount for _, amount in self.taken)

    @property
    def reset_s(self):
        return 0.1


class Server:
    """Enforces both quotas and says so in headers."""

    def __init__(self, kind, seconds, tokens, latency_s):
        self.requests, self.tokens = kind(600, seconds), kind(90_000, seconds)
        self.mean, self.latency_s, self.draw = tokens, latency_s, random.Random(5)
        self.answered, self.refused = [], []  # (time, tokens), time

    def __call__(self, id, attempt):
        used = int(self.mean * 2 / 3 * self.draw.uniform(0.7, 1.3)), int(self.mean / 3 * self.draw.uniform(0.5, 1.5))
        wait = max(self.requests.missing_s(1), self.tokens.missing_s(sum(used)))
        if wait > 0:
            self.refused.append(now())
            headers = self.headers() | {"retry-after-ms": str(int(wait * 1000) + 1)}
            return Outcome(0.02, Fault("rate_limit", "wait", "429", asked_wait(headers), headers))
        self.requests.take(1)
        self.tokens.take(sum(used))
        self.answered.append((now(), sum(used)))
        return Outcome(self.latency_s * self.draw.uniform(0.5, 1.5), headers=self.headers(), tokens=used)

    def headers(self):
        limits = {"limit_requests": 600, "limit_tokens": 90_000}
        quotas = {"requests": self.requests, "tokens": self.tokens}
        remaining = {f"remaining_{name}": max(0, int(quota.level)) for name, quota in quotas.items()}
        return says(**limits, **remaining, **{f"reset_{name}": f"{q.reset_s:.3f}s" for name, q in quotas.items()})


@pytest.mark.parametrize(("kind", "seconds"), [(Refilling, 60), (Refilling, 1), (Fixed, 60), (Sliding, 60)])
@pytest.mark.parametrize("tokens", [100, 450])
@pytest.mark.parametrize(("known", "latency_s"), [(True, 2.0), (False, 0.5)])
def test_r8_the_quota_is_used_and_not_exceeded(kind, seconds, tokens, known, latency_s):
    """In the steady state: less than 1 % of calls come back with 429, and 95 % of the quota that binds is used."""
    user = "word " * (tokens * 2 // 3 - 20)
    server, status = Server(kind, seconds, tokens, latency_s), Status()
    limits = {"requests_per_minute": 600, "tokens_per_minute": 90_000} if known else {}

    async def main():
        llm = Llm(engine="openai", model="m", concurrency=64, **limits)
        scheduler = Scheduler(Engine(), llm, status)
        asyncio.get_running_loop().call_later(300, scheduler.stop)
        await scheduler.run(Connection(server), ListDesk(10_000, user=user))

    simulate(main())
    steady = [(time, used) for time, used in server.answered if 60 <= time < 300]
    refused = sum(60 <= time < 300 for time in server.refused)
    quota = max(len(steady) / (4 * 600), sum(used for _, used in steady) / (4 * 90_000))
    assert quota >= 0.95
    assert refused < 0.01 * len(steady)
    assert (status.requests_per_minute, status.tokens_per_minute) == (600, 90_000)


def test_limits_show_in_the_status():
    status = Status()
    scheduler = Scheduler(Engine(), Llm(engine="openai", requests_per_minute=7), status)
    simulate(scheduler.run(Connection(lambda id, attempt: Outcome()), ListDesk(1)))
    assert (status.requests_per_minute, status.tokens_per_minute) == (7, None)
