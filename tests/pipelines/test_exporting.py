"""`loregraph export`: a folder that is there as a whole or not at all."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from features import export as formats
from features.store import DeltaStore
from pipelines import exporting
from pipelines.cli import app
from pipelines.exporting import export
from schemas.errors import ConfigError, StoreError
from tests.support.released_world import release


@pytest.fixture
def file(tmp_path: Path) -> Path:
    store = DeltaStore(str(tmp_path / "lake"))
    for seed, ds in enumerate(("2026-01-01", "2026-01-02"), 1):
        release(store, ds, seed)
    (tmp_path / "run.toml").write_text('name = "out"\nlake = "lake"\n[data]\npath = "data"\n')
    return tmp_path / "run.toml"


@pytest.mark.parametrize("form", sorted(formats.FORMATS))
def test_the_command_writes_the_release_that_is_named(file, tmp_path, form: str) -> None:
    out = tmp_path / "some" / "folder"
    options = ["--format", form, "--release", "1", "--table", "profiles", "--json"]
    done = CliRunner().invoke(app, ["export", "--run", str(file), "--out", str(out), *options])
    assert done.exit_code == 0
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["release"]["ds"], list(told["tables"])) == ("2026-01-01", ["profiles"])
    written = [pl.read_parquet(out / each["path"]) for each in told["tables"]["profiles"]["files"]]
    assert any(
        "b3 in words, seed 1" in rows.select(pl.col(pl.String)).rows_by_key("value" if form == "feast" else "text")
        for rows in written
    )
    assert done.stdout.splitlines()[0] == f"release 1 of 2026-01-01: {out}"
    assert [path.name for path in out.parent.iterdir()] == ["folder"]


def test_the_live_release_is_the_default(file, tmp_path) -> None:
    assert export(file, tmp_path / "out", "parquet")["release"]["number"] == 2
    assert "vectors" not in {path.name for path in (tmp_path / "out").iterdir()}


def test_an_export_that_fails_leaves_nothing(file, tmp_path, monkeypatch) -> None:
    real, seen = exporting.FeatureStore.latest, []

    def failing(store):
        snapshot = real(store)
        read = snapshot.read

        def until_the_third(name, *rest):
            seen.append(name)
            if len(seen) == 3:
                raise OSError(28, "No space left on device")
            return read(name, *rest)

        snapshot.read = until_the_third
        return snapshot

    monkeypatch.setattr(exporting.FeatureStore, "latest", failing)
    with pytest.raises(StoreError, match=r"out: cannot write there \(No space left on device\); choose another --out"):
        export(file, tmp_path / "out", "parquet")
    assert {path.name for path in tmp_path.iterdir()} == {"lake", "run.toml"}


def test_what_is_wrong_is_named(file, tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"export: --format: parqet: unknown, did you mean parquet"):
        export(file, tmp_path / "out", "parqet")
    with pytest.raises(StoreError, match="release 9 is not there"):
        export(file, tmp_path / "out", "parquet", release=9)
    with pytest.raises(StoreError, match="userz: unknown, did you mean users"):
        export(file, tmp_path / "out", "parquet", tables=["userz"])
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="is there already"):
        export(file, tmp_path / "out", "parquet")
