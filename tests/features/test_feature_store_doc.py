"""docs/feature-store.md tells the truth: its Python runs, its keys are there; tests/docs reads its commands."""

import re
from pathlib import Path

import pytest

from features.store import DeltaStore
from tests.support.feature_store_page import PAGE, run_block
from tests.support.released_world import BOOKS, DIM, READERS, VECTOR, release


@pytest.fixture(scope="module")
def lake(tmp_path_factory) -> str:
    store = DeltaStore(str(tmp_path_factory.mktemp("doc") / "lake"))
    for seed, ds in enumerate(("2026-01-01", "2026-01-02"), 1):
        release(store, ds, seed)
    release_next_night_halfway(store)
    return store.root


def release_next_night_halfway(store: DeltaStore) -> None:
    """A night that is not released: whoever reads past the release sees it."""
    late = store.read("recommendations", "2026-01-02")
    store.overwrite("recommendations", late.with_columns(score=late["score"] + 7), "2026-01-02")


def test_polars(lake: str) -> None:
    said = run_block("Polars", lake)
    assert said["live"].release.number == 2
    assert said["texts"].height == BOOKS
    assert said["lists"].height == 2 * READERS
    assert said["lists"]["score"].max() == 1.0


def test_duckdb(lake: str) -> None:
    pytest.importorskip("duckdb")
    said = run_block("DuckDB", lake)
    assert said["popular"]["listed"].sum() == 2 * READERS
    assert said["words"]["kind"].to_list() == ["item", "user"]
    assert said["words"]["characters"].to_list() == [len("b3 in words, seed 2"), len("r3 in words, seed 2")]
    scores = said["duckdb"].sql("select max(score) from read_parquet($files)", params={"files": said["files"]})
    assert scores.fetchall() == [(1.0,)]


def test_pytorch_geometric(lake: str) -> None:
    pytest.importorskip("torch_geometric")
    data = run_block("PyTorch Geometric", lake)["data"]
    assert data["item"].x.shape == (BOOKS, DIM)
    assert bool(data["item"].known.all())
    assert data["user", "reads", "item"].edge_index.shape == (2, 4 * READERS)  # of six events, two are held out
    assert data.validate()


def test_by_id(lake: str, tmp_path: Path) -> None:
    from pipelines.online import feed
    from schemas.run import load_run

    text = re.search(r"```toml\n(\[online\].*?)```", PAGE, flags=re.DOTALL)[1]
    (tmp_path / "run.toml").write_text(f'name = "doc"\nlake = "{lake}"\nwork = "work"\n[data]\npath = "d"\n{text}')
    assert feed(load_run(tmp_path / "run.toml"))["switched"]
    said = run_block("By id", lake, RUN_FILE=str(tmp_path / "run.toml"))
    assert [*said["some"]] == said["mine"]["recommendations"]
    assert all(each[VECTOR].shape == (DIM,) for each in said["some"].values())


def test_every_block_is_run_block() -> None:
    """The one for Spark runs in tests/features/spark."""
    assert PAGE.count("```python") == 5
