"""The gates with Great Expectations itself: clean tables pass, every planted fault is caught and named."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.gates import GateReport, check_table
from features.measures import against_asked
from schemas.errors import GateError, StoreError
from schemas.expectations import embedding_suite, profile_suite
from schemas.sections import Gates

ROWS = 60  # per kind
GATES = Gates()


def profiles() -> pl.DataFrame:
    kinds = ["item"] * ROWS + ["user"] * ROWS
    return pl.DataFrame(
        {
            "kind": kinds,
            "id": [str(number) for number in range(ROWS)] * 2,
            "recipe": [f"rlmrec.{kind}" for kind in kinds],
            "field": ["summarization"] * 2 * ROWS,
            "text": [f"Enjoyed by readers of volume {number}." for number in range(2 * ROWS)],
            "key": [f"key{number}" for number in range(2 * ROWS)],
        }
    )


def asked() -> pl.DataFrame:
    return profiles().select("kind", "id", "recipe").with_columns(answer_ok=pl.lit(True))


def embeddings() -> pl.DataFrame:
    vectors = np.random.default_rng(0).normal(size=(ROWS, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return pl.DataFrame(
        {
            "kind": ["item"] * ROWS,
            "id": [str(number) for number in range(ROWS)],
            "source": ["rlmrec.item/summarization@hash"] * ROWS,
            "text_hash": [f"hash{number}" for number in range(ROWS)],
            "vector": vectors.tolist(),
        },
        schema_overrides={"vector": pl.List(pl.Float32)},
    )


def where(rows: pl.Expr, column: str, value: object) -> pl.Expr:
    return pl.when(rows).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


ROW = pl.int_range(pl.len())


def first_vector(change: Callable[[list[float]], list[float] | None]) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def plant(frame: pl.DataFrame) -> pl.DataFrame:
        vectors = frame["vector"].to_list()
        return frame.with_columns(pl.Series("vector", [change(vectors[0]), *vectors[1:]], dtype=pl.List(pl.Float32)))

    return plant


PROFILE_FAULTS = {
    "half of the texts empty": (lambda frame: frame.with_columns(where(ROW % 2 == 0, "text", "")), "blank"),
    "texts of spaces": (lambda frame: frame.with_columns(where(ROW % 2 == 0, "text", " " * 20)), "blank"),
    "half of the items missing": (lambda frame: frame.filter((pl.col("kind") == "user") | (ROW % 2 == 0)), "item_cov"),
    "a fifth of the users missing": (
        lambda frame: frame.filter((pl.col("kind") == "item") | (ROW % 5 > 0)),
        "user_cov",
    ),
    "one text under many ids": (
        lambda frame: frame.with_columns(where(ROW < 12, "text", "A copied profile.")),
        "shared",
    ),
    "texts cut off": (lambda frame: frame.with_columns(pl.col("text").str.head(3)), "characters"),
    "texts that never end": (lambda frame: frame.with_columns(where(ROW < 3, "text", "word " * 2000)), "characters"),
    "an id twice": (lambda frame: pl.concat([frame, frame.head(1)]), "kind, id, recipe, field"),
    "no call behind a text": (lambda frame: frame.with_columns(where(ROW == 5, "key", None)), "key"),
}

EMBEDDING_FAULTS = {
    "another dimension": (first_vector(lambda vector: vector[:7]), "other_dimension"),
    "not a number": (first_vector(lambda vector: [math.nan, *vector[1:]]), "finite"),
    "infinite": (first_vector(lambda vector: [math.inf, *vector[1:]]), "finite"),
    "not of unit norm": (first_vector(lambda vector: [2 * value for value in vector]), "norm_error"),
    "all zeros": (first_vector(lambda vector: [0.0] * len(vector)), "norm_error"),
    "no vector": (first_vector(lambda vector: None), "dimension"),
    "an id twice": (lambda frame: pl.concat([frame, frame.head(1)]), "kind, id, source"),
    "one vector for many texts": (lambda frame: frame.with_columns(pl.col("vector").first()), "shared_vector"),
    "no text behind a vector": (lambda frame: frame.with_columns(where(ROW == 5, "text_hash", None)), "text_hash"),
}


def check_profiles(frame: pl.DataFrame, docs: Path, gates: Gates = GATES) -> GateReport:
    return check_table(profile_suite(gates), against_asked(frame, asked()), docs)


def failed_columns(report: GateReport) -> list[str]:
    return [result.column for result in report.results if not result.success]


def test_clean_tables_pass_and_have_data_docs(tmp_path: Path) -> None:
    for report in (
        check_profiles(profiles(), tmp_path / "profiles"),
        check_table(embedding_suite(GATES), embeddings(), tmp_path / "embeddings"),
    ):
        report.raise_if_failed()
        assert report.success
        page = next((report.data_docs.parent / "validations").rglob("*.html")).read_text()
        assert report.table in page
        assert report.data_docs.is_file()
        found = report.to_json(relative_to=tmp_path)
        assert found["data_docs"] == f"{report.table}/index.html"
        assert all(isinstance(row["observed"], str) and row["success"] is True for row in found["results"])


@pytest.mark.parametrize("fault", PROFILE_FAULTS)
def test_a_fault_in_profiles_is_caught(fault: str, tmp_path: Path) -> None:
    plant, column = PROFILE_FAULTS[fault]
    report = check_profiles(plant(profiles()), tmp_path)
    assert [name for name in failed_columns(report) if name.startswith(column)], failed_columns(report)
    with pytest.raises(GateError, match=column):
        report.raise_if_failed()


@pytest.mark.parametrize("fault", EMBEDDING_FAULTS)
def test_a_fault_in_embeddings_is_caught(fault: str, tmp_path: Path) -> None:
    plant, column = EMBEDDING_FAULTS[fault]
    report = check_table(embedding_suite(GATES), plant(embeddings()), tmp_path)
    assert column in failed_columns(report)


def test_answers_that_cannot_be_read_are_caught(tmp_path: Path) -> None:
    unread = asked().with_columns(answer_ok=ROW % 4 != 0)
    report = check_table(profile_suite(GATES), against_asked(profiles(), unread), tmp_path)
    assert failed_columns(report) == ["answer_ok"]


def test_an_empty_table_never_passes(tmp_path: Path) -> None:
    for suite, frame in ((profile_suite(GATES), profiles()), (embedding_suite(GATES), embeddings())):
        with pytest.raises(GateError, match="at least 1 row"):
            check_table(suite, frame.clear(), tmp_path).raise_if_failed()


def test_the_error_tells_what_where_and_what_stays(tmp_path: Path) -> None:
    report = check_profiles(profiles().with_columns(where(ROW < 6, "text", "")), tmp_path)
    with pytest.raises(GateError) as caught:
        report.raise_if_failed()
    text = str(caught.value)
    assert "table profiles: 2 of 12 expectations failed on 120 rows" in text
    assert "profiles.blank: expected at least 99 % of the texts are not blank, found 6 of 120 rows break it" in text
    assert "for example item 0 rlmrec.item summarization" in text
    assert "the version before stays live" in text
    assert str(tmp_path / "index.html") in text


@pytest.mark.parametrize(
    ("gates", "passes"),
    [
        (Gates(coverage=0.9), True),
        (Gates(coverage=0.99), False),
        (Gates(coverage=0.99, user_coverage=0.9), False),
        (Gates(coverage=0.9, user_coverage=0.99), True),
    ],
)
def test_thresholds_come_from_the_run_file(gates: Gates, passes: bool, tmp_path: Path) -> None:
    three_items_missing = profiles().filter((pl.col("kind") == "user") | (ROW >= 3))  # 57 of 60 items, all users
    assert check_profiles(three_items_missing, tmp_path, gates).success is passes


def test_data_docs_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Data Docs"):
        check_profiles(profiles(), tmp_path / "file" / "docs")


def test_the_gate_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    check_profiles(profiles(), tmp_path)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
