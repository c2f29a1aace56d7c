"""Compaction changes no row and no night; a vacuum leaves every kept version readable and takes what nobody keeps."""

import os
import time
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from features import maintenance
from features.delta import KEEP_LOG, write_rows
from features.maintenance import DAY, compact, pinned_versions, vacuum
from features.releases import Release
from features.store import DeltaStore
from schemas.errors import StoreError
from schemas.tables import TABLES

FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    return DeltaStore(str(tmp_path / "lake"))


def rows(*ids: str, value: int = 1) -> pl.DataFrame:
    return pl.DataFrame({"id": list(ids), "value": [value] * len(ids)}, schema={"id": pl.String, "value": pl.Int64})


def vectors(number: int) -> pl.DataFrame:
    columns = {"encoder": ["e"], "text_hash": [f"h{number:03}"], "vector": [[1.0, float(number)]]}
    return pl.DataFrame(columns, schema_overrides={"vector": pl.List(pl.Float32)})


def grow(store: DeltaStore, numbers: range) -> None:
    for number in numbers:
        store.append("vectors", vectors(number), ("encoder", "text_hash"))


def nights(store: DeltaStore) -> None:
    """Two nights of which the first has its rows in three files, and one without any row."""
    store.overwrite("users", rows("a"), FIRST)
    for id in ("b", "c"):
        write_rows(f"{store.root}/users", rows(id).with_columns(pl.lit(FIRST).alias("ds")), ["ds"])
    store.overwrite("users", rows("d"), SECOND)
    store.overwrite("users", rows(), THIRD)


def files(store: DeltaStore, name: str) -> int:
    return len(DeltaTable(f"{store.root}/{name}").file_uris())


def test_compaction_changes_no_row_in_one_commit(store: DeltaStore) -> None:
    grow(store, range(30))
    before = store.read("vectors")
    found = compact(store, "vectors")
    assert (found.files_before, found.files_after, found.version) == (30, 1, 30)
    assert files(store, "vectors") == 1
    assert_frame_equal(store.read("vectors"), before, check_row_order=False)
    assert store.read("vectors", version=11).sort("text_hash").equals(before.sort("text_hash")[:12])
    assert compact(store, "vectors").version == 30  # nothing to do, no commit
    grow(store, range(28, 33))  # known keys are still known
    assert store.read("vectors").height == 33


def test_each_night_is_compacted_by_itself_and_stays_what_it_was(store: DeltaStore) -> None:
    nights(store)
    version = store.version("users")
    found = compact(store, "users")
    assert (found.files_before, found.files_after, found.version) == (5, 3, version + 1)
    assert store.partitions("users") == [FIRST, SECOND, THIRD]
    assert store.read("users", FIRST)["id"].sort().to_list() == ["a", "b", "c"]
    assert store.read("users", THIRD).is_empty()
    assert store.overwrite("users", rows("c", "a", "b"), FIRST) == found.version  # the same night again


def test_a_compacted_night_counts_as_untouched_and_a_written_one_does_not(store: DeltaStore) -> None:
    nights(store)
    since = store.version("users")
    compact(store, "users")
    assert all(store.untouched("users", ds, since) for ds in (FIRST, SECOND, THIRD))
    store.overwrite("users", rows("z"), SECOND)
    write_rows(f"{store.root}/users", rows("e").with_columns(pl.lit(FIRST).alias("ds")), ["ds"])
    assert not store.untouched("users", FIRST, since)
    assert not store.untouched("users", SECOND, since)
    assert store.untouched("users", THIRD, since)
    compact(store, "users")  # hides neither what came before it
    assert [store.untouched("users", ds, since) for ds in (FIRST, SECOND, THIRD)] == [False, False, True]
    assert not store.untouched("users", FIRST, since - 3)  # two files were added before the first compaction


def test_a_vacuum_keeps_pinned_versions_and_the_live_one(store: DeltaStore) -> None:
    versions = [store.overwrite("users", rows("a", value=value), FIRST) for value in range(12)]
    dry = vacuum(store, "users", [2, 7], days=0, dry_run=True)
    assert (dry.files, store.version("users")) == (9, 11)
    assert [store.read("users", FIRST, version)["value"][0] for version in versions] == list(range(12))
    done = vacuum(store, "users", [2, 7], days=0, dry_run=False)
    assert (done.kept, done.files, done.bytes) == ((2, 7, 11), 9, dry.bytes)
    assert done.bytes > 0
    assert [store.read("users", FIRST, version)["value"][0] for version in done.kept] == [2, 7, 11]
    assert store.read("users", FIRST)["value"][0] == 11
    with pytest.raises(StoreError, match="cannot be read"):
        store.read("users", FIRST, 3)
    assert store.untouched("users", FIRST, 11)  # the commits of the vacuum wrote no night
    assert vacuum(store, "users", [2, 7], days=0, dry_run=False).files == 0


def test_what_was_live_within_some_days_stays(store: DeltaStore, monkeypatch) -> None:
    for value in range(3):
        store.overwrite("users", rows("a", value=value), FIRST)
    assert vacuum(store, "users", (), days=1, dry_run=True).kept == (0, 1, 2)
    now = time.time
    monkeypatch.setattr(maintenance.time, "time", lambda: now() + 2 * DAY)
    assert vacuum(store, "users", (), days=1, dry_run=True).kept == (2,)
    assert vacuum(store, "users", (), days=3, dry_run=True).kept == (0, 1, 2)


def test_compacted_files_stay_for_the_versions_that_name_them(store: DeltaStore) -> None:
    grow(store, range(8))
    compact(store, "vectors")
    assert vacuum(store, "vectors", [3], days=0, dry_run=False).files == 4
    assert store.read("vectors", version=3).height == 4
    assert store.read("vectors").height == 8
    with pytest.raises(StoreError, match="cannot be read"):
        store.read("vectors", version=6)


def test_what_killed_writers_left_goes_when_it_is_old(store: DeltaStore, tmp_path: Path) -> None:
    store.overwrite("users", rows("a"), FIRST)
    left = [tmp_path / "lake" / "users" / f"ds={FIRST}" / f"part-{n}.parquet" for n in range(2)]
    for file in left:
        file.write_bytes(b"half a file")
    os.utime(left[0], (time.time() - 8 * DAY,) * 2)
    assert vacuum(store, "users", (), days=7, dry_run=False).files == 1
    assert [file.exists() for file in left] == [False, True]  # the other may belong to a night that runs


def test_log_entries_of_an_old_release_outlive_their_year(store: DeltaStore) -> None:
    """Delta deletes log entries of its own accord when it writes a checkpoint, by default every hundredth commit."""
    log = Path(store.root) / "users" / "_delta_log"
    store.overwrite("users", rows("a", value=0), FIRST)
    DeltaTable(f"{store.root}/users").alter.set_table_properties({"delta.checkpointInterval": "5"})
    for value in range(1, 8):
        store.overwrite("users", rows("a", value=value), FIRST)
    assert list(log.glob("*.checkpoint.parquet"))
    for file in log.iterdir():
        os.utime(file, (time.time() - 800 * DAY,) * 2)
    vacuum(store, "users", [3], days=0, dry_run=False)
    for value in range(8, 18):
        store.overwrite("users", rows("a", value=value), FIRST)
    assert len(list(log.glob("*.checkpoint.parquet"))) > 1
    assert store.read("users", FIRST, 3)["value"][0] == 2


def test_a_lake_from_before_keeps_its_log_from_its_first_vacuum_on(store: DeltaStore) -> None:
    from deltalake import write_deltalake

    old = {"delta.logRetentionDuration": "interval 365 days"}
    write_deltalake(f"{store.root}/users", rows("a").to_arrow(), configuration=old)
    vacuum(store, "users", (), days=7, dry_run=True)
    assert store.version("users") == 0
    vacuum(store, "users", (), days=7, dry_run=False)
    assert DeltaTable(f"{store.root}/users").metadata().configuration == {**old, **KEEP_LOG}
    vacuum(store, "users", (), days=7, dry_run=False)
    assert store.version("users") == 1


def test_a_release_pins_its_tables_and_what_they_were_made_from(store: DeltaStore) -> None:
    source = {"source": "users", "source_version": 4, "table": "splits", "version": 2}
    model = {"source": "model:lightgcn/1", "source_version": None, "table": "recommendations", "version": 5}
    blank = dict.fromkeys(TABLES["lineage"].columns)
    told = pl.DataFrame([{**blank, **source}, {**blank, **model}], schema=dict(TABLES["lineage"].columns))
    version = store.overwrite("lineage", told, FIRST)
    release = Release(1, FIRST, {"lineage": version, "users": 6}, None, None, None, None, 0, "", None)
    assert pinned_versions(store, [release]) == {
        "lineage": {version},
        "users": {4, 6},
        "splits": {2},
        "recommendations": {5},
    }


def test_a_table_that_is_not_there_says_so(store: DeltaStore) -> None:
    with pytest.raises(StoreError, match="unknown"):
        compact(store, "userz")
    with pytest.raises(StoreError, match="unknown"):
        vacuum(store, "userz", (), 7, True)


def test_a_pin_that_is_lost_stops_the_vacuum_before_it_deletes(store: DeltaStore) -> None:
    for value in range(4):
        store.overwrite("users", rows("a", value=value), FIRST)
    DeltaTable(f"{store.root}/users").create_checkpoint()
    for version in range(3):
        (Path(store.root) / "users" / "_delta_log" / f"{version:020}.json").unlink()
    with pytest.raises(StoreError, match=r"table users: cannot be maintained: .*keep fewer releases"):
        vacuum(store, "users", [1], days=0, dry_run=False)
    assert len(list(Path(store.root).glob("users/ds=*/*.parquet"))) == 4
    assert vacuum(store, "users", [3], days=0, dry_run=False).files == 3
