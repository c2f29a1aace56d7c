"""What must hold for texts, their vectors and edges, row by row: profiles, answers, embeddings, llm_edges."""

from __future__ import annotations

from schemas.expectations.base import Expectation, Suite, at_least, most, not_null, percent, share, some_rows, unique
from schemas.sections import Gates, Quality

NORM_TOLERANCE = 1e-3  # float32 rounding of a 4096-dimensional unit vector is far below it


def profile_suite(gates: Gates) -> Suite:
    """Rules for profiles; columns that the table lacks are computed by `features.measures.measure_profiles`."""
    user_coverage = gates.coverage if gates.user_coverage is None else gates.user_coverage
    return Suite(
        "profiles",
        ("kind", "id", "recipe", "field"),
        (
            some_rows(),
            at_least("item_coverage", gates.coverage, "of the items asked, by recipe"),
            at_least("user_coverage", user_coverage, "of the users asked, by recipe"),
            share("answer_ok", True, gates.coverage, "of the answers could be read"),
            share("blank", False, gates.mostly, "of the texts are not blank"),
            Expectation(
                "expect_column_values_to_be_between",
                ("characters",),
                f"{gates.min_characters} to {gates.max_characters} characters in at least {percent(gates.mostly)}",
                {"min_value": gates.min_characters, "max_value": gates.max_characters, "mostly": gates.mostly},
            ),
            share("shared_text", False, 1 - gates.duplicates, "of the texts stand under one id only"),
            share(
                "rewritten",
                False,
                1 - gates.tables.profiles.rewritten,
                "of the texts are those of the night before where the prompt is the same",
            ),
            share("known_id", True, 1.0, "of the ids are in users and items"),
            unique("kind", "id", "recipe", "field"),
            not_null("key"),
            not_null("id"),
        ),
    )


def embedding_suite(gates: Gates) -> Suite:
    """Rules for embeddings; vectors are judged by the columns that `features.measures.measure_embeddings` computes."""
    return Suite(
        "embeddings",
        ("kind", "id", "source"),
        (
            some_rows(),
            not_null("dimension"),
            share("other_dimension", False, 1.0, "of the vectors have one dimension"),
            share("finite", True, 1.0, "of the vectors are finite"),
            Expectation(
                "expect_column_values_to_be_between",
                ("norm_error",),
                f"L2 norm within {NORM_TOLERANCE} of 1",
                {"min_value": 0.0, "max_value": NORM_TOLERANCE},
            ),
            share("shared_vector", False, 1 - gates.duplicates, "of the vectors stand for one text only"),
            share(
                "moved",
                False,
                1 - gates.tables.embeddings.moved,
                "of the vectors are those of the night before where the text is the same",
            ),
            share("known_id", True, 1.0, "of the ids are in users and items"),
            unique("kind", "id", "source"),
            not_null("text_hash"),
            not_null("id"),
        ),
    )


def drift_suite(gates: Gates) -> Suite:
    """Rules for every source of vectors against the night before, on what `features.drift.vector_drift` has found."""
    gate = gates.tables.embeddings
    return Suite(
        "vector_drift",
        ("kind", "source"),
        (
            share("other_dimension", False, 1.0, "of the sources have the dimension of the night before"),
            most("coverage_drop", gate.coverage_drop, f"vectors lost for at most {percent(gate.coverage_drop)} of ids"),
            most("drift", gate.drift, f"energy distance at most {gate.drift:.4g} times that within the night before"),
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
            some_rows(),
            Expectation(
                "expect_column_values_to_be_in_set", ("label",), "1 or -1 in every row", {"value_set": [1, -1]}
            ),
            Expectation(
                "expect_column_values_to_be_between",
                ("weight",),
                "above 0 and at most 1 in every row",
                {"min_value": 0.0, "max_value": 1.0, "strict_min": True},
            ),
            share("observed", False, 1.0, "of the edges are no train interactions"),
            unique("recipe", "user_id", "item_id"),
            not_null("user_id"),
            not_null("item_id"),
            not_null("key"),
        ),
    )
