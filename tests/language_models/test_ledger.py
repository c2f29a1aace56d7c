"""The ledger: nothing acknowledged is lost, several processes share it, and what is wrong with a file is said."""

import os
import signal
import sqlite3
import subprocess
import sys

import pytest

from language_models.ledger import Lease, Ledger
from schemas.errors import StoreError
from schemas.records import Completion
from tests.support.prompts import make_prompt

WRITER = """
import os, signal, sys
from pathlib import Path
from language_models.ledger import Lease, Ledger
from schemas.records import Completion
from tests.support.prompts import make_prompt
path, first, count, kill = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "kill"
ledger = Ledger(path)
for number in range(first, first + count):
    key = f"key{number}"
    ledger.lease([Lease(key, make_prompt(str(number)), "e", "m", 0.5)])
    ledger.respond([Completion(key, "text " * 200, "stop", 3, 4, 0.25, "m", 0.1)])
if kill:
    ledger.lease([Lease("in-flight", make_prompt("x"), "e", "m", 0.5)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def write(path, first, count, end="close"):
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(count), end]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "."})


def lease(key, usd=0.5, id="1"):
    return Lease(key, make_prompt(id), "engine", "model", usd)


def answered(key, reason="stop", usd=0.25):
    return Completion(key, '{"summarization": "x"}', reason, 3, 4, usd, "model", 0.1)


def test_a_killed_process_loses_no_acknowledged_answer(tmp_path):
    writer = write(tmp_path / "ledger.db", 0, 5, "kill")
    assert writer.wait() == -signal.SIGKILL
    with Ledger(tmp_path / "ledger.db") as ledger:
        known = ledger.known([*(f"key{number}" for number in range(5)), "in-flight"])
        assert sorted(known) == [f"key{number}" for number in range(5)]
        assert known["key3"] == Completion("key3", "text " * 200, "stop", 3, 4, 0.25, "m", 0.1)
        assert ledger.spent() == pytest.approx(1.25)
        assert ledger.reserved() == pytest.approx(0.5)


def test_two_processes_write_at_once(tmp_path):
    writers = [write(tmp_path / "ledger.db", first, 60) for first in (0, 1000)]
    assert [writer.wait() for writer in writers] == [0, 0]
    with Ledger(tmp_path / "ledger.db") as ledger:
        assert len(ledger.known(f"key{number}" for number in range(1100))) == 120


def test_many_keys_are_looked_up(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.lease([lease(f"k{n}") for n in range(1200)])
        ledger.respond([answered(f"k{n}") for n in range(1200)])
        assert len(ledger.known(f"k{n}" for n in range(2400))) == 1200


def test_a_failed_call_is_not_known_and_can_be_leased_again(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.lease([lease("a")])
        ledger.respond([answered("a", "error:server", 0.0)])
        assert ledger.known(["a"]) == {}
        assert ledger.responses(["a"])["a"].finish_reason == "error:server"
        assert ledger.lease([lease("a")]) == ["a"]
        assert ledger.responses(["a"]) == {}


def test_a_lease_never_overwrites_an_answer(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.lease([lease("a")])
        ledger.respond([answered("a")])
        ledger.mark(["a"], "parsed")
        assert ledger.lease([lease("a"), lease("b")]) == ["b"]
        assert ledger.known(["a"])["a"] == answered("a")


def test_an_answer_needs_a_lease(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.lease([lease("a")])
        with pytest.raises(StoreError, match="expected a lease"):
            ledger.respond([answered("a"), answered("never leased")])
        assert ledger.known(["a"]) == {}, "a group is kept whole or not at all"


def test_the_cap_counts_what_is_spent_and_reserved(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        assert ledger.lease([lease(key, 1.0) for key in "abc"], cap_usd=2.5) == ["a", "b"]
        ledger.respond([answered("a", usd=0.25)])  # spent 0.25, reserved 1.0
        assert ledger.lease([lease("c", 1.0), lease("d", 1.0)], cap_usd=2.5) == ["c"]
        assert ledger.lease([lease("b", 1.0), lease("c", 1.0)], cap_usd=2.5) == ["b", "c"], "own leases are replaced"
        ledger.release(["b", "c"])
        assert (ledger.spent(), ledger.reserved()) == (0.25, 0.0)


def test_each_night_has_its_own_cap_and_shares_the_answers(tmp_path):
    with Ledger(tmp_path / "ledger.db", night="2026-01-01") as first:
        first.lease([lease("a")])
        first.respond([answered("a")])
    with Ledger(tmp_path / "ledger.db", night="2026-01-02") as second:
        assert second.spent() == 0.0
        assert "a" in second.known(["a"])


def test_who_was_asked_about_and_how_is_kept(tmp_path):
    with Ledger(tmp_path / "ledger.db") as ledger:
        ledger.lease([lease("a", id="7"), lease("b", id="8")])
    rows = sqlite3.connect(tmp_path / "ledger.db").execute(
        "SELECT recipe, version, kind, calls.id, user, system, engine, model FROM calls JOIN instructions "
        "ON instructions.id = instruction ORDER BY key"
    )
    prompt = make_prompt("7")
    assert rows.fetchone() == ("rlmrec.item", "1", "item", "7", prompt.user, prompt.system, "engine", "model")


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"junk" * 500])
def test_a_corrupt_file_is_named(tmp_path, content):
    (tmp_path / "ledger.db").write_bytes(content)
    with pytest.raises(StoreError, match=r"ledger\.db.*(move the file away)"):
        Ledger(tmp_path / "ledger.db")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="give a work folder that can be written to"):
        Ledger(tmp_path / "file" / "ledger.db")


def test_a_newer_file_is_refused(tmp_path):
    Ledger(tmp_path / "ledger.db").close()
    with sqlite3.connect(tmp_path / "ledger.db") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99 is newer than this program's 1; upgrade"):
        Ledger(tmp_path / "ledger.db")
