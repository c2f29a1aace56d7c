"""What leaves the lake is read by those it is for: plain Parquet, `datasets` without a network, Feast definitions."""

import ast
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.export import FORMATS, exported_tables
from features.feature_store import FeatureStore, Snapshot
from features.store import DeltaStore
from schemas.errors import ConfigError
from tests.support.released_world import BOOKS, DIM, READERS, VECTOR, release, vector

SHOWN = """
import json, sys
from datasets import load_dataset
folder, names = sys.argv[1], sys.argv[2:]
found = {name: load_dataset(folder, name) for name in names}
told = {name: {s: [rows.num_rows, str(rows.features)] for s, rows in each.items()} for name, each in found.items()}
by_hand = load_dataset("parquet", data_dir=f"{folder}/data/embeddings", split="train")
print(json.dumps({"told": told, "row": found["embeddings"]["night"][0], "by_hand": by_hand.num_rows}))
"""


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory) -> Snapshot:
    store = DeltaStore(str(tmp_path_factory.mktemp("export") / "lake"))
    for seed, ds in enumerate(("2026-01-01", "2026-01-02"), 1):
        release(store, ds, seed)
    return FeatureStore(store).release(1)  # not the live one


def test_plain_parquet_has_the_rows_of_the_release_and_a_manifest_that_is_true(snapshot: Snapshot, tmp_path) -> None:
    tables = exported_tables(snapshot)
    assert {"vectors", "releases"}.isdisjoint(tables)
    manifest = FORMATS["parquet"](snapshot, tmp_path, tables)
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    assert (manifest["release"]["number"], manifest["release"]["ds"]) == (1, "2026-01-01")
    assert sorted(manifest["tables"]) == sorted(tables)
    for name, told in manifest["tables"].items():
        (file,) = told["files"]
        written = (tmp_path / file["path"]).read_bytes()
        assert (file["sha256"], file["bytes"]) == (hashlib.sha256(written).hexdigest(), len(written))
        rows = pl.read_parquet(tmp_path / file["path"])
        assert rows.height == file["rows"]
        assert rows.equals(snapshot.read(name))
        assert told["version"] == snapshot.release.tables[name]


def test_vectors_are_lists_of_float32_and_texts_plain_strings(snapshot: Snapshot, tmp_path) -> None:
    FORMATS["parquet"](snapshot, tmp_path, ["embeddings", "semantic_ids"])
    schema = pq.read_schema(tmp_path / "embeddings" / "part-0.parquet")
    assert schema.field("vector").type == pa.list_(pa.float32())
    assert schema.field("id").type == pa.string()
    assert pq.read_schema(tmp_path / "semantic_ids" / "part-0.parquet").field("codes").type == pa.list_(pa.int32())


def test_datasets_reads_the_folder_without_a_network(snapshot: Snapshot, tmp_path) -> None:
    pytest.importorskip("datasets")
    folder, names = tmp_path / "folder", ["embeddings", "profiles", "splits"]
    manifest = FORMATS["huggingface"](snapshot, folder, [*names, "rejects"])
    assert manifest["tables"]["rejects"]["files"] == []
    script = tmp_path / "show.py"
    script.write_text(SHOWN)
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, str(script), str(folder), *names]
    done = subprocess.run(command, env=offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {split: rows for split, (rows, _) in found["told"]["splits"].items()} == {
        "train": 4 * READERS,
        "validation": READERS,
        "test": READERS,
    }
    rows, features = found["told"]["embeddings"]["night"]
    assert rows == found["by_hand"] == READERS + BOOKS
    assert "'vector': List(Value('float32'))" in features
    assert found["row"]["vector"] == pytest.approx(vector(1, 0))


def test_feast_definitions_name_every_view_and_its_file(snapshot: Snapshot, tmp_path) -> None:
    manifest = FORMATS["feast"](snapshot, tmp_path, exported_tables(snapshot))
    tree = ast.parse((tmp_path / "definitions.py").read_text())
    defined = {node.targets[0].id: node.value for node in tree.body if isinstance(node, ast.Assign)}
    files = {file["view"]: file for told in manifest["tables"].values() for file in told["files"]}
    assert len(files) == 7
    assert {name for name, value in defined.items() if called(value) == "FeatureView"} == set(files)
    assert {name for name, value in defined.items() if called(value) == "FileSource"} == {f"{n}_source" for n in files}
    file = files["item_rlmrec_item_summarization_tiny"]
    assert file["feature"] == VECTOR
    rows = pl.read_parquet(tmp_path / file["path"])
    assert rows.schema == {
        "item_id": pl.String,
        "value": pl.List(pl.Float32),
        "event_timestamp": pl.Datetime("us", "UTC"),
    }
    assert rows["value"].list.len().unique().to_list() == [DIM]
    assert rows["event_timestamp"].unique().dt.epoch("s").to_list() == [snapshot.release.made_at]


def called(node: ast.AST) -> str | None:
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else None


def test_feast_applies_materialises_and_serves_the_definitions(snapshot: Snapshot, tmp_path) -> None:
    """Where Feast is installed, which its pin of tenacity keeps out of our own environment: LOREGRAPH_FEAST=PYTHON."""
    if (python := os.environ.get("LOREGRAPH_FEAST")) is None:
        pytest.skip("feast does not install beside our pins; name a Python that has it in LOREGRAPH_FEAST")
    FORMATS["feast"](snapshot, tmp_path / "repo", exported_tables(snapshot))
    script = Path(__file__).with_name("ask_feast.py")
    done = subprocess.run([python, str(script), str(tmp_path / "repo")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["online"] == pytest.approx(vector(1, READERS + 3))
    assert [False, "b3 in words, seed 1"] in found["historical"]
    assert [True, "b3 in words, seed 1"] not in found["historical"]  # two days earlier there was no release


def test_tables_without_features_by_id_are_no_feast_repository(snapshot: Snapshot, tmp_path) -> None:
    with pytest.raises(ConfigError, match="none of users, items has features by id"):
        FORMATS["feast"](snapshot, tmp_path, ["users", "items"])
