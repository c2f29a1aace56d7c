"""The gates of prompts, partitions, generated items and instruction examples: each rule can fail and names what did."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.answer_measures import ExampleMeter, measure_generated, measure_partitions, measure_prompts
from features.gates import check_tables
from features.measures import Measured
from schemas.expectations import Suite, generated_suite, instruction_suite, partition_suite, prompt_suite
from schemas.sections import Gates
from schemas.tables import TABLES, conform

END = 1_000_000
IDS = {"user": pl.Series(["u1", "u2", "u3"]), "item": pl.Series(["i1", "i2", "i3"])}
Change = Callable[[pl.DataFrame], pl.DataFrame]


def frame(table: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    columns = TABLES[table].columns
    return conform(table, pl.DataFrame(rows, schema={name: columns[name] for name in rows[0]}))


def prompts() -> pl.DataFrame:
    about = {"recipe": "r", "version": "1", "kind": "user", "part": 0, "split_id": "s", "max_time": END - 1}
    return frame("prompts", [{**about, "id": f"u{n}", "key": f"k{n}", "source_ids": [f"i{n}"]} for n in (1, 2, 3)])


def partitions() -> pl.DataFrame:
    about = {"recipe": "p", "version": "1", "late": False, "key": "k", "model": "m", "split_id": "s", "start_time": 5}
    told = {**about, "item_ids": ["i1", "i2"], "end_time": END - 1, "fields": ["summary"], "texts": ["Likes it."]}
    return frame("partitions", [{**told, "user_id": f"u{n}", "part": part} for n in (1, 2) for part in (1, 2)])


def generated() -> pl.DataFrame:
    about = {"recipe": "g", "text": "", "key": "k", "model": "m", "split_id": "s", "user_id": "u1"}
    found = {"title": "One", "status": "exact", "item_id": "i1", "score": 1.0}
    nowhere = {"title": "Two", "status": "none", "item_id": "", "score": 0.0}
    return frame("generated_items", [{**about, **found, "rank": 1}, {**about, **nowhere, "rank": 2}])


def examples() -> pl.DataFrame:
    said = [("system", ""), ("user", "Which?"), ("assistant", "One")]
    about = {"name": "e", "builder": "b", "task": "t", "template": "1", "search": False, "rejected": ["Two"]}
    told = {**about, "messages": [{"role": role, "content": text} for role, text in said], "label": None}
    where = {"user_id": "u1", "item_id": "i1", "source_ids": ["i2"], "prompt_hash": "h", "split_id": "s"}
    return frame("instructions", [{**told, **where, "row": row} for row in range(4)])


def measure(table: str, rows: pl.DataFrame, before: int = 0) -> Measured:
    if table == "prompts":
        return measure_prompts(rows, IDS, {"r": before} if before else {}, END)
    if table == "partitions":
        return measure_partitions(rows, IDS, END)
    if table == "generated_items":
        return measure_generated(rows, IDS)
    meter = ExampleMeter(IDS)
    assert pl.concat(meter.through([rows.head(0), rows.head(2), rows.slice(2)])).height == rows.height
    return meter.measured({"e": before} if before else {})


def suite(table: str) -> Suite:
    gates = Gates()
    known = {"partitions": partition_suite(), "generated_items": generated_suite()}
    return {**known, "prompts": prompt_suite(gates), "instructions": instruction_suite(gates)}[table]


CLEAN: dict[str, Callable[[], pl.DataFrame]] = {
    "prompts": prompts,
    "partitions": partitions,
    "generated_items": generated,
    "instructions": examples,
}


def first(column: str, value: Any) -> Change:
    """Another value in the first row."""

    def change(rows: pl.DataFrame) -> pl.DataFrame:
        new = pl.Series(column, [value, *rows[column].to_list()[1:]], dtype=rows.schema[column])
        return rows.with_columns(new)

    return change


def messages(*said: tuple[str, str]) -> Change:
    return first("messages", [{"role": role, "content": text} for role, text in said])


FAULTS: list[tuple[str, Change, str, str]] = [
    ("prompts", first("key", None), "empty_cells", "r u1"),
    ("prompts", first("id", "u2"), "repeated_rows", "r u2"),
    ("prompts", first("id", "who"), "unknown_ids", "user who"),
    ("prompts", first("source_ids", ["what"]), "unknown_ids", "item what"),
    ("prompts", first("split_id", "other"), "split_ids", ""),
    ("prompts", first("max_time", END), "after_night", "r u1"),
    ("partitions", first("item_ids", None), "empty_cells", "u1 part 1"),
    ("partitions", first("part", 2), "repeated_rows", "u1 part 2"),
    ("partitions", first("user_id", "who"), "unknown_ids", "user who"),
    ("partitions", first("texts", []), "uneven", "u1 part 1"),
    ("partitions", first("item_ids", []), "uneven", "u1 part 1"),
    ("partitions", first("start_time", END), "backwards", "u1 part 1"),
    ("partitions", first("end_time", END), "after_night", "u1 part 1"),
    ("generated_items", first("title", None), "empty_cells", "u1 ?"),
    ("generated_items", first("rank", 2), "repeated_rows", "u1 Two"),
    ("generated_items", first("item_id", "what"), "unknown_ids", "item what"),
    ("generated_items", first("item_id", ""), "unplaced", "u1 One"),
    ("generated_items", first("status", "sure"), "bad_status", "u1 One"),
    ("generated_items", first("score", 1.5), "bad_scores", "u1 One"),
    ("instructions", first("prompt_hash", None), "empty_cells", "e row 0"),
    ("instructions", first("row", 1), "repeated_rows", "e row 1"),
    ("instructions", first("user_id", "who"), "unknown_ids", "user who"),
    ("instructions", messages(("user", " "), ("assistant", "One")), "bad_messages", "e row 0"),
    ("instructions", messages(("user", "Which?"), ("robot", "One"), ("assistant", "One")), "bad_messages", "e row 0"),
    ("instructions", messages(("assistant", "One"), ("user", "Which?")), "bad_messages", "e row 0"),
    ("instructions", first("label", 0.5), "bad_labels", "e row 0"),
    ("instructions", first("rejected", ["One"]), "told", "e row 0"),
    ("instructions", first("split_id", "other"), "split_ids", ""),
]


@pytest.mark.parametrize(("table", "change", "rule", "example"), FAULTS)
def test_a_fault_is_counted_under_its_rule_and_shown(table: str, change: Change, rule: str, example: str) -> None:
    clean, faulty = measure(table, CLEAN[table]()), measure(table, change(CLEAN[table]()))
    assert clean.frame[rule].item() == (1 if rule == "split_ids" else 0)
    assert faulty.frame[rule].item() == clean.frame[rule].item() + 1
    assert example in " ".join(faulty.examples[rule])


def test_faults_in_a_later_chunk_of_the_rows_are_shown() -> None:
    many = pl.concat([prompts().with_columns(recipe=pl.lit(f"r{n}")) for n in range(500)], rechunk=True)
    found = measure("prompts", pl.concat([many, many.tail(700)])).examples["repeated_rows"]
    assert len(found) == 3  # where the first chunk has none, polars 2.1 panics


@pytest.mark.parametrize("table", CLEAN)
def test_a_clean_table_passes_its_gate_and_a_faulty_one_does_not(table: str, tmp_path: Path) -> None:
    change, rule = next((change, rule) for name, change, rule, _ in FAULTS if name == table)
    (passed,) = check_tables([(suite(table), measure(table, CLEAN[table]()))], tmp_path / "clean")
    assert passed.success
    (failed,) = check_tables([(suite(table), measure(table, change(CLEAN[table]())))], tmp_path / "faulty")
    assert [each.column for each in failed.results if not each.success] == [rule]


@pytest.mark.parametrize("table", ["prompts", "instructions"])
def test_lost_rows_fail_against_the_night_before_alone(table: str, tmp_path: Path) -> None:
    rows = CLEAN[table]()
    (failed,) = check_tables([(suite(table), measure(table, rows, before=2 * rows.height))], tmp_path / "fewer")
    assert [(each.column, each.observed) for each in failed.results if not each.success] == [("rows_share", "0.5")]
    assert measure(table, rows).frame["rows_share"].item() is None
