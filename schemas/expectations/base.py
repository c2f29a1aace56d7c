"""One rule of a table as data, and the rules that suites are made of; `features.gates` runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Expectation:
    """One rule: the Great Expectations type, its columns and arguments, and the same in words."""

    type: str
    columns: tuple[str, ...]
    expected: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Suite:
    """The rules of one table. `key` names the columns that a failing row is shown by."""

    table: str
    key: tuple[str, ...]
    expectations: tuple[Expectation, ...]


def some_rows() -> Expectation:
    return Expectation("expect_table_row_count_to_be_between", (), "at least 1 row", {"min_value": 1})


def not_null(column: str) -> Expectation:
    return Expectation("expect_column_values_to_not_be_null", (column,), "a value in every row")


def unique(*columns: str) -> Expectation:
    return Expectation("expect_compound_columns_to_be_unique", columns, "no two rows alike", {"column_list": columns})


def at_least(column: str, share: float, of: str) -> Expectation:
    return Expectation(
        "expect_column_min_to_be_between", (column,), f"at least {percent(share)} {of}", {"min_value": share}
    )


def share(column: str, value: bool, mostly: float, words: str) -> Expectation:
    prefix = "all" if mostly == 1.0 else f"at least {percent(mostly)}"
    arguments = {"value_set": [value], "mostly": mostly}
    return Expectation("expect_column_values_to_be_in_set", (column,), f"{prefix} {words}", arguments)


def percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def none(column: str, words: str) -> Expectation:
    """A count over the table that must be 0; a null is not judged."""
    return most(column, 0, f"no {words}")


def most(column: str, limit: float, words: str) -> Expectation:
    """A figure of the table that must not be above the limit; a null is not judged."""
    return Expectation("expect_column_values_to_be_between", (column,), words, {"max_value": limit})


def least(column: str, limit: float, words: str) -> Expectation:
    """A figure of the table that must not be below the limit; a null is not judged."""
    return Expectation("expect_column_values_to_be_between", (column,), words, {"min_value": limit})
