"""The window of calls in flight: alone, and against endpoints of hidden capacity under simulated time (R9)."""

import asyncio
import random
from math import inf

import pytest

from language_models.scheduler import Scheduler, Status
from language_models.window import COOL_S, Window
from schemas.sections import Llm
from tests.support.scripted_connection import Connection, Engine, ListDesk, Outcome, limited, now
from tests.support.simulated_loop import simulate


def test_it_starts_with_all_slots_and_says_when_one_is_free():
    window = Window(4)
    assert window.size == 4
    assert window.ready_at(0.0, 3) == 0.0
    assert window.ready_at(0.0, 4) == inf
    assert (window.free(0.0, 1), window.free(0.0, 9)) == (3, 0)


def test_a_slot_rests_after_a_429_beyond_the_tolerance():
    window = Window(2)
    while window.ready_at(0.0, 1) == 0.0:
        window.limited(0.0)
    assert window.ready_at(0.0, 1) == COOL_S
    assert window.ready_at(COOL_S, 1) == COOL_S


def test_latency_changes_nothing():
    quick, slow = Window(32), Window(32)
    for number in range(1000):
        quick.ready_at(number * 0.01, 32)
        quick.returned(number * 0.01)
        slow.ready_at(number * 10.0, 32)
        slow.returned(number * 10.0)
    assert quick.size == slow.size == 32


def test_it_never_leaves_its_bounds():
    window, draw, time = Window(16), random.Random(3), 0.0
    for _ in range(5000):
        time += draw.choice([0.0, 0.1, 1.0])
        window.ready_at(time, 16)
        draw.choice([window.limited, window.limited, window.returned])(time)
        assert 1 <= window.size <= 16


def test_a_window_that_is_not_used_does_not_grow():
    window = Window(64)
    for number in range(400):
        window.limited(number * 0.01)
    size = window.size
    for number in range(2000):
        window.returned(10 + number * 0.1)  # nobody was ever held back by it
    assert size < 10
    assert window.size == size


def test_it_grows_faster_with_every_round_that_meets_no_limit():
    window, time = Window(256), 0.0
    for _ in range(2000):
        time += 0.01
        window.limited(time)
    assert window.size == 1
    rounds = 0
    while window.size < 200:
        rounds += 1
        for _ in range(window.size):
            window.ready_at(time, 256)
            window.returned(time)
        time += 1.0
    assert 4 <= rounds <= 9, "not 24, as with equal steps"


class Endpoint:
    """Answers so many calls at a time and refuses the others at once, with a bare 429."""

    def __init__(self, capacity, latency_s, random_share=0.0):
        self.capacity, self.latency_s, self.random_share = capacity, latency_s, random_share
        self.draw, self.busy_until = random.Random(7), []
        self.answered, self.refused = [], []  # times

    def __call__(self, id, attempt):
        self.busy_until = [until for until in self.busy_until if until > now()]
        if len(self.busy_until) >= self.capacity(now()) or self.draw.random() < self.random_share:
            self.refused.append(now())
            return Outcome(0.005, limited())
        after_s = self.latency_s * self.draw.uniform(0.5, 1.5)
        self.busy_until.append(now() + after_s)
        self.answered.append(now() + after_s)
        return Outcome(after_s)

    def used(self, start, end, slots):
        """Share of so many slots that answered between two moments."""
        return sum(start <= moment < end for moment in self.answered) * self.latency_s / (end - start) / slots


def ask(endpoint, concurrency, seconds):
    """Ask without end for so long; returns the sizes of the window, one per second."""
    sizes, status = [], Status()

    async def main():
        scheduler = Scheduler(Engine(), Llm(engine="openai", model="m", concurrency=concurrency), status)
        run = asyncio.ensure_future(scheduler.run(Connection(endpoint), ListDesk(10**9)))
        for _ in range(seconds):
            await asyncio.sleep(1)
            sizes.append(status.window)
        scheduler.stop()
        await run

    simulate(main())
    return sizes


@pytest.mark.parametrize(("concurrency", "capacity"), [(64, 32), (128, 32), (64, 8)])
@pytest.mark.parametrize("latency_s", [0.5, 2.0])
def test_r9_it_settles_at_a_hidden_capacity_and_follows_it_down_and_up(concurrency, capacity, latency_s):
    half = capacity // 2
    endpoint = Endpoint(lambda time: half if 60 <= time < 120 else capacity, latency_s)
    ask(endpoint, concurrency, 200)
    assert endpoint.used(30, 60, capacity) >= 0.9
    assert endpoint.used(90, 120, half) >= 0.9
    assert endpoint.used(150, 200, capacity) >= 0.9, "thirty seconds after the capacity has doubled"
    per_slot = sum(30 <= moment < 60 for moment in endpoint.refused) / 30 / capacity
    assert per_slot < 1.0, "429s per second and slot"


@pytest.mark.parametrize("latency_s", [0.2, 1.0, 5.0])
def test_r1_random_429s_do_not_make_it_collapse(latency_s):
    endpoint = Endpoint(lambda time: inf, latency_s, random_share=0.05)
    sizes = ask(endpoint, 64, 60)
    assert min(sizes[20:]) >= 56
    assert endpoint.used(20, 60, 64) >= 0.85


def test_an_endpoint_that_refuses_everything_is_asked_slowly():
    endpoint = Endpoint(lambda time: 0, 1.0)
    sizes = ask(endpoint, 64, 60)
    assert sizes[30] <= 4
    assert sum(moment > 30 for moment in endpoint.refused) < 30 * 4 / COOL_S
