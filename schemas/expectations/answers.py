"""What must hold for what was asked and made of it, as figures of the whole table: prompts, partitions and the like."""

from __future__ import annotations

from schemas.expectations.base import Expectation, Suite, least, most, none, percent
from schemas.sections import Gates


def prompt_suite(gates: Gates) -> Suite:
    """Rules for prompts on what `features.answer_measures.measure_prompts` has found."""
    return Suite(
        "prompts",
        (),
        (
            *_subjects("recipe, subject, part"),
            most("split_ids", 1, "one split id"),
            none("after_night", "event after the night behind a prompt"),
            _rows_share(gates.tables.prompts.min_share),
        ),
    )


def partition_suite() -> Suite:
    """Rules for partitions of histories on what `features.answer_measures.measure_partitions` has found."""
    return Suite(
        "partitions",
        (),
        (
            *_subjects("recipe, user and part"),
            none("uneven", "partition without items, or with more fields than texts"),
            none("backwards", "partition that ends before it starts"),
            none("after_night", "event after the night in a partition"),
        ),
    )


def generated_suite() -> Suite:
    """Rules for items that a model made up on what `features.answer_measures.measure_generated` has found."""
    return Suite(
        "generated_items",
        (),
        (
            *_subjects("recipe, user and rank"),
            none("bad_status", "status that grounding does not give"),
            none("unplaced", "title that was found in the catalogue, without its item"),
            none("bad_scores", "score outside 0 to 1"),
        ),
    )


def instruction_suite(gates: Gates) -> Suite:
    """Rules for instruction examples on what `features.answer_measures.ExampleMeter` has counted."""
    return Suite(
        "instructions",
        (),
        (
            least("rows", 1, "at least 1 row"),
            *_subjects("entry and row"),
            none("bad_messages", "example with an empty message, an unknown role, or an end that is no answer"),
            none("bad_labels", "label but 0 and 1"),
            none("told", "answer that is among the worse ones too"),
            most("split_ids", 1, "one split id"),
            _rows_share(gates.tables.instructions.min_share),
        ),
    )


def _subjects(key: str) -> tuple[Expectation, ...]:
    return (
        none("empty_cells", "row with an empty cell"),
        none("repeated_rows", f"{key} twice"),
        none("unknown_ids", "user or item that its table lacks"),
    )


def _rows_share(share: float) -> Expectation:
    return least("rows_share", share, f"at least {percent(share)} of the rows of the night before")
