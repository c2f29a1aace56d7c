"""Nights whose tables Spark makes: the same tables as on Polars, and the same plan."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from features.spark import open_session
from features.store import DeltaStore
from pipelines.steps import encode, generate, ingest, materialize, plan, split
from schemas.run import load_run
from schemas.sections import Engine
from tests.support.small_world import RUN

pytest.importorskip("pyspark")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java 17 on the PATH", allow_module_level=True)

DS = "2026-01-01"
FAST = '"spark.sql.shuffle.partitions" = "2", "spark.sql.adaptive.enabled" = "false", "spark.driver.memory" = "1g"'
ENGINE = f'[engine]\ntables = "spark"\ncores = 2\nbuckets = 2\nspark = {{ {FAST} }}\n[data]\nk_core = 3'


@pytest.fixture
def nights(world):
    """The run of a world on Polars, and of the same on Spark."""
    polars = world(run=RUN.replace("[data]", "[data]\nk_core = 3"), folder="polars")
    spark = world(run=RUN.replace("[data]", ENGINE), folder="spark")
    yield load_run(polars), load_run(spark)
    open_session(Engine()).stop()


def told(counts):
    return {name: value for name, value in counts.items() if "seconds" not in name}


@pytest.mark.slow
def test_the_first_steps_of_a_night_are_the_same(nights):
    for step in (ingest, split, plan):
        on_polars, on_spark = (told(step(run, DS)) for run in nights)
        assert on_spark == on_polars
    polars, spark = (DeltaStore(run.lake) for run in nights)
    for table in ("users", "items", "interactions", "splits"):
        left, right = (store.read(table, ds=DS) for store in (polars, spark))
        assert left.sort(left.columns).equals(right.sort(left.columns))
    version = spark.version("splits")
    split(nights[1], DS)
    assert spark.version("splits") == version


@pytest.mark.slow
def test_embeddings_are_those_of_polars_and_a_second_night_encodes_nothing(nights):
    pytest.importorskip("sentence_transformers")
    for step in (ingest, split, generate):
        for run in nights:
            step(run, DS)
    on_polars, on_spark = (told(encode(run, DS)) for run in nights)
    assert on_spark.pop("tokens") == on_polars.pop("tokens")
    assert on_spark == on_polars
    assert on_spark["encoded"] > 0
    for run in nights:
        materialize(run, DS)
    left, right = (DeltaStore(run.lake).read("embeddings", ds=DS).sort("kind", "source", "id") for run in nights)
    names = ["kind", "id", "source", "text_hash", "dim"]
    assert left.select(names).equals(right.select(names))
    ours, theirs = (np.stack(each["vector"].to_list()) for each in (left, right))
    np.testing.assert_allclose(theirs, ours, atol=1e-5)
    assert encode(nights[1], DS)["encoded"] == 0
