"""The scheduler under simulated time, against a scripted endpoint."""

import asyncio
import threading
import time
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from language_models.faults import Fault
from language_models.scheduler import GRACE_S, WAITING, Scheduler, Status
from schemas.errors import BudgetError, EngineError
from schemas.sections import Llm
from tests.support.scripted_connection import (
    BAD_KEY,
    BAD_REQUEST,
    OK,
    REFUSED,
    SERVER,
    TIMEOUT,
    Connection,
    Engine,
    ListDesk,
    Outcome,
    limited,
    now,
    prompt,
)
from tests.support.simulated_loop import simulate

HOUR = 3600.0


def llm(**changes):
    return Llm(**{"engine": "openai", "model": "m", "concurrency": 4, "attempts": 3} | changes)


def always(fault=None, after_s=1.0):
    return Connection(lambda id, attempt: Outcome(after_s, fault))


def at_first(fault, times=1, after_s=0.1):
    """Every call meets the fault so many times, then an answer."""
    return Connection(lambda id, attempt: Outcome(after_s, fault) if attempt <= times else OK)


def run(connection, desk, status=None, longest_s=24 * HOUR, **changes):
    """Returns how many seconds it took."""

    async def main():
        await Scheduler(Engine(), llm(**changes), status).run(connection, desk)
        return now()

    seconds = simulate(main(), longest_s)
    desk.check()
    return seconds


def test_each_prompt_is_answered_once_and_the_window_is_kept_full():
    connection, desk, status = always(), ListDesk(1000), Status()
    seconds = run(connection, desk, status, concurrency=50)
    assert set(desk.reasons.values()) == {"stop"}
    assert connection.most_in_flight == 50
    assert seconds == pytest.approx(1000 / 50, rel=0.05)
    assert (status.attempts, status.in_flight, status.window, status.waiting) == (1000, 0, 50, 0)


def test_few_prompts_are_taken_ahead_of_their_sending():
    connection, desk, ahead = always(), ListDesk(200), []
    bring = desk.bring

    def watch(completion):
        bring(completion)
        ahead.append(len(desk.taken) - len(connection.sent))

    desk.bring = watch
    run(connection, desk, concurrency=40)
    assert 0 < max(ahead) <= 40 // 4 + 1


def test_a_slow_ledger_does_not_leave_the_endpoint_idle():
    seconds = run(always(), ListDesk(400, commit_s=0.2), concurrency=20)
    assert seconds == pytest.approx(400 / 20, rel=0.1)


@pytest.mark.parametrize("fault", [SERVER, Fault("conflict", "retry")])
def test_a_passing_fault_is_repeated_after_a_growing_pause(fault):
    connection, desk, status = at_first(fault, times=2), ListDesk(1), Status()
    run(connection, desk, status)
    first, second, third = (moment for moment, _ in connection.sent)
    assert 0.35 <= second - first <= 0.6
    assert 0.6 <= third - second <= 1.1
    assert (desk.reasons, status.retried) == ({"0": "stop"}, 2)


def test_a_lasting_fault_ends_as_an_error_after_as_many_attempts_as_are_allowed():
    connection, desk = Connection(lambda id, attempt: Outcome(1, SERVER) if id == "3" else OK), ListDesk(20)
    run(connection, desk, concurrency=2)
    assert [id for id, reason in desk.reasons.items() if reason != "stop"] == ["3"]
    assert desk.reasons["3"] == "error:server"
    assert connection.attempts["3"] == 3


def test_a_bad_request_is_given_up_at_once():
    connection, desk = always(BAD_REQUEST), ListDesk(3)
    run(connection, desk)
    assert set(desk.reasons.values()) == {"error:bad_request"}
    assert set(connection.attempts.values()) == {1}


def test_a_429_waits_as_long_as_it_asks_and_uses_up_no_attempt():
    connection, desk, status = at_first(limited(30.0), times=10), ListDesk(1), Status()
    run(connection, desk, status)
    moments = [moment for moment, _ in connection.sent]
    assert all(later - earlier >= 30.0 for earlier, later in pairwise(moments))
    assert (desk.reasons, status.rate_limited) == ({"0": "stop"}, 10)


def test_one_call_that_waits_holds_no_other_back():
    connection = Connection(lambda id, attempt: Outcome(0.1, limited(600.0)) if (id, attempt) == ("0", 1) else OK)
    desk = ListDesk(100)
    run(connection, desk)
    late = [moment for moment, id in connection.sent if moment > 300]
    assert len(late) == 1


def test_a_run_of_429s_with_a_wait_holds_everything_back():
    limited_until = 100.0
    connection = Connection(lambda id, attempt: OK if now() >= limited_until else Outcome(0.1, limited(20.0)))
    desk, status = ListDesk(200), Status()
    seconds = run(connection, desk, status, concurrency=16)
    assert status.rate_limited < 16 * 7, "some sixteen per twenty seconds, not thousands"
    assert seconds < limited_until + 20 + 200 / 16 * 3


def test_nothing_but_429s_for_a_quarter_of_an_hour_ends_the_run():
    desk = ListDesk(10)
    with pytest.raises(EngineError, match=r"429 to every call for 900 s; run again later"):
        run(always(limited()), desk)
    desk.check()
    assert len(desk.returned) == len(desk.taken)


def test_a_call_that_is_always_limited_while_others_are_answered_is_given_up():
    connection = Connection(lambda id, attempt: Outcome(0.1, limited()) if id == "0" else OK)
    desk = ListDesk(20_000)
    run(connection, desk, concurrency=4)
    assert [(id, reason) for id, reason in desk.reasons.items() if reason != "stop"] == [("0", "error:rate_limit")]


def test_an_unknown_attempt_is_reported_and_not_repeated():
    connection, desk, status = always(TIMEOUT), ListDesk(3), Status()
    run(connection, desk, status)
    assert set(desk.reasons.values()) == {"unknown:timeout"}
    assert set(connection.attempts.values()) == {1}
    assert status.unknown == 3


def test_an_unknown_attempt_is_repeated_where_a_gateway_gives_the_same_answer_again():
    connection, desk, status = at_first(TIMEOUT, times=2), ListDesk(3), Status()
    run(connection, desk, status, recovery="idempotency")
    assert set(desk.reasons.values()) == {"stop"}
    assert status.unknown == 6


def test_what_may_have_been_paid_stays_unknown_whatever_comes_after():
    outcomes = {1: TIMEOUT, 2: SERVER, 3: SERVER}
    connection, desk = Connection(lambda id, attempt: Outcome(1, outcomes[attempt])), ListDesk(1)
    run(connection, desk, recovery="idempotency")
    assert desk.reasons == {"0": "unknown:timeout"}


@pytest.mark.parametrize("look", [1, 2])
def test_a_stored_answer_is_found_at_once_or_a_second_later(look):
    connection, desk, status = always(TIMEOUT), ListDesk(2), Status()
    connection.stored = {"0": look}
    run(connection, desk, status, recovery="stored")
    assert desk.reasons == {"0": "stop", "1": "unknown:timeout"}
    assert (status.unknown, status.recovered) == (2, 1)
    assert connection.looks == {"0": look, "1": 2}


def test_a_fatal_fault_ends_the_run_after_the_answers_in_flight_came():
    connection = Connection(lambda id, attempt: Outcome(1, BAD_KEY) if id == "5" else Outcome(3))
    desk = ListDesk(100)
    with pytest.raises(
        EngineError, match=r"http://127\.0\.0\.1:1/v1: model script-1: .*refused the key.*OPENAI_API_KEY"
    ):
        run(connection, desk)
    desk.check()
    assert set(desk.reasons.values()) == {"stop"}
    assert len(connection.sent) <= 9
    assert "5" in desk.returned


def test_an_endpoint_that_was_never_there_ends_the_run_soon():
    for count in (2, 100):
        desk = ListDesk(count)
        with pytest.raises(EngineError, match=r"cannot be reached: nobody listens; is llm.base_url right"):
            run(always(REFUSED, 0.01), desk, longest_s=30, concurrency=16)
        desk.check()
        assert desk.brought == []


def test_an_outage_is_waited_out_with_single_probes_and_uses_up_no_attempts():
    def script(id, attempt):
        return Outcome(0.1, SERVER) if 10 <= now() < 130 else OK

    connection, desk, status = Connection(script), ListDesk(600), Status()
    run(connection, desk, status, concurrency=16, attempts=2)
    during = [moment for moment, _ in connection.sent if 12 <= moment < 130]
    assert 4 <= len(during) <= 12, "1, 2, 4 ... 30 s apart"
    assert set(desk.reasons.values()) == {"stop"}
    assert status.breaker == "closed"


def test_an_outage_that_lasts_ends_the_run_and_loses_nothing():
    connection = Connection(lambda id, attempt: OK if now() < 5 else Outcome(0.1, SERVER))
    desk, status = ListDesk(500), Status()
    with pytest.raises(EngineError, match=r"no call has succeeded for 300 s, the last one ended in server: 500: no"):
        run(connection, desk, status, concurrency=16)
    desk.check()
    assert status.breaker == "open"


def test_one_call_finds_out_the_format_before_the_others_go():
    connection = Connection(lambda id, attempt: Outcome(5.0), format=None)
    run(connection, ListDesk(50), concurrency=10)
    moments = [moment for moment, _ in connection.sent]
    assert moments[0] < 1
    assert moments[1] >= 5
    assert moments[9] < 6


def test_probing_a_format_uses_up_no_attempt():
    again = Fault("format", "again")
    connection = Connection(lambda id, attempt: Outcome(1, again) if connection.attempts.total() <= 2 else OK, None)
    desk = ListDesk(5)
    run(connection, desk, attempts=1)
    assert set(desk.reasons.values()) == {"stop"}
    assert connection.attempts == {"0": 3, "1": 1, "2": 1, "3": 1, "4": 1}


def test_many_waiting_calls_stop_the_taking_of_new_ones():
    connection = Connection(lambda id, attempt: Outcome(0.1, limited(60.0)) if attempt == 1 and int(id) % 3 else OK)
    desk, status, most = ListDesk(500), Status(), []
    bring = desk.bring

    def watch(completion):
        bring(completion)
        most.append(status.waiting)

    desk.bring = watch
    run(connection, desk, status, concurrency=8)
    assert 8 < max(most) <= (WAITING + 2) * 8
    assert set(desk.reasons.values()) == {"stop"}


def test_stop_drains_what_is_in_flight_and_puts_back_the_rest():
    connection, desk = Connection(lambda id, attempt: Outcome(10, SERVER) if id == "0" else Outcome(20)), ListDesk(100)

    async def main():
        scheduler = Scheduler(Engine(), llm())
        asyncio.get_running_loop().call_later(5, scheduler.stop)
        await scheduler.run(connection, desk)
        return now()

    assert simulate(main()) == pytest.approx(20, abs=0.1)
    desk.check()
    assert len(connection.sent) == 4
    assert sorted(desk.reasons) == ["1", "2", "3"]
    assert "0" in desk.returned


def test_stop_before_the_run_sends_nothing():
    connection, desk, scheduler = always(), ListDesk(3), Scheduler(Engine(), llm())
    scheduler.stop()
    simulate(scheduler.run(connection, desk))
    assert (connection.sent, desk.taken) == ([], [])


def test_stop_comes_from_another_thread():
    connection, desk, scheduler = always(after_s=0.01), ListDesk(10**5), Scheduler(Engine(), llm())
    timer = threading.Timer(0.2, scheduler.stop)
    timer.start()
    began = time.monotonic()
    asyncio.run(scheduler.run(connection, desk))
    assert time.monotonic() - began < 5
    desk.check()
    scheduler.stop()  # after the end it does nothing


class WaitingDesk(ListDesk):
    """After the first prompts nothing more comes, and nobody says that this is all."""

    cancelled = False

    async def take(self, most):
        prompts = await super().take(most)
        if not prompts:
            try:
                await asyncio.sleep(HOUR)
            finally:
                self.cancelled = True
        return prompts


def test_a_desk_that_waits_for_questions_is_cancelled_when_the_run_ends():
    desk = WaitingDesk(1)
    with pytest.raises(EngineError):
        run(always(BAD_KEY), desk, longest_s=1 + 2 * GRACE_S)
    assert desk.cancelled


class LeasingDesk(ListDesk):
    """Commits what it takes, and that lasts."""

    async def take(self, most):
        prompts = await super().take(min(most, 2))
        await asyncio.sleep(0.6)
        return prompts


def test_what_the_desk_is_busy_taking_when_the_run_ends_is_put_back():
    connection, desk = always(BAD_KEY, after_s=0.1), LeasingDesk(100)
    with pytest.raises(EngineError):
        run(connection, desk)
    desk.check()
    assert len(desk.returned) == len(connection.sent) + 2


class PoorDesk(ListDesk):
    """The cap is reached after some prompts."""

    async def take(self, most):
        if len(self.taken) > 10:
            raise BudgetError("the cap is reached")
        return await super().take(most)


def test_what_the_desk_raises_ends_the_run_after_the_answers_in_flight_came():
    connection, desk = always(after_s=7.0), PoorDesk(100)
    with pytest.raises(BudgetError):
        run(connection, desk)
    desk.check()
    assert len(desk.brought) == len(connection.sent)


def test_an_error_of_the_desk_while_it_takes_an_answer_ends_the_run():
    desk = ListDesk(100)

    def refuse(completion):
        raise OSError("the disk is full")

    desk.bring = refuse
    with pytest.raises(OSError, match="the disk is full"):
        simulate(Scheduler(Engine(), llm()).run(always(), desk))


def test_a_cancelled_run_says_of_what_was_in_flight_that_it_is_unknown():
    connection, desk = always(after_s=60), ListDesk(100)

    async def main():
        task = asyncio.ensure_future(Scheduler(Engine(), llm()).run(connection, desk))
        await asyncio.sleep(5)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    simulate(main())
    desk.check()
    assert sorted(desk.reasons.values()) == ["unknown:stopped"] * 4
    assert connection.in_flight == 0


def test_memory_does_not_grow_with_the_number_of_calls():
    connection, desk = Connection(lambda id, attempt: OK), ListDesk(0)
    seen, given = [], iter(range(20_000))

    async def take(most):
        desk.taken += (ids := [str(number) for _, number in zip(range(most), given, strict=False)])
        seen.append(len(asyncio.all_tasks()))
        return [prompt(id) for id in ids]

    desk.take = take
    run(connection, desk, concurrency=8)
    assert max(seen) <= 8 + 3


# ---- any order of events (R17)

FAULTS = {
    "ok": None,
    "server": SERVER,
    "timeout": TIMEOUT,
    "limited": limited(),
    "waits": limited(7.0),
    "waits long": limited(90.0),
    "bad": BAD_REQUEST,
    "again": Fault("format", "again"),
    "refused": REFUSED,
    "fatal": BAD_KEY,
}
COMMON = ["ok"] * 6 + ["server", "timeout", "limited", "waits", "waits long", "bad", "again", "refused"]
TIMES = st.sampled_from([0.0, 0.01, 0.4, 1.0, 1.0, 13.0, 120.0])
SCHEDULES = st.lists(st.tuples(st.sampled_from(COMMON), TIMES), min_size=1, max_size=60)


def check_invariants(schedule, count, concurrency, recovery, requests, stop_at, fatal_at):
    """Run a schedule of outcomes, repeated as long as needed, and hold what must hold of every one."""
    outcomes, ready = [], {}

    def script(id, attempt):
        assert now() >= ready.get(id, 0.0) - 1e-9, "never before its ready time"
        number = len(outcomes)
        name, after_s = schedule[number % len(schedule)] if number < 1500 else ("ok", 1.0)
        fault = FAULTS["fatal" if number == fatal_at else name]
        outcomes.append(id)
        if fault is not None and fault.wait_s is not None:
            ready[id] = now() + after_s + fault.wait_s
        return Outcome(after_s, fault)

    connection, desk, status = Connection(script), ListDesk(count), Status()
    connection.stored = {str(number): 1 + number % 3 for number in range(0, count, 2)}
    settings_ = llm(concurrency=concurrency, recovery=recovery, requests_per_minute=requests)

    async def main():
        scheduler = Scheduler(Engine(), settings_, status)
        if stop_at is not None:
            asyncio.get_running_loop().call_later(stop_at, scheduler.stop)
        try:
            await scheduler.run(connection, desk)
        except EngineError:
            return True
        return False

    failed = simulate(main(), longest_s=1e6)
    desk.check()
    assert connection.most_in_flight <= concurrency
    assert (connection.in_flight, status.in_flight, status.waiting) == (0, 0, 0)
    if not failed and stop_at is None:
        assert len(desk.brought) == count
    if requests is not None:
        check_rate([moment for moment, _ in connection.sent], requests / 60)


def check_rate(moments, rate):
    """In no window more than its quota and the burst of one second."""
    burst = max(1.0, rate)
    for first in range(0, len(moments), max(1, len(moments) // 20)):
        for last in range(first, len(moments), max(1, len(moments) // 20)):
            assert last - first + 1 <= rate * (moments[last] - moments[first]) + burst + 1e-6


ANY = given(
    schedule=SCHEDULES,
    count=st.integers(0, 80),
    concurrency=st.integers(1, 20),
    recovery=st.sampled_from(["none", "stored", "idempotency"]),
    requests=st.sampled_from([None, None, 30, 600]),
    stop_at=st.sampled_from([None, None, 0.0, 0.5, 3.0, 100.0]),
    fatal_at=st.sampled_from([None, None, None, 0, 5, 30]),
)
LENIENT = [HealthCheck.too_slow, HealthCheck.data_too_large]


@ANY
@example(  # a call that may go again at once, before the task of its attempt has ended
    schedule=[("ok", 0.0), ("waits", 0.0), ("again", 0.01)],
    count=6,
    concurrency=5,
    recovery="none",
    requests=None,
    stop_at=None,
    fatal_at=None,
)
@settings(max_examples=200, deadline=None, suppress_health_check=LENIENT)
def test_any_order_of_events_loses_nothing_and_exceeds_nothing(**drawn):
    check_invariants(**drawn)


@pytest.mark.slow
@ANY
@settings(max_examples=5000, deadline=None, suppress_health_check=LENIENT)
def test_any_of_very_many_orders_of_events_loses_nothing_and_exceeds_nothing(**drawn):
    check_invariants(**drawn)
