"""A ledger of version 1 is brought up to date where it stands, and nothing that was paid for is lost."""

from __future__ import annotations

import sqlite3

import pytest

from language_models.ledger import Ledger, Totals, Verdict
from schemas.errors import StoreError
from schemas.records import Completion, canonical, sha256
from tests.language_models.ledger.workers import make_answer, make_call
from tests.support.prompts import SCHEMA

VERSION_1 = """
CREATE TABLE instructions (id TEXT PRIMARY KEY, system TEXT NOT NULL, answer_schema TEXT NOT NULL);
CREATE TABLE calls (
  key TEXT PRIMARY KEY, state TEXT NOT NULL, night TEXT NOT NULL, engine TEXT NOT NULL, model TEXT NOT NULL,
  recipe TEXT NOT NULL, version TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
  instruction TEXT NOT NULL REFERENCES instructions (id), user TEXT NOT NULL,
  reserved_usd REAL NOT NULL, created REAL NOT NULL, text TEXT, finish_reason TEXT,
  input_tokens INTEGER, output_tokens INTEGER, cost_usd REAL, latency_s REAL, answered REAL
);
CREATE INDEX calls_by_night ON calls (night, state, reserved_usd, cost_usd);
PRAGMA user_version = 1;
"""
SYSTEM = "Describe. Answer in JSON."
INSTRUCTION = sha256(SYSTEM + "\0" + canonical(SCHEMA))
ANSWERED = ("text", "stop", 3, 4, 0.25, 0.1, 20.0)
FAILED = ("503", "error:server", 0, 0, 0.0, 0.1, 21.0)
NOTHING = (None,) * 7
AGAIN = ("503", None, 0, 0, 0.0, 0.1, 21.0)  # failed, and leased again
ROWS = {
    "responded": ("responded", "n1", *ANSWERED),
    "parsed": ("parsed", "n1", *ANSWERED),
    "rejected": ("rejected", "n2", "te", "length", 3, 4, 0.5, 0.1, 22.0),
    "failed": ("responded", "n2", *FAILED),
    "leased": ("leased", "n2", *NOTHING),
    "leased again": ("leased", "n1", *AGAIN),
}


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as file:
        file.executescript(VERSION_1)
        file.execute("INSERT INTO instructions VALUES (?, ?, ?)", (INSTRUCTION, SYSTEM, canonical(SCHEMA)))
        for key, (state, night, *answer) in ROWS.items():
            about = ("engine", "model", "rlmrec.item", "1", "item", key, INSTRUCTION, f'{{"title": "Book {key}"}}')
            row = (key, state, night, *about, 0.5, 10.0, *answer)
            file.execute(f"INSERT INTO calls VALUES ({', '.join('?' * len(row))})", row)
    file.close()
    return path


def test_states_answers_and_money_are_carried_over(old):
    with Ledger(old, "n1") as ledger, Ledger(old, "n2") as second:
        assert ledger.settled(ROWS) == {"parsed": "parsed", "rejected": "rejected"}
        same = Completion("parsed", "text", "stop", 3, 4, 0.25, "model", 0.1)
        assert ledger.answers(ROWS).keys() == {"responded", "parsed", "rejected"}
        assert ledger.answers(["parsed"]) == {"parsed": [same]}
        assert ledger.failures(ROWS)["failed"].text == "503"
        assert ledger.totals() == Totals(spent_usd=0.5, possible_usd=0.5, unknown=1)
        assert second.totals() == Totals(spent_usd=0.5, possible_usd=0.5, unknown=1)


def test_a_migrated_ledger_is_used_like_any_other(old):
    with Ledger(old, "n3") as ledger:
        granted = ledger.lease([make_call(key) for key in (*ROWS, "new")])
        assert granted.answered == ["responded", "parsed", "rejected"]
        assert granted.taken == ["failed", "leased", "leased again", "new"]
        ledger.respond([make_answer(key) for key in granted.taken])
        ledger.settle(Verdict(key, "parsed") for key in (*ROWS, "new"))
        assert len(ledger.settled([*ROWS, "new"])) == 7
        asked = ledger.last_asked("rlmrec.item", "item", ["parsed", "new"])
        assert {asked["parsed"].instruction, asked["new"].instruction} == {INSTRUCTION}
        assert ledger.calls(["parsed"])[0].prompt == make_call("parsed").prompt
    with Ledger(old, "n3") as again:
        assert again.totals() == Totals(spent_usd=1.0)


def test_a_migration_that_fails_leaves_the_old_ledger_as_it_was(old):
    with sqlite3.connect(old) as file:
        file.execute("CREATE TABLE answers (something TEXT)")  # in the way
        before = list(file.execute("SELECT * FROM calls"))
    file.close()
    with pytest.raises(StoreError, match="table answers already exists"):
        Ledger(old)
    with sqlite3.connect(old) as file:
        assert list(file.execute("SELECT * FROM calls")) == before
        assert file.execute("PRAGMA user_version").fetchone() == (1,)
    file.close()
