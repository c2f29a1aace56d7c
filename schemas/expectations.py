"""What must hold for a table before it is published, as data; `features.gates` runs it with Great Expectations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.sections import Gates, Quality

NORM_TOLERANCE = 1e-3  # float32 rounding of a 4096-dimensional unit vector is far below it


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


def profile_suite(gates: Gates) -> Suite:
    """Rules for profiles; columns that the table lacks are computed by `features.measures.measure_profiles`."""
    user_coverage = gates.coverage if gates.user_coverage is None else gates.user_coverage
    return Suite(
        "profiles",
        ("kind", "id", "recipe", "field"),
        (
            _some_rows(),
            _at_least("item_coverage", gates.coverage, "of the items asked, by recipe"),
            _at_least("user_coverage", user_coverage, "of the users asked, by recipe"),
            _share("answer_ok", True, gates.coverage, "of the answers could be read"),
            _share("blank", False, gates.mostly, "of the texts are not blank"),
            Expectation(
                "expect_column_values_to_be_between",
                ("characters",),
                f"{gates.min_characters} to {gates.max_characters} characters in at least {_percent(gates.mostly)}",
                {"min_value": gates.min_characters, "max_value": gates.max_characters, "mostly": gates.mostly},
            ),
            _share("shared_text", False, 1 - gates.duplicates, "of the texts stand under one id only"),
            _unique("kind", "id", "recipe", "field"),
            _not_null("key"),
            _not_null("id"),
        ),
    )


def embedding_suite(gates: Gates) -> Suite:
    """Rules for embeddings; vectors are judged by the columns that `features.measures.measure_embeddings` computes."""
    return Suite(
        "embeddings",
        ("kind", "id", "source"),
        (
            _some_rows(),
            _not_null("dimension"),
            _share("other_dimension", False, 1.0, "of the vectors have one dimension"),
            _share("finite", True, 1.0, "of the vectors are finite"),
            Expectation(
                "expect_column_values_to_be_between",
                ("norm_error",),
                f"L2 norm within {NORM_TOLERANCE} of 1",
                {"min_value": 0.0, "max_value": NORM_TOLERANCE},
            ),
            _share("shared_vector", False, 1 - gates.duplicates, "of the vectors stand for one text only"),
            _unique("kind", "id", "source"),
            _not_null("text_hash"),
            _not_null("id"),
        ),
    )


def quality_suite(quality: Quality) -> Suite:
    """The most that each measure of the answers may be; `features.measures.measure_quality` has a column for each."""
    return Suite(
        "answer_quality",
        ("recipe", "field"),
        tuple(
            Expectation(
                "expect_column_values_to_be_between",
                (measure,),
                f"at most {limit:.4g} in every field",
                {"max_value": limit},
            )
            for measure, limit in quality.limits.items()
        ),
    )


def edge_suite() -> Suite:
    """Rules for the edges that a language model proposed; `features.measures.against_train` says which are observed."""
    return Suite(
        "llm_edges",
        ("recipe", "user_id", "item_id"),
        (
            _some_rows(),
            Expectation(
                "expect_column_values_to_be_in_set", ("label",), "1 or -1 in every row", {"value_set": [1, -1]}
            ),
            Expectation(
                "expect_column_values_to_be_between",
                ("weight",),
                "above 0 and at most 1 in every row",
                {"min_value": 0.0, "max_value": 1.0, "strict_min": True},
            ),
            _share("observed", False, 1.0, "of the edges are no train interactions"),
            _unique("recipe", "user_id", "item_id"),
            _not_null("user_id"),
            _not_null("item_id"),
            _not_null("key"),
        ),
    )


def _some_rows() -> Expectation:
    return Expectation("expect_table_row_count_to_be_between", (), "at least 1 row", {"min_value": 1})


def _not_null(column: str) -> Expectation:
    return Expectation("expect_column_values_to_not_be_null", (column,), "a value in every row")


def _unique(*columns: str) -> Expectation:
    return Expectation("expect_compound_columns_to_be_unique", columns, "no two rows alike", {"column_list": columns})


def _at_least(column: str, share: float, of: str) -> Expectation:
    return Expectation(
        "expect_column_min_to_be_between", (column,), f"at least {_percent(share)} {of}", {"min_value": share}
    )


def _share(column: str, value: bool, mostly: float, words: str) -> Expectation:
    prefix = "all" if mostly == 1.0 else f"at least {_percent(mostly)}"
    arguments = {"value_set": [value], "mostly": mostly}
    return Expectation("expect_column_values_to_be_in_set", (column,), f"{prefix} {words}", arguments)


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"
