"""What is wrong with a ledger's file or disk is said with its name, its cause and the next step, and loses nothing."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys

import pytest

from language_models.ledger import Ledger, Verdict
from language_models.ledger.writer import Writer
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call

# Fills a disk, and prints the keys that were acknowledged before it was full and the error.
FILL = """
import sys
from pathlib import Path
from language_models.ledger import Ledger
from language_models.ledger.writer import Writer
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call
where, kept = Path(sys.argv[1]), 0
with Ledger(where) as ledger:
    try:
        with Writer(ledger) as writer:
            for number in range(5000):
                writer.lease([make_call(f"k{number}")]).result()
                writer.respond([make_answer(f"k{number}", text=f"k{number} " * 50)]).result()
                kept = number + 1
    except StoreError as error:
        print(error)
    assert kept < 5000
with Ledger(where) as ledger:
    answers = ledger.answers(f"k{number}" for number in range(kept))
    assert [answers[f"k{number}"][0].text for number in range(kept)] == [f"k{number} " * 50 for number in range(kept)]
    totals = ledger.totals()
    assert totals.spent_usd == 0.25 * kept and totals.reserved_usd == 0.5 * len(ledger.orphans()) <= 0.5, totals
"""
AND_GO_ON = """
    (where.parent / "ballast").unlink()
    ledger.respond([make_answer("k0", turn=1)])
    ledger.lease([make_call("more")])
    ledger.respond([make_answer("more")])
    print("went on")
"""


def run(script, *arguments, limit=None, within=()):
    command = [*within, sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True, preexec_fn=limit
    )


def small_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))


def test_a_file_that_cannot_grow_stops_the_run_and_keeps_every_acknowledged_answer(tmp_path):
    done = run(FILL, tmp_path / "ledger.sqlite", limit=small_files)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/ledger.sqlite: ledger: " in done.stdout
    assert "free some disk space and run again; every answer so far is kept" in done.stdout


def test_a_full_disk_stops_the_run_and_it_goes_on_when_there_is_room(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=3m none {disk} && head -c 1m /dev/zero > {disk}/ballast && exec "$@"'
    within = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or run("", within=within).returncode:
        pytest.skip("a small disk cannot be mounted here: no permission")
    done = run(FILL + AND_GO_ON, disk / "ledger.sqlite", within=within)
    assert done.returncode == 0, done.stderr
    assert "ledger.sqlite: ledger: database or disk is full; free some disk space and run again" in done.stdout
    assert "went on" in done.stdout


def test_a_disk_that_cannot_be_written_to_is_named(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f'mount -t tmpfs -o ro none {disk} && exec "$@"'
    within = ["unshare", "--mount", "sh", "-c", mount, "sh"]
    if shutil.which("unshare") is None or run("", within=within).returncode:
        pytest.skip("a read-only disk cannot be mounted here: no permission")
    for place in (disk / "ledger.sqlite", disk / "folder" / "ledger.sqlite"):
        done = run(FILL, place, within=within)
        assert f"Error: {place}: ledger: " in done.stderr
        assert "give a work folder that can be written to (`work` in the run file)" in done.stderr


@pytest.mark.parametrize("place", ["/proc/ledger.sqlite", "/proc/1/folder/ledger.sqlite", "/dev/null/ledger.sqlite"])
def test_a_folder_that_cannot_be_written_to_is_named(place):
    with pytest.raises(StoreError, match=f"{place}: ledger: .*give a work folder that can be written to"):
        Ledger(place)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/ledger\.sqlite: ledger: .*give a work folder"):
        Ledger(tmp_path / "file" / "ledger.sqlite")


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path):
    with pytest.raises(StoreError, match="ledger: unable to open database file; give a work folder"):
        Ledger(tmp_path)


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"junk" * 500])
def test_a_file_that_is_no_database_is_named(tmp_path, content):
    (tmp_path / "ledger.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match=r"ledger\.sqlite: ledger: .*move the file away.*or restore a copy"):
        Ledger(tmp_path / "ledger.sqlite")


def test_another_programs_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        other.execute("CREATE TABLE calls (number INTEGER)")
    with pytest.raises(StoreError, match="ledger"):
        Ledger(tmp_path / "ledger.sqlite")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as other:
        assert [row[0] for row in other.execute("SELECT name FROM sqlite_schema")] == ["calls"]


def test_a_newer_ledger_is_refused(tmp_path):
    Ledger(tmp_path / "ledger.sqlite").close()
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        file.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="version 99 is newer than this program's 2; upgrade loregraph"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_damaged_page_anywhere_is_an_error_or_changes_nothing(tmp_path):
    """Every page in turn is filled with junk; what is read then is right, or an error says that the file is damaged."""
    sound, damaged = tmp_path / "sound.sqlite", tmp_path / "damaged.sqlite"
    keys = [f"k{number}" for number in range(300)]
    with Ledger(sound) as ledger:
        ledger.lease([make_call(key) for key in keys])
        ledger.respond([make_answer(key, text=f"{key} " * 50) for key in keys])
        ledger.settle(Verdict(key, "parsed") for key in keys)
    right, content = read_all(sound, keys), sound.read_bytes()
    errors = 0
    for at in range(0, len(content), 4096):
        damaged.write_bytes(content[:at] + b"\xa5" * 4096 + content[at + 4096 :])
        found = read_all_or_error(damaged, keys)
        if isinstance(found, str):
            assert "damaged.sqlite: ledger: " in found
            assert "move the file away" in found
            errors += 1
        else:
            assert found == right
        damaged.with_name("damaged.sqlite-wal").unlink(missing_ok=True)
    assert errors > len(content) / 4096 / 2, "most pages are read"


def read_all_or_error(path, keys):
    try:
        return read_all(path, keys)
    except StoreError as error:
        return str(error)


def read_all(path, keys):
    with Ledger(path) as ledger:
        asked = ledger.last_asked("rlmrec.item", "item", keys)
        return ledger.settled(keys), ledger.answers(keys), ledger.calls(keys), ledger.totals(), asked


def test_a_ledger_that_another_process_keeps_locked_is_named(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger, sqlite3.connect(tmp_path / "ledger.sqlite") as holder:
        ledger._database._patience_s = 0.05  # a minute, otherwise
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="ledger: database is locked; another process holds it"):
            ledger.lease([make_call("a")])
        holder.rollback()
        assert ledger.lease([make_call("a")]).taken == ["a"]


def test_after_a_full_disk_every_later_future_has_the_error(tmp_path):
    with Ledger(tmp_path / "ledger.sqlite") as ledger, Writer(ledger) as writer:
        writer.lease([make_call(f"k{number}") for number in range(100)]).result()
        ledger._database._writes.execute("PRAGMA max_page_count = 30")
        futures = [writer.respond([make_answer(f"k{number}", text="x" * 3000)]) for number in range(100)]
        errors = [future.exception() for future in futures]
        kept = errors.index(next(filter(None, errors)))
        assert all("disk is full; free some disk space" in str(error) for error in errors[kept:])
        assert len(ledger.answers(f"k{number}" for number in range(100))) == kept
        assert "disk is full" in str(writer.release(["k0"]).exception())
