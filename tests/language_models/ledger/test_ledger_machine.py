"""Workers that lease, answer, fail, die and come back in random orders: the ledger is always what the model says."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from language_models.ledger import Batch, Ledger, Totals, Verdict
from language_models.ledger.money import pico
from schemas.errors import StoreError
from tests.language_models.ledger.model import UNIT, Model
from tests.language_models.ledger.workers import make_answer, make_call

KEYS = [f"key{number}" for number in range(7)]
NIGHTS = ("first", "second")
CAP = 60
EDGES = {
    "planned": {"leased", "responded", "rejected"},  # the latter two: what came after its lease was given up
    "leased": {"planned", "responded", "rejected"},
    "responded": {"leased", "parsed", "rejected"},
    "parsed": {"leased", "rejected", "published"},
    "rejected": {"leased", "parsed", "responded"},
    "published": {"rejected"},
}
SUMS = """
SELECT night, 0, 0, sum(reserved_usd), 0 FROM states WHERE state = 'leased' GROUP BY night
UNION ALL SELECT night, sum(cost_usd), 0, 0, 0 FROM answers
  WHERE finish_reason NOT LIKE 'unknown:%' AND finish_reason NOT LIKE 'error:%' GROUP BY night
UNION ALL SELECT night, 0, sum(cost_usd), 0, count(*) FROM answers WHERE finish_reason LIKE 'unknown:%' GROUP BY night
"""
keys = st.sampled_from(KEYS)
some_keys = st.lists(keys, min_size=1, max_size=4)
costs = st.sampled_from([0, 1, 3, 10, 25])
worker = st.integers(0, 2)


class Workers(RuleBasedStateMachine):
    """Up to three workers; a killed one leaves what a killed process leaves."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.place, self.model = self.make_place(), Model()
        self.ledgers: list[Ledger] = []
        self.before: dict[str, str] = {}
        self.counter = 0

    def make_place(self):
        folder = Path(tempfile.mkdtemp(prefix="ledger-"))
        shutil.copy(self.template, folder / "ledger.sqlite")
        return folder / "ledger.sqlite"

    def open(self, night):
        ledger = Ledger(self.place, night)
        ledger._database._writes.execute("PRAGMA synchronous = OFF")  # kills are simulated, power cuts are not
        return ledger

    def cut(self, ledger):
        """What kill -9 does to a worker."""
        database = ledger._database
        if database._presence._file is not None:
            os.close(database._presence._file)
        database._reads.close()
        database._writes.close()

    def teardown(self):
        for ledger in self.ledgers:
            ledger.close()
        shutil.rmtree(self.place.parent)

    def pick(self, worker):
        """One of the living workers: its ledger and its name."""
        ledger = self.ledgers[worker % len(self.ledgers)]
        return ledger, ledger.worker

    # ---- coming and going

    @initialize()
    def first(self):
        self.start("first")

    @precondition(lambda self: len(self.ledgers) < 3)
    @rule(night=st.sampled_from(NIGHTS))
    def start(self, night):
        ledger = self.open(night)
        ledger.lease([])  # from here on it is seen as alive
        self.ledgers.append(ledger)
        self.model.living[ledger.worker] = night

    @precondition(lambda self: len(self.ledgers) > 1)
    @rule(worker=worker, killed=st.booleans())
    def end(self, worker, killed):
        ledger = self.ledgers.pop(worker % len(self.ledgers))
        del self.model.living[ledger.worker]
        self.cut(ledger) if killed else ledger.close()
        self.until_gone(ledger.worker)

    def until_gone(self, name):
        """A lock of a process that has ended is gone at once."""

    # ---- leases

    def wanted(self, keys, cost, follow):
        """Each key with its cost and a turn that may be asked: the next one, or the first again."""
        fates = [self.model.calls.get(key) for key in keys]
        turns = [len(fate.answers) if fate is not None and follow else 0 for fate in fates]
        return [(key, cost, turn) for key, turn in zip(keys, turns, strict=True)]

    @rule(worker=worker, keys=some_keys, cost=costs, follow=st.booleans())
    def lease(self, worker, keys, cost, follow):
        ledger, name = self.pick(worker)
        wanted = self.wanted(keys, cost, follow)
        granted = ledger.lease([make_call(key, cost * UNIT, turn) for key, cost, turn in wanted], CAP * UNIT)
        self.check_granted(granted, wanted, self.model.lease(name, ledger.night, wanted, CAP))

    @rule(worker=worker, keys=some_keys, cost=costs, follow=st.booleans())
    def lease_for_batch(self, worker, keys, cost, follow):
        ledger, _ = self.pick(worker)
        self.counter += 1
        batch, wanted = make_batch(f"batch{self.counter}", ledger.night), self.wanted(keys, cost, follow)
        calls = [make_call(key, cost * UNIT, turn) for key, cost, turn in wanted]
        granted = ledger.lease_for_batch(batch, calls, CAP * UNIT)
        self.model.batches[batch.id] = "intended"
        outcomes = self.model.lease(batch.id, ledger.night, wanted, CAP)
        self.check_granted(granted, wanted, outcomes)
        if "taken" not in outcomes:
            del self.model.batches[batch.id]

    def check_granted(self, granted, wanted, outcomes):
        for outcome in ("taken", "answered", "held", "orphaned", "refused"):
            expected = [key for (key, _, _), became in zip(wanted, outcomes, strict=True) if became == outcome]
            assert getattr(granted, outcome) == expected, outcome

    @rule(worker=worker, keys=some_keys, charged=st.booleans())
    def abandon(self, worker, keys, charged):
        ledger, name = self.pick(worker)
        ledger.abandon(keys, charged)
        self.model.abandon(name, keys, charged)

    @rule(worker=worker, keys=some_keys)
    def release(self, worker, keys):
        ledger, name = self.pick(worker)
        ledger.release(keys)
        self.model.abandon(name, keys, charged=False)

    @rule(worker=worker, keys=some_keys)
    def adopt(self, worker, keys):
        ledger, name = self.pick(worker)
        assert sorted(ledger.adopt(keys)) == sorted(set(self.model.adopt(name, list(dict.fromkeys(keys)))))

    # ---- answers

    def answer(self, key, kind, share):
        """A completion, with its text and cost; the cost is at most what is reserved."""
        self.counter += 1
        reason = {"paid": "stop", "failed": "error:server", "unknown": "unknown:timeout"}[kind]
        cost = self.model.calls[key].reserved * share // 4 if kind == "paid" else 0
        text, turn = f"text{self.counter}", self.model.calls[key].turn
        return make_answer(key, cost * UNIT, reason, text, turn), text, cost

    @precondition(lambda self: self.model.calls)
    @rule(
        data=st.data(),
        worker=worker,
        kind=st.sampled_from(["paid", "paid", "failed", "unknown"]),
        share=st.integers(0, 4),
    )
    def respond(self, data, worker, kind, share):
        ledger, name = self.pick(worker)
        known = data.draw(st.lists(st.sampled_from(sorted(self.model.calls)), min_size=1, max_size=3))
        brought = [(key, *self.answer(key, kind, share)) for key in known]
        ledger.respond([completion for _, completion, _, _ in brought])
        for key, _, text, cost in brought:
            self.model.respond(name, key, kind, text, cost)

    @precondition(lambda self: self.model.batches)
    @rule(data=st.data(), worker=worker, keys=st.sets(keys), share=st.integers(0, 4))
    def land(self, data, worker, keys, share):
        ledger, name = self.pick(worker)
        batch = data.draw(st.sampled_from(sorted(self.model.batches)))
        brought = [(key, *self.answer(key, "paid", share)) for key in sorted(keys & self.model.calls.keys())]
        landed = ledger.land(batch, [completion for _, completion, _, _ in brought])
        held = [row for row in brought if self.model.calls[row[0]].holder == batch]
        for key, _, text, cost in held:
            self.model.respond(name, key, "paid", text, cost)
        assert landed == len(held)

    @precondition(lambda self: self.model.batches)
    @rule(data=st.data(), worker=worker, drop=st.booleans())
    def end_batch(self, data, worker, drop):
        ledger, name = self.pick(worker)
        batch = data.draw(st.sampled_from(sorted(self.model.batches)))
        if drop:
            self.model.abandon(name, [k for k, fate in self.model.calls.items() if fate.holder == batch], charged=False)
            del self.model.batches[batch]
            ledger.drop_batch(batch)
        else:
            self.model.batches[batch] = "landed"
            ledger.save_batch(make_batch(batch, ledger.night, "landed"))

    @precondition(lambda self: any(fate.answers for fate in self.model.calls.values()))
    @rule(data=st.data(), worker=worker, state=st.sampled_from(["parsed", "rejected"]))
    def settle(self, data, worker, state):
        ledger, _ = self.pick(worker)
        key = data.draw(st.sampled_from(sorted(key for key, fate in self.model.calls.items() if fate.answers)))
        ledger.settle([Verdict(key, state, "" if state == "parsed" else "schema")])
        self.model.settle(key, state)

    @rule(worker=worker, keys=some_keys)
    def publish(self, worker, keys):
        self.pick(worker)[0].publish(keys, 1)
        self.model.publish(keys)

    # ---- what must leave no trace

    @rule(worker=worker)
    def answer_what_was_never_asked(self, worker):
        with pytest.raises(StoreError):
            self.pick(worker)[0].respond([*(make_answer(key) for key in self.model.calls), make_answer("never")])

    @rule(worker=worker, keys=some_keys, cost=costs)
    def break_off(self, worker, keys, cost):
        """Everything that is done in a transaction that fails."""
        ledger, name = self.pick(worker)
        kept = copy.deepcopy(self.model)
        with suppress(ZeroDivisionError), ledger.transaction():
            self.lease(worker, keys, cost, follow=True)
            for key, fate in self.model.calls.items():
                if fate.holder == name:
                    ledger.respond([make_answer(key)])
            _ = 1 / 0
        self.model = kept

    # ---- what is always so

    @invariant()
    def the_money_is_the_models_and_the_sum_of_the_rows(self):
        if not self.ledgers:
            return
        sums = {night: [0, 0, 0, 0] for night in NIGHTS}
        for night, *row in self.ledgers[0]._database.query(SUMS):
            sums[night] = [had + more for had, more in zip(sums[night], row, strict=True)]
        for ledger in self.ledgers:
            night, totals = ledger.night, ledger.totals()
            spent, possible = self.model.spent.get(night, 0), self.model.possible.get(night, 0)
            expected = (spent * UNIT, possible * UNIT, self.model.reserved(night) * UNIT)
            assert totals == Totals(*(pico(usd) / pico(1.0) for usd in expected), self.model.unknown.get(night, 0))
            assert (totals.spent_usd, totals.possible_usd, totals.reserved_usd) == pytest.approx(sums[night][:3])
            assert totals.unknown == sums[night][3]
            assert self.model.committed(night) <= CAP + self.model.late.get(night, 0), "the cap"

    @invariant()
    def every_worker_reads_what_the_model_has(self):
        for ledger in self.ledgers:
            assert ledger.settled(KEYS) == self.model.settled()
            assert set(ledger.failures(KEYS)) == self.model.failures()
            texts = {key: [answer.text for answer in answers] for key, answers in ledger.answers(KEYS).items()}
            assert texts == {
                key: [text for text, _ in fate.answers] for key, fate in self.model.calls.items() if fate.answers
            }

    @invariant()
    def leases_are_the_models(self):
        if not self.ledgers:
            return
        assert {call.key for call in self.ledgers[0].orphans()} == self.model.orphans()
        rows = self.ledgers[0]._database.query("SELECT key, state, holder FROM states")
        found = {key: (state, holder) for key, state, holder in rows}
        assert found == {key: (fate.state, fate.holder) for key, fate in self.model.calls.items()}
        open_batches = {batch for batch, state in self.model.batches.items() if state != "landed"}
        assert {batch.id for batch in self.ledgers[0].batches()} == open_batches

    @invariant()
    def states_change_along_their_edges(self):
        if not self.ledgers:
            return
        now = dict(self.ledgers[0]._database.query("SELECT key, state FROM states"))
        for key, state in now.items():
            before = self.before.get(key, "planned")
            assert state == before or state in EDGES[before], key
        self.before = now


def make_batch(id, night, state="uploaded"):
    return Batch(id, state, "https://endpoint", "model", "rlmrec.item", night, 1)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    Workers.template = tmp_path_factory.mktemp("template") / "ledger.sqlite"
    Ledger(Workers.template).close()
    return Workers


def run(machine, examples):
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    limits = settings(max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=checks)
    run_state_machine_as_test(machine, settings=limits)


def test_workers_that_come_die_and_return_keep_the_ledger_as_the_model_says(machine):
    run(machine, 200)


@pytest.mark.slow
def test_two_thousand_lives_of_workers_keep_the_ledger_as_the_model_says(machine):
    run(machine, 2000)


@pytest.mark.slow
def test_workers_on_a_server_keep_the_ledger_as_the_model_says(postgres):
    class Served(Workers):
        def make_place(self):
            return postgres.empty()

        def open(self, night):
            return Ledger(self.place, night)

        def cut(self, ledger):
            ledger._database._reads.close()
            ledger._database._writes.close()

        def until_gone(self, name):
            while self.ledgers[0]._database.alive({name}):  # the server needs a moment to see it
                time.sleep(0.001)

        def teardown(self):
            for ledger in self.ledgers:
                ledger.close()

    run(Served, 100)
