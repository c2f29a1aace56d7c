"""Drift of vectors: 1 for nights alike, whatever encoder and share of new texts; above the threshold for a shift."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from features.drift import drift, vector_drift
from features.gates import check_tables
from features.measures import against_vectors, measure_embeddings
from schemas.expectations import drift_suite
from schemas.sections import Gates

GATES = Gates()
LIMIT = GATES.tables.embeddings.drift
Float32 = NDArray[np.float32]


def unit(x: NDArray[np.float64] | Float32) -> Float32:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), dtype=np.float32)


def draw(generator: np.random.Generator, count: int, dim: int, narrow: float) -> Float32:
    """Vectors around five topics; `narrow`: how far all of them lie in one direction, as many encoders' do."""
    topics = np.random.default_rng(dim).normal(size=(5, dim)) + narrow * np.ones(dim)
    return unit(topics[generator.integers(5, size=count)] + generator.normal(size=(count, dim)))


@pytest.mark.parametrize("narrow", [0.0, 3.0])
@pytest.mark.parametrize("dim", [8, 384])
@pytest.mark.parametrize("count", [20, 100, 1000])
def test_nights_alike_stay_below_the_threshold_with_any_share_of_new_texts(count: int, dim: int, narrow: float) -> None:
    for seed, share in enumerate((0.0, 0.1, 0.5, 1.0)):
        generator = np.random.default_rng(seed)
        before = draw(generator, count, dim, narrow)
        now = before.copy()
        new = generator.choice(count, round(share * count), replace=False)
        now[new] = draw(generator, len(new), dim, narrow)
        assert drift(before, now, seed) < 0.7 * LIMIT


@pytest.mark.parametrize("dim", [8, 384])
def test_a_shift_is_found_and_a_larger_one_is_more(dim: int) -> None:
    generator = np.random.default_rng(0)
    before = draw(generator, 1000, dim, 0.0)
    away = unit(generator.normal(size=(1, dim)))
    found = [drift(before, unit(before + strength * away)) for strength in (0.0, 0.3, 0.6, 1.2)]
    assert found == sorted(found)
    assert found[0] < 1.5
    assert found[1] > LIMIT


def test_vectors_that_were_all_one_have_drifted_infinitely() -> None:
    same = np.tile(np.eye(4, dtype=np.float32)[:1], (40, 1))
    assert drift(same, same) == 1.0
    assert drift(same, np.tile(np.eye(4, dtype=np.float32)[1:2], (40, 1))) == float("inf")


def rows(x: Float32, ids: range, source: str = "title@mini", hashes: str = "") -> pl.DataFrame:
    texts = [f"{hashes}{number}" for number in ids]
    frame = {"kind": "item", "id": [f"i{number}" for number in ids], "source": source, "text_hash": texts}
    return pl.DataFrame({**frame, "vector": pl.Series(x.tolist(), dtype=pl.List(pl.Float32))})


def judge(now: pl.DataFrame, before: pl.DataFrame, docs: Path, sizes: tuple[int, int] = (100, 100)) -> dict[str, str]:
    kinds = {"item": sizes[0]}, {"item": sizes[1]}
    measured = vector_drift(now, before, kinds, sampled=100, least=20)
    (report,) = check_tables([(drift_suite(GATES), measured)], docs)
    return {each.column: " ".join(each.examples) for each in report.results if not each.success}


def test_a_source_is_judged_by_the_ids_of_both_nights(tmp_path: Path) -> None:
    x = draw(np.random.default_rng(1), 300, 16, 0.0)
    other = unit(x + 2.0)
    assert judge(rows(x[:100], range(100)), rows(x[:100], range(100)), tmp_path) == {}
    assert judge(rows(x, range(300)), rows(x[:100], range(100)), tmp_path, (300, 100)) == {}, "two thirds are new"
    new_ones = pl.concat([rows(x[:100], range(100)), rows(other[100:], range(100, 300))])
    assert judge(new_ones, rows(x[:100], range(100)), tmp_path, (300, 100)) == {}, "new items may be unlike the old"
    assert "item title@mini" in judge(rows(other[:100], range(100)), rows(x[:100], range(100)), tmp_path)["drift"]


def test_another_dimension_under_the_same_name_is_caught(tmp_path: Path) -> None:
    x = draw(np.random.default_rng(1), 100, 16, 0.0)
    failed = judge(rows(unit(x[:, :8]), range(100)), rows(x, range(100)), tmp_path)
    assert failed == {"other_dimension": "item title@mini"}
    renamed = rows(unit(x[:, :8]), range(100), source="title@other")
    measured = vector_drift(renamed, rows(x, range(100)), ({"item": 100}, {"item": 100}), 100, 20)
    assert measured.rows == 0, "another encoder has another name, and nothing to compare with"


def test_lost_vectors_are_caught(tmp_path: Path) -> None:
    x = draw(np.random.default_rng(1), 100, 16, 0.0)
    assert "item title@mini" in judge(rows(x[:80], range(80)), rows(x, range(100)), tmp_path)["coverage_drop"]


def test_a_vector_that_moved_though_its_text_did_not_is_marked() -> None:
    x = draw(np.random.default_rng(1), 4, 16, 0.0)
    before, now = rows(x, range(4)), rows(x[[1, 1, 2, 3]], range(4))
    now = now.with_columns(text_hash=pl.Series(["0", "1", "2", "new"]))
    rounded = now.with_columns(pl.col("vector").list.eval(pl.element() + 1e-5))
    for tonight in (now, rounded):
        assert measure_embeddings(against_vectors(tonight, before))["moved"].to_list() == [
            True, False, False, None,
        ]  # fmt: skip
    assert measure_embeddings(against_vectors(now, None))["moved"].null_count() == 4
