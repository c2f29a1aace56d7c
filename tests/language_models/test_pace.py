"""What one outcome teaches quotas, window and breaker together."""

import pytest

from language_models.breaker import FAILURES
from language_models.call_queue import Call
from language_models.faults import Fault
from language_models.pace import Pace
from language_models.protocols import Reply
from schemas.errors import EngineError
from schemas.sections import Llm
from tests.support.scripted_connection import BAD_REQUEST, REFUSED, SERVER, TIMEOUT, answer, limited, prompt


def pace(**changes):
    return Pace(Llm(**{"engine": "openai", "model": "m", "concurrency": 8, "attempts": 3} | changes), 0.0)


def sent(of, now=0.0):
    call = Call(prompt("1"))
    of.sent(now, call)
    return call


def test_a_429_is_no_try_and_other_failures_are():
    each = pace()
    calls = {name: sent(each) for name in ("limited", "server", "lost", "again")}
    faults = {"limited": limited(), "server": SERVER, "lost": TIMEOUT, "again": Fault("format", "again")}
    for name, call in calls.items():
        each.failed(0.0, call, faults[name])
    assert {name: call.tries for name, call in calls.items()} == {"limited": 0, "server": 1, "lost": 1, "again": 0}
    assert calls["limited"].limited == 1


def test_failures_of_an_endpoint_that_is_down_are_no_tries():
    each, call = pace(), None
    for _ in range(FAILURES):
        call = sent(each)
        each.failed(0.0, call, SERVER)
    assert each.breaker.open
    assert (call.tries, call.failures) == (0, 1)


def test_a_bad_request_shows_that_the_endpoint_works():
    each = pace()
    for _ in range(3 * FAILURES):
        each.failed(0.0, sent(each), SERVER)
        each.failed(0.0, sent(each), BAD_REQUEST)
    assert not each.breaker.open


def test_a_429_closes_an_open_breaker_and_does_not_count_as_a_success_otherwise():
    each = pace()
    for _ in range(FAILURES):
        each.failed(0.0, sent(each), SERVER)
        assert each.breaker.open or not each.failed(0.0, sent(each), limited())
    assert each.breaker.open
    each.failed(1.0, sent(each, 1.0), limited())
    assert not each.breaker.open


def test_an_endpoint_that_was_never_reached_is_given_up_after_the_attempts_of_one_call():
    each, call = pace(), None
    for _ in range(2):
        call = sent(each) if call is None else call
        each.failed(0.0, call, REFUSED)
    with pytest.raises(EngineError, match="cannot be reached"):
        each.failed(0.0, call, REFUSED)


def test_an_endpoint_that_was_reached_once_is_waited_for():
    each, call = pace(), None
    each.answered(0.0, sent(each), Reply(answer(prompt("1"))))
    call = sent(each)
    for _ in range(6):
        each.failed(0.0, call, REFUSED)
    assert call.tries == 6


def test_tokens_are_counted_only_where_they_are_limited():
    counted, free = pace(tokens_per_minute=600), pace()
    calls = Call(prompt("1", "word " * 100)), Call(prompt("1", "word " * 100))
    for each, call in zip((counted, free), calls, strict=True):
        each.ready_at(0.0, call, 0)
    assert calls[0].tokens > 80
    assert calls[1].tokens == 0


def test_what_was_reserved_for_a_call_that_may_have_been_paid_is_not_given_back():
    lost, refused = pace(tokens_per_minute=6000), pace(tokens_per_minute=6000)
    for each, fault in ((lost, TIMEOUT), (refused, SERVER)):
        call = Call(prompt("1", "word " * 200))
        each.ready_at(0.0, call, 0)
        each.sent(0.0, call)
        each.failed(0.0, call, fault)
    assert lost.limiter.ready_at(0.0, 50) > refused.limiter.ready_at(0.0, 50)
