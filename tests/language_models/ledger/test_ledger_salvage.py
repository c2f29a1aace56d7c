"""A ledger with damaged pages becomes one with everything that can still be read, and nothing that was not there."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from language_models.ledger import Ledger, Verdict
from language_models.ledger.salvage import salvage
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call

PAGE = 4096
KEYS = [f"k{number:03}" for number in range(200)]
LEASED, FAILED = KEYS[198], KEYS[199]


def text_of(key: str) -> str:
    return f"{key} " * 60


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    """A ledger of many pages: parsed and published answers, an open lease, a failure."""
    where = tmp_path_factory.mktemp("sound") / "ledger.sqlite"
    with Ledger(where, "2026-01-01") as ledger:
        ledger.lease([make_call(key) for key in KEYS])
        ledger.respond([make_answer(key, text=text_of(key)) for key in KEYS[:198]])
        ledger.respond([make_answer(FAILED, reason="error:server")])
        ledger.settle(Verdict(key, "parsed") for key in KEYS[:198])
        ledger.publish(KEYS[:100], 3)
        ledger.remember("fact", "value")
    return where.read_bytes()


def put(tmp_path, content: bytes, *pages: int):
    damaged = bytearray(content)
    for page in pages:
        damaged[page * PAGE : (page + 1) * PAGE] = b"\xa5" * PAGE
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(damaged)
    return file


def table(content: bytes, tmp_path, name: str) -> list[int]:
    """The pages of a table or index, its root first."""
    (tmp_path / "whole.sqlite").write_bytes(content)
    with closing(sqlite3.connect(tmp_path / "whole.sqlite")) as database:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (root,) = database.execute(query, (name,)).fetchone()
    page = content[(root - 1) * PAGE : root * PAGE]
    assert page[0] in (2, 5), "an interior page"
    cells = int.from_bytes(page[3:5], "big")
    places = [int.from_bytes(page[12 + 2 * cell : 14 + 2 * cell], "big") for cell in range(cells)]
    children = [int.from_bytes(page[place : place + 4], "big") for place in places]
    return [root - 1, *(child - 1 for child in children)]


def answers_of(file) -> dict[str, list[str]]:
    with Ledger(file) as ledger:
        return {key: [each.text for each in found] for key, found in ledger.answers(KEYS).items()}


def sound(file) -> bool:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_sound_ledger_is_the_same_after_it(tmp_path, content) -> None:
    file = put(tmp_path, content)
    with Ledger(file, "2026-01-01") as ledger:
        before = (ledger.settled(KEYS), ledger.answers(KEYS), ledger.calls(KEYS), ledger.totals())
    found = salvage(file)
    assert (found.answers, found.answers_lost, found.calls, found.mended, found.asked_again) == (199, 0, 200, 0, 0)
    with Ledger(file, "2026-01-01") as ledger:
        assert (ledger.settled(KEYS), ledger.answers(KEYS), ledger.calls(KEYS), ledger.totals()) == before
        assert ledger.recall("fact") == "value"
        assert [call.key for call in ledger.orphans()] == [LEASED]
        assert set(ledger.failures(KEYS)) == {FAILED}
    assert found.damaged.read_bytes()[:PAGE] == content[:PAGE]


def test_whatever_page_is_damaged_what_is_kept_is_right_and_little_is_lost(tmp_path, content) -> None:
    lost = []
    for page in range(len(content) // PAGE):
        file = put(tmp_path, content, page)
        salvage(file)
        kept = answers_of(file)
        wrong = {key: texts for key, texts in kept.items() if texts != [text_of(key)]}
        assert not wrong, (page, wrong)
        assert sound(file), page
        with Ledger(file, "2026-01-02") as ledger:  # what is lost can be asked again, and nothing else is
            missing = [key for key in KEYS[:198] if key not in kept]
            granted = ledger.lease([make_call(key) for key in KEYS[:198]])
            assert (sorted(granted.taken), len(granted.answered)) == (missing, 198 - len(missing)), page
            ledger.respond([make_answer(key) for key in missing])
        lost.append(len(missing))
    assert len(lost) > 20
    assert max(lost) <= 12, "the answers of one page"
    assert sum(each == 0 for each in lost) > len(lost) / 3


def test_answers_that_are_lost_are_counted_and_their_spending_stays(tmp_path, content) -> None:
    leaves = table(content, tmp_path, "answers")[1:]
    found = salvage(put(tmp_path, content, leaves[3]))
    assert found.answers_lost == 199 - found.answers > 0
    assert found.asked_again == found.answers_lost
    with Ledger(tmp_path / "ledger.sqlite", "2026-01-01") as ledger:
        assert ledger.totals().spent_usd == 0.25 * 198
        assert len(ledger.settled(KEYS)) == 198 - found.answers_lost


def test_calls_whose_rows_are_lost_keep_their_answers(tmp_path, content) -> None:
    leaves = table(content, tmp_path, "states")[1:]
    found = salvage(put(tmp_path, content, leaves[0]))
    assert found.mended > 10
    assert (found.answers, found.answers_lost, found.asked_again) == (199, 0, 0)
    assert set(answers_of(tmp_path / "ledger.sqlite")) == set(KEYS[:198])


def test_a_ledger_that_is_in_use_is_left_alone(tmp_path, content) -> None:
    file = put(tmp_path, content)
    with Ledger(file) as ledger:
        ledger.lease([make_call("more")])
        with pytest.raises(StoreError, match="still uses it; stop the runs first"):
            salvage(file)
    assert salvage(file).calls == 201


def test_what_is_no_ledger_is_said(tmp_path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        salvage(tmp_path / "ledger.sqlite")
    (tmp_path / "ledger.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="nothing of it can be read"):
        salvage(tmp_path / "ledger.sqlite")
    assert (tmp_path / "ledger.sqlite").exists()
