"""The writer commits in groups, keeps the order of requests, and one bad request does not hurt the others."""

from __future__ import annotations

import threading
import time
from concurrent.futures import CancelledError

import pytest

from language_models.ledger import Ledger, Totals, Verdict
from language_models.ledger.writer import Writer
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call


@pytest.fixture
def ledger(place):
    with Ledger(place) as ledger:
        yield ledger


def test_every_request_has_its_own_answer(ledger):
    with Writer(ledger) as writer:
        first, second = writer.lease([make_call("a"), make_call("b")]), writer.lease([make_call("b"), make_call("c")])
        assert (first.result().taken, second.result().taken, second.result().held) == (["a", "b"], ["c"], ["b"])


def test_requests_about_a_call_are_run_in_their_order(ledger):
    with Writer(ledger) as writer:
        writer.lease([make_call("a")])
        writer.respond([make_answer("a", reason="length")])
        follow_up = writer.lease([make_call("a", turn=1)])
        writer.respond([make_answer("a", turn=1)])
        writer.settle([Verdict("a", "parsed")])
        writer.lease([make_call("b"), make_call("c")])
        writer.release(["b"])
        writer.abandon(["c"])
    assert follow_up.result().taken == ["a"]
    assert ledger.settled("a") == {"a": "parsed"}
    assert ledger.totals() == Totals(spent_usd=0.5, possible_usd=0.5, unknown=1)


def test_what_waits_while_another_commits_becomes_one_commit(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        statements = []
        ledger._database._writes.set_trace_callback(statements.append)
        with Writer(ledger) as writer, _held(ledger):
            futures = [writer.lease([make_call(f"k{number}")]) for number in range(500)]
            assert not any(future.done() for future in futures), "nothing is safe before it is committed"
        assert all(future.result().taken for future in futures)
        assert statements.count("COMMIT") <= 3


def test_a_group_has_a_bound(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        statements = []
        ledger._database._writes.set_trace_callback(statements.append)
        with Writer(ledger) as writer, _held(ledger):
            for number in range(2000):
                writer.lease([make_call(f"k{number}")])
        assert statements.count("COMMIT") >= 5


class _held:  # noqa: N801  reads as a sentence
    """Nobody else can write while this is open; what is asked of a writer gathers."""

    def __init__(self, ledger):
        self.ledger, self.entered, self.end = ledger, threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._hold)

    def _hold(self):
        with self.ledger.transaction():
            self.entered.set()
            self.end.wait(10)

    def __enter__(self):
        self.thread.start()
        self.entered.wait(10)

    def __exit__(self, *error):
        self.end.set()
        self.thread.join()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_request_that_fails_fails_alone(ledger, number):
    keys = ["a", "b", "c"]
    ledger.lease([make_call(key) for key in keys if key != keys[number]])
    with Writer(ledger) as writer, _held(ledger):
        futures = [writer.respond([make_answer(key)]) for key in keys]
    with pytest.raises(StoreError, match=f"call {keys[number]}: expected a lease"):
        futures[number].result()
    assert sorted(ledger.answers(keys)) == [key for key in keys if key != keys[number]]
    assert ledger.totals() == Totals(spent_usd=0.5)


def test_a_mistake_of_the_caller_reaches_the_caller_and_the_writer_goes_on(ledger):
    with Writer(ledger) as writer:
        with pytest.raises(AttributeError):
            writer.respond(["not a completion"]).result()
        assert writer.lease([make_call("a")]).result().taken == ["a"]


def test_a_lease_that_nobody_waits_for_any_more_is_not_made_but_an_answer_is_kept(ledger):
    ledger.lease([make_call("a")])
    with Writer(ledger) as writer, _held(ledger):
        first = writer.lease([make_call("first")])
        while not first.running():
            time.sleep(0.001)
        lease, answer = writer.lease([make_call("b")]), writer.respond([make_answer("a")])
        assert lease.cancel()
        assert not answer.cancel()
    with pytest.raises(CancelledError):
        lease.result()
    assert (ledger.calls("b"), ledger.totals()) == ([], Totals(spent_usd=0.25, reserved_usd=0.5))


def test_closing_waits_until_everything_is_safe_and_refuses_more(ledger):
    writer = Writer(ledger)
    futures = [writer.lease([make_call(f"k{number}")]) for number in range(300)]
    writer.close()
    assert all(future.done() for future in futures)
    writer.close()
    with pytest.raises(StoreError, match="its writer is closed; make a new one"):
        writer.lease([make_call("late")])


def test_many_threads_ask_one_writer(ledger):
    def work(writer, number):
        for more in range(50):
            key = f"{number}-{more}"
            assert writer.lease([make_call(key, 0.01)], 4.0).result().taken == [key]
            writer.respond([make_answer(key, 0.01)]).result()

    with Writer(ledger) as writer:
        threads = [threading.Thread(target=work, args=(writer, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert writer.lease([make_call("over", 0.01)], 4.0).result().refused == ["over"]
    assert ledger.totals() == Totals(spent_usd=4.0)
