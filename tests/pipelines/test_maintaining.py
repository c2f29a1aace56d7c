"""`loregraph compact` and `vacuum`: every kept release reads the same before and after, and dropped ones say so."""

import json
import os
import time
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from features.delta import write_rows
from features.feature_store import FeatureStore
from features.releases import ReleasedModel, Releases, pinned
from features.store import DeltaStore
from pipelines.cli import app
from pipelines.lineage import save_lineage
from pipelines.maintaining import compact_lake, vacuum_lake, vacuum_lines
from pipelines.night import open_night
from schemas.errors import StoreError
from schemas.run import load_run
from schemas.tables import TABLES
from tests.support.released_world import release, tables, vectors

DS = ("2026-01-01", "2026-01-02", "2026-01-02", "2026-01-03")  # the second night was made again


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A lake of four releases."""
    store = DeltaStore(str(tmp_path / "lake"))
    for seed, ds in enumerate(DS, 1):
        release(store, ds, seed)
    (tmp_path / "run.toml").write_text('name = "kept"\nlake = "lake"\n[data]\npath = "data"\n')
    return tmp_path / "run.toml"


def content(file: Path, number: int) -> dict[str, list]:
    """Every table of a release, sorted."""
    snapshot = FeatureStore(str(file.parent / "lake")).release(number)
    return {name: sorted(map(repr, snapshot.read(name).rows())) for name in snapshot.names()}


def test_every_release_reads_the_same_after_compaction_and_vacuum(file) -> None:
    before = {number: content(file, number) for number in (1, 2, 3, 4)}
    found = {each["table"]: each for each in compact_lake(file)["tables"]}
    assert (found["vectors"]["files_before"], found["vectors"]["files_after"]) == (4, 1)
    done = vacuum_lake(file, days=0)
    assert done["releases"] == [1, 2, 3, 4]
    assert sum(each["files"] for each in done["tables"] if each["table"] != "releases") == 0
    assert {number: content(file, number) for number in (1, 2, 3, 4)} == before


def test_older_releases_are_dropped_on_purpose_only(file) -> None:
    before = {number: content(file, number) for number in (3, 4)}
    compact_lake(file)
    dry = vacuum_lake(file, keep_releases=2, days=0, dry_run=True)
    assert content(file, 2)  # still there
    done = vacuum_lake(file, keep_releases=2, days=0)
    assert done["releases"] == [3, 4]
    assert {each["table"]: each["files"] for each in done["tables"]}["profiles"] == 1
    assert [each["files"] for each in dry["tables"]] == [each["files"] for each in done["tables"]]
    assert {number: content(file, number) for number in (3, 4)} == before
    with pytest.raises(StoreError, match="cannot be read"):
        content(file, 2)


def test_the_live_release_stays_whatever_night_it_is_of(file) -> None:
    store = DeltaStore(str(file.parent / "lake"))
    back = Releases(store).number(2)
    Releases(store).add(back.ds, back.tables, reason="back", restores=2)
    before = content(file, 5)
    assert vacuum_lake(file, keep_releases=1, days=0)["releases"] == [5]
    assert content(file, 5) == before


def model(file: Path, name: str, age_days: float = 0.0) -> Path:
    """A model's folder in the work folder, last written so long ago."""
    folder = file.parent / "lake" / "_work" / "models" / name
    folder.mkdir(parents=True)
    (folder / "checkpoint.safetensors").write_bytes(b"0" * 1000)
    for each in (folder / "checkpoint.safetensors", folder):
        os.utime(each, (then := time.time() - age_days * 86_400, then))
    return folder


def test_models_stay_while_a_kept_release_or_the_last_night_names_them(file) -> None:
    night = open_night(load_run(file), "2026-01-03")
    rows = TABLES["models"].empty()
    named = pl.DataFrame({"name": ["last"], "seed": [1], "folder": ["models/last/a-1"]})
    night.publish("models", pl.concat([rows, named], how="diagonal"))
    Releases(night.store).add("2026-01-03", {}, reason="x", model=ReleasedModel("live", 1, "h", "models/live/b-1"))
    kept = [model(file, "live/b-1", 30), model(file, "last/a-1", 30), model(file, "new/c-1", 1)]
    old = model(file, "old/d-1", 30)
    assert vacuum_lake(file, days=7, dry_run=True)["models"] == {"folders": 1, "bytes": 1000}
    assert old.exists()
    assert vacuum_lines(vacuum_lake(file, days=7))[-1] == "models: 1 folders deleted, 0.0 MB"
    assert not old.exists()
    assert all(folder.exists() for folder in kept)


def test_releases_of_the_last_days_stay(file) -> None:
    assert vacuum_lake(file, keep_releases=1, days=1, dry_run=True)["releases"] == [1, 2, 3, 4]


def test_the_same_night_again_changes_nothing_after_maintenance(file) -> None:
    night = open_night(load_run(file), DS[-1])
    night.publish("profiles", tables(4)["profiles"])  # its lineage is told
    compact_lake(file)
    vacuum_lake(file, days=0)
    versions = {name: night.store.version(name) for name in night.store.names()}
    again = open_night(load_run(file), DS[-1])
    for name, rows in tables(4).items():
        again.publish(name, rows)
    again.append("vectors", vectors(4))
    assert {name: night.store.version(name) for name in night.store.names()} == versions
    releases = Releases(night.store)
    assert releases.holds(releases.live(), DS[-1], pinned(night.store, DS[-1]), None)


def test_a_compacted_night_keeps_the_lineage_it_had(file) -> None:
    store, run = DeltaStore(str(file.parent / "lake")), load_run(file)
    night = open_night(run, DS[0])
    half = tables(1)["users"].head(3)
    night.publish("users", half)
    write_rows(f"{store.root}/users", tables(1)["users"].tail(3).with_columns(pl.lit(DS[0]).alias("ds")), ["ds"])
    night.trace.wrote(("users", DS[0]), store.version("users"), True, None)
    save_lineage(store, DS[0], night.trace)
    told = store.read("lineage", DS[0])
    assert compact_lake(file, tables=["users"])["tables"][0]["files_after"] == len(set(DS))
    again = open_night(run, DS[0])
    again.publish("users", tables(1)["users"])
    assert again.trace.written[0].new is False
    save_lineage(store, DS[0], again.trace)
    assert store.read("lineage", DS[0]).equals(told)


def test_the_commands_say_what_they_did(file) -> None:
    said = CliRunner().invoke(app, ["compact", "--run", str(file)])
    assert (said.exit_code, said.stdout) == (0, "vectors: 4 files are now 1, version 4\n")
    assert CliRunner().invoke(app, ["compact", "--run", str(file)]).stdout == "nothing to put together\n"
    options = ["--keep-releases", "1", "--days", "0", "--dry-run", "--json"]
    said = CliRunner().invoke(app, ["vacuum", "--run", str(file), *options])
    assert said.exit_code == 0
    assert said.stdout.startswith("releases that stay readable: 4\n")
    assert "profiles: 1 files would be deleted" in said.stdout
    assert json.loads(said.stdout.splitlines()[-1])["dry_run"] is True
