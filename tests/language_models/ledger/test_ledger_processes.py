"""Several processes on one ledger, some of them killed: nothing acknowledged is lost, nothing is leased twice."""

from __future__ import annotations

import fcntl
import os
import random
import time

import pytest

from language_models.ledger import Ledger, Totals
from language_models.ledger.presence import Presence
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call

KEYS = [f"key{number}" for number in range(2000)]


def shuffled(seed):
    return random.Random(seed).sample(KEYS, len(KEYS))


def together(workers, *order):
    """Have both begin at once, and wait for both."""
    for worker in workers:
        worker.tell(*order)
    return [worker.hear() for worker in workers]


def test_a_killed_process_loses_no_acknowledged_answer(place, workers):
    with Ledger(place):
        """So that there are tables before the race begins."""
    writers = [workers(), workers()]
    for prefix, writer in zip("ab", writers, strict=True):
        writer.tell("stream", prefix)
    safe = [[writer.process.stdout.readline().strip() for _ in range(300)] for writer in writers]
    for writer in writers:
        writer.process.kill()
    safe = [key for keys, writer in zip(safe, writers, strict=True) for key in keys + _complete_lines(writer)]
    with Ledger(place) as ledger:
        answers = ledger.answers(safe)
        assert len(safe) >= 600
        assert [answers[key][0].text for key in safe] == [key * 20 for key in safe]
        totals = ledger.totals()
        in_flight = ledger.orphans()
        assert totals.reserved_usd == 0.5 * len(in_flight)
        assert totals.spent_usd >= 0.25 * len(safe)
        ledger.abandon(call.key for call in in_flight)
        assert ledger.totals().unknown == len(in_flight) <= 2 * 5
        assert ledger.totals().reserved_usd == 0.0


def _complete_lines(writer):
    rest = writer.process.stdout.read()
    return rest[: rest.rfind("\n")].split("\n") if "\n" in rest else []


def test_two_processes_never_get_the_same_lease(place, workers):
    both = [workers(), workers()]
    for worker, seed in zip(both, (1, 2), strict=True):
        worker.tell("lease in groups", shuffled(seed), 0.001, None, 7)
    first, second = (worker.hear() for worker in both)
    assert sorted(first + second) == sorted(KEYS)
    assert min(len(first), len(second)) > len(KEYS) / 4, "both get their turns"
    with Ledger(place) as ledger:
        assert ledger.totals() == Totals(reserved_usd=2.0)


def test_two_processes_that_make_the_same_ledger_at_once_get_one(workers):
    for _ in range(3):
        both = [workers(ready=False), workers(ready=False)]  # tables are made as they start
        assert [len(granted[0]) for granted in together(both, "lease", ["a"])] in ([1, 0], [0, 1])
        for worker in both:
            worker.do("abandon", ["a"])
            worker.kill()


def test_the_cap_holds_over_processes_to_the_last_cent(place, workers):
    both = [workers("night"), workers("night")]
    taken = together(both, "lease in groups", KEYS[:500], 0.01, 2.0, 3)
    assert len(taken[0] + taken[1]) == len({*taken[0], *taken[1]}) == 200
    with Ledger(place, "night") as ledger:
        assert ledger.totals() == Totals(reserved_usd=2.0)
        assert both[0].do("respond", taken[0], 0.004) is None
        assert ledger.totals().spent_usd == pytest.approx(0.004 * len(taken[0]))
    more = together(both, "lease in groups", KEYS[:500], 0.01, 2.0, 3)
    assert len(more[0] + more[1]) == 6 * len(taken[0]) // 10


def test_leases_of_a_killed_worker_are_taken_over_by_one(place, workers):
    dies, lives, lives_too = workers(), workers(), workers()
    assert dies.do("lease", ["a", "b", "c"])[0] == ["a", "b", "c"]
    assert lives.do("lease", ["a", "b", "c", "d"])[:3] == [["d"], [], ["a", "b", "c"]], "it lives"
    dies.kill()
    orphaned = _when_noticed(lives, ["a", "b", "c"])
    assert orphaned == ["a", "b", "c"]
    adopted = together([lives, lives_too], "adopt", ["a", "b", "c"])
    assert sorted(map(len, adopted)) == [0, 3]
    heir = [lives, lives_too][len(adopted[0]) == 0]
    heir.do("respond", ["a"])
    heir.do("abandon", ["b", "c"])
    assert lives.do("lease", ["a", "b", "c"])[:2] == [["b", "c"], ["a"]]
    with Ledger(place) as ledger:
        assert ledger.totals() == Totals(0.25, 1.0, 1.5, 2)


def test_an_answer_of_a_worker_that_was_taken_for_dead_is_kept(place, workers):
    with Ledger(place) as ledger:
        slow = workers()
        slow.do("lease", ["a"])
        slow.kill()
        _when_orphaned(ledger, 1)
        ledger.abandon(["a"])
        ledger.lease([make_call("a")])
        late = workers()
        assert late.do("respond", ["a"]) is None
        assert ledger.totals() == Totals(0.25, 0.5, 0.5, 1)
        ledger.respond([make_answer("a")])
        assert len(ledger.answers("a")["a"]) == 2


def test_workers_may_come_and_go_without_leaving_files(tmp_path):
    for _ in range(3):
        with Ledger(tmp_path / "ledger.sqlite") as ledger:
            ledger.lease([make_call("a")])
            assert len(list((tmp_path / "ledger.sqlite-workers").glob("worker-*"))) == 1
            ledger.release("a")
    assert [file.name for file in (tmp_path / "ledger.sqlite-workers").iterdir()] == ["queue"]


def test_the_file_of_a_killed_worker_goes_when_its_leases_have(tmp_path, workers):
    where = str(tmp_path / "ledger.sqlite")
    dies = workers(where=where)
    dies.do("lease", ["a"])
    dies.kill()
    for left in (1, 0):
        with Ledger(where) as ledger:
            assert len(list((tmp_path / "ledger.sqlite-workers").glob("worker-*"))) == left
            ledger.abandon(["a"])


def test_two_that_look_for_a_dead_worker_at_once_both_see_that_it_is_dead(tmp_path):
    (tmp_path / "worker-dead").touch()
    with (tmp_path / "worker-dead").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not Presence(tmp_path, "worker-looks-too").alive("worker-dead")


def _when_noticed(worker, keys):
    """What a worker finds orphaned, once the database has noticed that the other one's process is gone."""
    until = time.monotonic() + 10
    while not (orphaned := worker.do("lease", keys)[3]) and time.monotonic() < until:
        time.sleep(0.05)
    return orphaned


def _when_orphaned(ledger, count):
    until = time.monotonic() + 10
    while len(ledger.orphans()) < count and time.monotonic() < until:
        time.sleep(0.05)


def test_a_ledger_is_not_used_across_a_fork(place):
    with Ledger(place) as ledger:
        ledger.lease([make_call("a")])
        child = os.fork()
        if child == 0:
            said = _what_it_says(ledger)
            ledger.close()
            os._exit(7 if "opened before the process forked" in said else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert ledger.lease([make_call("b")]).taken == ["b"], "it is still open here"
        with Ledger(place) as another:
            assert another.lease([make_call("a")]).held == ["a"], "and alive"


def _what_it_says(ledger):
    try:
        return str(ledger.totals())
    except StoreError as error:
        return str(error)
