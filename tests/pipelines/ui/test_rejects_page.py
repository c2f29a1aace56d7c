"""Rejects on the page: filtered, counted, told in words, each with the prompt and the answer behind it."""

from pathlib import Path

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.ui.rejects import MEANINGS, SIZE, search_rejects
from pipelines.ui.shelf import Shelf
from tests.support.hostile_world import FIRST, LAST, UNANSWERED, UNREADABLE
from tests.support.inert import text_of

NOTHING = dict.fromkeys(("reason", "step", "kind"), "")


@pytest.fixture
def shelf(hostile_file) -> Shelf:
    return Shelf(hostile_file)


def stored(file: Path, ds: str) -> pl.DataFrame:
    return DeltaStore(str(file.parent / "lake")).read("rejects", ds)


def test_all_rejects_are_counted_by_reason_the_most_frequent_first(shelf, hostile_file) -> None:
    found = search_rejects(shelf, LAST, "", NOTHING, 1)
    expected = dict(stored(hostile_file, LAST).group_by("reason").len().rows())
    assert dict(found.reasons) == expected
    assert found.total == sum(expected.values()) == len(found.rows)
    counts = [count for _, count in found.reasons]
    assert counts == sorted(counts, reverse=True)
    assert found.choices["step"] == ["ingest", "publish"]


def test_a_filter_narrows_the_rows_and_leaves_the_other_reasons_to_be_chosen(shelf) -> None:
    found = search_rejects(shelf, LAST, "", {**NOTHING, "reason": "no_json"}, 1)
    assert {(row["id"], row["reason"]) for row in found.rows} == {(UNREADABLE, "no_json")}
    assert found.total == 2, "one for each recipe about items"
    assert len(found.reasons) > 1
    ingested = search_rejects(shelf, LAST, "", {**NOTHING, "step": "ingest"}, 1)
    assert dict(ingested.reasons) == {"empty_id": 1, "bad_timestamp": 1}


def test_all_words_have_to_be_there_in_any_case_and_are_no_patterns(shelf) -> None:
    assert {row["id"] for row in search_rejects(shelf, LAST, f"EXPECTED {UNREADABLE}", NOTHING, 1).rows} == {UNREADABLE}
    assert search_rejects(shelf, LAST, "expected nowhere", NOTHING, 1).total == 0
    assert search_rejects(shelf, LAST, ".*", NOTHING, 1).total == 0


def test_the_answer_and_the_prompt_stand_beside_the_reason(hostile_client) -> None:
    page = text_of(hostile_client.get(f"/runs/paged/rejects?reason=no_json&ds={LAST}").text)
    assert "I would rather not." in page
    assert '"title": "The Crypt of Number 6"' in page
    assert all(words.replace("`", "") in page for words in MEANINGS["no_json"])
    assert "large-model" in page
    assert "small-model" not in page
    assert "small-model" in hostile_client.get(f"/runs/paged/rejects?reason=no_json&ds={FIRST}").text


def test_an_answer_that_never_came_says_so(hostile_client) -> None:
    page = text_of(hostile_client.get(f"/runs/paged/rejects?q={UNANSWERED}").text)
    assert "None came: missing." in page


def test_rows_of_the_source_have_no_page_of_their_own(hostile_client) -> None:
    page = hostile_client.get("/runs/paged/rejects?reason=bad_timestamp").text
    assert "r01/b10" in page
    assert "timestamp: expected a time from 1970 to 2100" in page
    assert "/subject?" not in page


def test_pages_of_25_in_a_table_that_has_more(hostile_copy, page_of) -> None:
    rows = pl.DataFrame({"id": [f"u{n:03}" for n in range(60)]}).with_columns(
        step=pl.lit("publish"),
        key=pl.lit("f" * 64),
        kind=pl.lit("user"),
        reason=pl.lit("schema"),
        detail=pl.lit("r.u: x"),
    )
    DeltaStore(str(hostile_copy.parent / "lake")).overwrite("rejects", rows, LAST)
    client = page_of(hostile_copy)
    first, last = (client.get(f"/runs/paged/rejects?place={place}").text for place in (1, 3))
    assert first.count("r.u: x") == SIZE
    assert "1 to 25 of 60" in first
    assert "u000" in first
    assert last.count("r.u: x") == 10
    assert 'rel="next"' not in last


def test_where_nothing_is_found_the_page_says_how_to_find_more(hostile_client) -> None:
    page = text_of(hostile_client.get("/runs/paged/rejects?q=zzzz").text)
    assert "No reject of" in page


def test_a_night_without_rejects_says_so(hostile_copy, page_of) -> None:
    store = DeltaStore(str(hostile_copy.parent / "lake"))
    store.overwrite("rejects", store.read("rejects", LAST).clear(), LAST)
    assert "Nothing was rejected on" in page_of(hostile_copy).get("/runs/paged/rejects").text
