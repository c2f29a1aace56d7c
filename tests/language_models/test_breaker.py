"""The circuit breaker, moment by moment."""

from math import inf

from language_models.breaker import FAILURES, LONGEST_S, PATIENCE_S, Breaker


def opened(at=0.0):
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(at, probe=False, reached=True)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row():
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(0.0, probe=False, reached=True)
    assert not breaker.open
    breaker.failed(5.0, probe=False, reached=True)
    assert breaker.open
    assert breaker.ready_at(5.0) == 6.0


def test_an_answer_in_between_keeps_it_closed():
    breaker = Breaker()
    for _ in range(5 * FAILURES):
        breaker.failed(0.0, probe=False, reached=True)
        if breaker._failures == FAILURES - 1:
            breaker.answered()
    assert not breaker.open


def test_one_probe_goes_at_a_time():
    breaker = opened()
    assert breaker.ready_at(2.0) == 2.0
    assert breaker.sent()
    assert breaker.ready_at(2.0) == inf


def test_its_pauses_double_up_to_a_longest():
    breaker, pauses, time = opened(), [], 0.0
    for _ in range(8):
        pauses.append(breaker.ready_at(time) - time)
        time = breaker.ready_at(time)
        breaker.failed(time, probe=breaker.sent(), reached=True)
    assert pauses == [1, 2, 4, 8, 16, LONGEST_S, LONGEST_S, LONGEST_S]


def test_calls_sent_before_it_opened_do_not_lengthen_the_pause():
    breaker = opened()
    for _ in range(50):
        breaker.failed(0.5, probe=False, reached=True)
    assert breaker.ready_at(0.5) == 1.0


def test_an_answered_probe_closes_it():
    breaker = opened()
    assert breaker.sent()
    breaker.answered()
    assert not breaker.open
    assert breaker.ready_at(1.0) == 1.0
    assert not breaker.sent()


def test_it_is_exhausted_after_five_minutes_without_a_success():
    breaker = opened(at=100.0)
    assert not breaker.exhausted(100.0 + PATIENCE_S - 1)
    assert breaker.exhausted(100.0 + PATIENCE_S)
    breaker.answered()
    assert not breaker.exhausted(1e9)


def test_it_remembers_whether_a_connection_was_ever_made():
    breaker = Breaker()
    breaker.failed(0.0, probe=False, reached=False)
    assert not breaker.reached
    breaker.failed(0.0, probe=False, reached=True)
    breaker.failed(0.0, probe=False, reached=False)
    assert breaker.reached
