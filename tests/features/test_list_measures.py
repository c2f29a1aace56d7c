"""The gates of published lists and of codes: clean ones pass, and every rule can fail and names what breaks it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.gates import check_tables
from features.list_measures import ListMeter, measure_codes
from features.measures import Measured
from schemas.expectations import Suite, code_suite, neighbour_suite, recommendation_suite
from schemas.sections import Gates

USERS, ITEMS, K = 30, 50, 4
Change = Callable[[pl.DataFrame], pl.DataFrame]
ROW = pl.int_range(pl.len())
IDS = (pl.Series([f"u{n:02}" for n in range(USERS)]), pl.Series([f"i{n:02}" for n in range(ITEMS)]))
SEEN = np.array([user * ITEMS + user for user in range(USERS)])  # everybody has the item of the own number


def lists() -> pl.DataFrame:
    rows = [
        ("m", f"u{user:02}", rank, f"i{(user * 3 + rank) % ITEMS:02}", 1.0 / rank)
        for user in range(USERS)
        for rank in range(1, K + 1)
        if (user * 3 + rank) % ITEMS != user
    ]
    frame = pl.DataFrame(rows, schema=["model", "user_id", "rank", "item_id", "score"], orient="row")
    return frame.with_columns(rank=pl.int_range(1, pl.len() + 1).over("user_id"))


def where(rows: pl.Expr, column: str, value: object) -> Change:
    return lambda frame: frame.with_columns(pl.when(rows).then(pl.lit(value)).otherwise(pl.col(column)).alias(column))


def judged(suite: Suite, measured: Measured, docs: Path) -> dict[str, tuple[str, str]]:
    (report,) = check_tables([(suite, measured)], docs)
    return {each.column: (each.observed, " ".join(each.examples)) for each in report.results if not each.success}


def judge(frame: pl.DataFrame, docs: Path, distinct: int | None = None) -> dict[str, tuple[str, str]]:
    return judge_blocks([frame], docs, distinct)


def judge_blocks(blocks: list[pl.DataFrame], docs: Path, distinct: int | None = None) -> dict[str, tuple[str, str]]:
    meter = ListMeter(("user_id", "item_id"), *IDS, K, SEEN, np.ones(USERS, dtype=bool))
    assert pl.concat(meter.through(blocks)).equals(pl.concat(blocks)), "blocks go on as they came"
    return judged(recommendation_suite(Gates()), meter.measured(distinct), docs)


def everybody_the_same(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(item_id=pl.format("i{}", pl.col("rank") + 40))


LIST_FAULTS: dict[str, tuple[Change, str, str]] = {
    "no lists": (lambda frame: frame.clear(), "rows", ""),
    "no item": (where(ROW == 5, "item_id", None), "empty_cells", "u01/None"),
    "an unknown item": (where(ROW == 5, "item_id", "x"), "unknown_ids", "u01/x"),
    "an unknown user": (where(ROW == 5, "user_id", "x"), "unknown_ids", "x/i05"),
    "an item twice": (where(ROW == 5, "item_id", "i04"), "repeated_items", "u01/i04"),
    "an item that the user has": (where(ROW == 5, "item_id", "i01"), "seen", "u01/i01"),
    "a score that is none": (where(ROW == 5, "score", float("nan")), "bad_scores", "u01/i05"),
    "a hole in the ranks": (where(ROW == 7, "rank", 9), "bad_ranks", "u01"),
    "a better score later": (where(ROW == 5, "score", 9.0), "unsorted", "u01/i05"),
    "some without a list": (lambda frame: frame.filter(pl.col("user_id") > "u02"), "coverage", ""),
    "short lists": (lambda frame: frame.filter(pl.col("rank") < K), "places", ""),
    "a collapsed model": (everybody_the_same, "alike", ""),
}


@pytest.mark.parametrize("fault", LIST_FAULTS)
def test_a_fault_in_lists_is_caught_and_named(fault: str, tmp_path: Path) -> None:
    change, column, example = LIST_FAULTS[fault]
    failed = judge(change(lists()), tmp_path)
    assert example in failed[column][1]


def test_clean_lists_pass_in_any_number_of_blocks(tmp_path: Path) -> None:
    assert judge(lists(), tmp_path, distinct=ITEMS) == {}
    assert judge_blocks(lists().partition_by("user_id", maintain_order=True), tmp_path, distinct=ITEMS) == {}


def test_a_list_that_comes_again_in_a_later_block_is_counted(tmp_path: Path) -> None:
    assert list(judge_blocks([lists(), lists()], tmp_path)) == ["repeated_items"]


def test_fewer_distinct_items_than_the_night_before_are_caught(tmp_path: Path) -> None:
    assert judge(lists(), tmp_path, distinct=1000)["distinct_share"][1] == f"{ITEMS} now, 1,000 before"


@pytest.mark.parametrize(("k", "overlap"), [(1, 0.0), (25, 0.0), (ITEMS, None)])
def test_lists_by_chance_are_not_alike_however_long(k: int, overlap: float | None) -> None:
    generator = np.random.default_rng(0)
    meter = ListMeter(("user_id", "item_id"), *IDS, k, SEEN[:0], np.ones(USERS, dtype=bool))
    rows = [
        ("m", IDS[0][user], rank + 1, IDS[1][int(item)], -float(rank))
        for user in range(USERS)
        for rank, item in enumerate(generator.permutation(ITEMS)[:k])
    ]
    frame = pl.DataFrame(rows, schema=["model", "user_id", "rank", "item_id", "score"], orient="row")
    list(meter.through([frame]))
    found = meter.measured(None).frame["alike"].item()
    assert found is None if overlap is None else abs(found - overlap) < 0.05


def test_neighbours_are_judged_without_looking_at_likeness(tmp_path: Path) -> None:
    rows = [("m", IDS[1][n], 1, IDS[1][0 if n else 1], 0.5) for n in range(ITEMS)]
    frame = pl.DataFrame(rows, schema=["model", "item_id", "rank", "neighbour_id", "score"], orient="row")
    own = np.arange(ITEMS) * (ITEMS + 1)

    def found(frame: pl.DataFrame) -> dict[str, tuple[str, str]]:
        meter = ListMeter(("item_id", "neighbour_id"), IDS[1], IDS[1], 1, own, np.zeros(ITEMS, dtype=bool))
        list(meter.through([frame]))
        return judged(neighbour_suite(Gates()), meter.measured(None), tmp_path)

    assert found(frame) == {}
    assert found(where(ROW == 3, "neighbour_id", "i03")(frame))["seen"][1] == "i03/i03"


def codes() -> pl.DataFrame:
    rows = [("rq", IDS[1][n], "f1", [n // 8, n % 8], [8, 8]) for n in range(ITEMS)]
    return pl.DataFrame(rows, schema=["name", "id", "fit", "codes", "sizes"], orient="row")


CODE_FAULTS: dict[str, tuple[Change, str, str]] = {
    "nothing": (lambda frame: frame.clear(), "rows", ""),
    "no codes": (where(ROW == 3, "codes", None), "empty_cells", "rq i03"),
    "an item twice": (lambda frame: pl.concat([frame, frame.head(1)]), "repeated_ids", "rq i00"),
    "an unknown item": (where(ROW == 3, "id", "x"), "unknown_ids", "rq x"),
    "an item without codes": (lambda frame: frame.filter(ROW != 3), "uncoded", "rq i03"),
    "a level too few": (where(ROW == 3, "codes", [1]), "wrong_lengths", "rq i03"),
    "a code too high": (where(ROW == 3, "codes", [0, 8]), "out_of_range", "rq i03"),
    "codes of another": (where(ROW == 3, "codes", [0, 0]), "collisions", "rq i03"),
    "other codes by the same fit": (where(ROW == 3, "codes", [7, 7]), "moved", "rq i03"),
}


@pytest.mark.parametrize("fault", CODE_FAULTS)
def test_a_fault_in_codes_is_caught_and_named(fault: str, tmp_path: Path) -> None:
    change, column, example = CODE_FAULTS[fault]
    failed = judged(code_suite(), measure_codes(change(codes()), IDS[1], codes()), tmp_path)
    assert example in failed[column][1]


def test_clean_codes_pass_and_a_new_fit_may_give_others(tmp_path: Path) -> None:
    assert judged(code_suite(), measure_codes(codes(), IDS[1], codes()), tmp_path) == {}
    refitted = codes().with_columns(fit=pl.lit("f2"), codes=pl.col("codes").reverse())
    assert judged(code_suite(), measure_codes(refitted, IDS[1], codes()), tmp_path) == {}
