"""The computed columns that the gates judge, by hand on tiny tables."""

import math

import polars as pl
import pytest

from features.measures import against_asked, measure_embeddings, measure_profiles


def profiles(*rows: tuple[str, str, str, str]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=["kind", "id", "recipe", "text"], orient="row")
    return frame.with_columns(field=pl.lit("summarization"), key=pl.lit("k"))


def test_coverage_counts_entities_with_a_text_per_recipe() -> None:
    written = profiles(
        ("item", "1", "a", "good"), ("item", "2", "a", " "), ("item", "1", "b", "fine"), ("user", "1", "u", "keen")
    )
    asked = pl.DataFrame(
        {"kind": ["item"] * 5 + ["user"] * 2, "id": ["1", "2", "3", "4", "1", "1", "2"], "recipe": list("aaaabuu")}
    )
    measured = measure_profiles(against_asked(written, asked))
    shares = measured.group_by("kind", "recipe").agg(pl.col("item_coverage", "user_coverage").unique()).sort("recipe")
    assert shares.rows() == [
        ("item", "a", [0.25], [1.0]),
        ("item", "b", [1.0], [1.0]),
        ("user", "u", [1.0], [0.5]),
    ]
    assert measured.height == 4 + 3
    assert measured["key"].null_count() == 0


def test_texts_are_measured_without_the_white_space_around_them() -> None:
    measured = measure_profiles(
        profiles(("item", "1", "a", "  four "), ("item", "2", "a", "\n"), ("item", "3", "a", ""))
    )
    assert measured["characters"].to_list() == [4, 0, 0]
    assert measured["blank"].to_list() == [False, True, True]


def test_a_text_is_shared_when_another_id_of_the_recipe_has_it() -> None:
    rows = [("item", "1", "a", "Same text"), ("item", "2", "a", "same text "), ("item", "3", "a", "own text")]
    rows += [("item", "4", "b", "same text"), ("user", "1", "a", "same text")]
    assert measure_profiles(profiles(*rows))["shared_text"].to_list() == [True, True, False, False, False]


def test_answers_that_could_not_be_read_are_told_from_those_that_never_came() -> None:
    asked = pl.DataFrame(
        {"kind": ["item"] * 3, "id": ["1", "2", "3"], "recipe": ["a"] * 3, "answer_ok": [True, False, None]}
    )
    measured = measure_profiles(against_asked(profiles(("item", "1", "a", "good")), asked)).sort("id")
    assert measured["answer_ok"].to_list() == [True, False, None]
    assert measured["blank"].to_list() == [False, None, None]


def embeddings(*vectors: list[float] | None) -> pl.DataFrame:
    ids = [str(number) for number in range(len(vectors))]
    return pl.DataFrame(
        {"kind": ["item"] * len(ids), "id": ids, "source": ["s"] * len(ids), "text_hash": ids, "vector": vectors},
        schema_overrides={"vector": pl.List(pl.Float32)},
    )


def test_vectors_are_judged_by_dimension_norm_and_finiteness() -> None:
    measured = measure_embeddings(embeddings([0.6, 0.8], [3.0, 4.0], [math.nan, 1.0], [math.inf, 0.0], [1.0], None))
    assert measured["dimension"].to_list() == [2, 2, 2, 2, 1, None]
    assert measured["other_dimension"].to_list() == [False, False, False, False, True, None]
    assert measured["finite"].to_list() == [True, True, False, False, True, False]
    assert measured["norm_error"][0] == pytest.approx(0.0, abs=1e-7)
    assert measured["norm_error"][1] == pytest.approx(4.0)


def test_a_vector_is_shared_when_another_text_has_it() -> None:
    frame = embeddings([1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0])
    same_text = frame.with_columns(text_hash=pl.Series(["a", "b", "c", "c"]))
    assert measure_embeddings(same_text)["shared_vector"].to_list() == [True, True, False, False]


def test_no_rows_are_measured_as_no_rows() -> None:
    assert measure_embeddings(embeddings()).is_empty()
    assert measure_profiles(profiles(("item", "1", "a", "x")).clear()).is_empty()
