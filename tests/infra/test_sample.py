"""Tests of the sample data set: its size, its vocabulary, its reproducibility and what the texts are worth."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from infra.sample import check, simulate_readers

FOLDER = Path(simulate_readers.__file__).resolve().parent


@pytest.fixture(scope="module")
def items() -> pl.DataFrame:
    return pl.read_csv(FOLDER / "items.csv")


@pytest.fixture(scope="module")
def interactions() -> pl.DataFrame:
    return pl.read_parquet(FOLDER / "interactions.parquet")


@pytest.fixture(scope="module")
def measured(items: pl.DataFrame, interactions: pl.DataFrame) -> dict[str, float]:
    return check.measure(items, interactions)


def test_folder_stays_below_one_megabyte() -> None:
    files = [path for path in FOLDER.iterdir() if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_columns_and_types(items: pl.DataFrame, interactions: pl.DataFrame) -> None:
    assert items.columns == ["id", "title", "author", "year", "subjects", "description"]
    assert dict(interactions.schema) == {"user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64}
    assert items.null_count().sum_horizontal().item() == 0


def test_counts(items: pl.DataFrame, interactions: pl.DataFrame) -> None:
    assert 390 <= items.height <= 420
    assert interactions.height >= 20_000
    assert interactions["user_id"].n_unique() == 1_500


def test_books_are_unique_and_numbered(items: pl.DataFrame) -> None:
    assert items["id"].to_list() == [f"b{number:03d}" for number in range(1, items.height + 1)]
    assert items["title"].str.to_lowercase().is_unique().all()
    assert items["description"].is_unique().all()


def test_books_are_in_the_public_domain(items: pl.DataFrame) -> None:
    assert items["year"].is_between(-2_500, 1_928).all()


def test_every_subject_stands_in_one_cluster() -> None:
    members = [subject for group in simulate_readers.SUBJECT_CLUSTERS.values() for subject in group]
    assert sorted(members) == list(simulate_readers.VOCABULARY)
    assert len(set(members)) == len(members)


def test_subjects_follow_the_controlled_vocabulary(items: pl.DataFrame) -> None:
    for joined in items["subjects"]:
        subjects = joined.split("; ")
        assert 2 <= len(subjects) <= 5
        assert len(set(subjects)) == len(subjects)
        assert set(subjects) <= set(simulate_readers.VOCABULARY)


def test_each_description_is_one_sentence(items: pl.DataFrame) -> None:
    for description in items["description"]:
        assert 12 <= len(description.split()) <= 35
        assert re.fullmatch(r"[^.!?]+\.", description)


def test_interactions_join_and_never_repeat(items: pl.DataFrame, interactions: pl.DataFrame) -> None:
    assert set(interactions["item_id"]) <= set(items["id"])
    assert not interactions.select("user_id", "item_id").is_duplicated().any()
    assert_frame_equal(interactions, interactions.sort("timestamp", "user_id", "item_id"))


def test_timestamps_stay_in_the_120_days(interactions: pl.DataFrame) -> None:
    end = simulate_readers.START + simulate_readers.DAYS * simulate_readers.DAY_SECONDS
    assert interactions["timestamp"].is_between(simulate_readers.START, end, closed="left").all()


def test_activity_is_heavy_tailed(interactions: pl.DataFrame) -> None:
    activity = interactions.group_by("user_id").len()["len"]
    assert (activity <= 6).sum() >= 100
    assert (activity >= 80).sum() >= 5


def test_some_books_and_readers_are_cold(interactions: pl.DataFrame) -> None:
    for column, fewest in (("item_id", 20), ("user_id", 50)):
        first = interactions.group_by(column).agg(pl.col("timestamp").min())["timestamp"]
        last_month = simulate_readers.START + 90 * simulate_readers.DAY_SECONDS
        assert (first >= last_month).sum() >= fewest


def test_simulation_repeats_the_committed_interactions(tmp_path: Path, interactions: pl.DataFrame) -> None:
    target = tmp_path / "interactions.parquet"
    simulate_readers.write_interactions(target)
    assert_frame_equal(pl.read_parquet(target), interactions)


def test_text_stands_between_popularity_and_behaviour(measured: dict[str, float]) -> None:
    assert measured["popularity"] < measured["text"] < measured["behaviour"]
    assert measured["behaviour"] > 1.2 * measured["popularity"]


def test_text_adds_to_behaviour_without_giving_it_away(measured: dict[str, float]) -> None:
    assert 1.03 * measured["behaviour"] <= measured["blend"] <= 1.15 * measured["behaviour"]
    assert measured["shuffled_blend"] <= 1.01 * measured["behaviour"]
