"""Lineage of tables: the versions that were read, kept once, and found again after a kill."""

import polars as pl
import pytest

from features.store import DeltaStore
from pipelines.lineage import Source, Trace, Written, save_lineage

DS, NEXT = "2026-01-01", "2026-01-02"


def frame(text):
    return pl.DataFrame({"id": ["a"], "text": [text]})


@pytest.fixture
def store(tmp_path):
    store = DeltaStore(str(tmp_path / "lake"))
    store.overwrite("items", frame("first"), DS)
    return store


def publish(store, text, read=0, step="generate", save=True):
    """A step that has read a version of items and publishes profiles."""
    before = store.version("profiles") if store.exists("profiles") else None
    version = store.overwrite("profiles", frame(text), DS)
    trace = Trace(step)
    trace.read("items", read, DS)
    trace.wrote(("profiles", DS), version, version != before, "hash")
    if save:
        save_lineage(store, DS, trace)


def told(store):
    rows = store.read("lineage", DS).filter(pl.col("table") == "profiles").sort("version")
    return rows.select("step", "version", "source", "source_version").rows()


def test_the_same_rows_again_leave_the_row_of_those_who_wrote_them(store) -> None:
    publish(store, "x")
    written = store.read("lineage", DS)
    store.overwrite("items", frame("second"), DS)
    publish(store, "x", read=1, step="publish")
    assert (store.version("lineage"), store.read("lineage", DS).equals(written)) == (0, True)
    assert told(store) == [("generate", 0, "items", 0)]


def test_other_rows_add_a_row_and_the_earlier_version_stays_told(store) -> None:
    publish(store, "x")
    publish(store, "y", read=1)
    assert told(store) == [("generate", 0, "items", 0), ("generate", 1, "items", 1)]


def test_another_night_between_changes_nothing_of_this_one(store) -> None:
    publish(store, "x")
    store.overwrite("profiles", frame("of another night"), NEXT)
    publish(store, "x", read=3)
    assert told(store) == [("generate", 0, "items", 0)]


def test_what_a_kill_left_untold_is_told_by_the_next_run(store) -> None:
    publish(store, "x")
    publish(store, "y", read=1, save=False)
    publish(store, "y", read=1)
    assert told(store) == [("generate", 0, "items", 0), ("generate", 1, "items", 1)]
    store.overwrite("profiles", frame("of another night"), NEXT)
    publish(store, "y", read=9)
    assert len(told(store)) == 2


def test_a_table_that_was_made_anew_forgets_the_versions_of_the_old_one(store, tmp_path) -> None:
    publish(store, "x")
    publish(store, "y", read=1)
    (tmp_path / "lake" / "profiles").rename(tmp_path / "away")
    publish(store, "z", read=2)
    assert told(store) == [("generate", 0, "items", 2)]


def test_a_table_is_no_source_of_itself_but_its_earlier_night_is() -> None:
    trace = Trace("publish")
    trace.read("partitions", 4, DS)
    trace.read("partitions", 4, NEXT)
    trace.read("vectors", 2, None)
    trace.wrote(("partitions", NEXT), 5, True, None)
    trace.wrote(("vectors", None), 3, True, None)
    assert [each.sources for each in trace.written] == [
        (Source("partitions", 4, DS), Source("vectors", 2)),
        (Source("partitions", 4, DS), Source("partitions", 4, NEXT)),
    ]


def test_a_model_is_told_as_its_folder_tells_it_whoever_uses_it(store) -> None:
    def use(table, reads):
        model = Written("train", "model:m/1", None, (Source("items", reads, DS),), "s", "r", 7, "0", config_hash="abc")
        trace, version = Trace("recommend"), store.overwrite(table, frame("list"), DS)
        trace.wrote((table, DS), version, True, None, [model])
        save_lineage(store, DS, trace)

    use("metrics", 0)
    use("recommendations", 0)
    rows = store.read("lineage", DS).filter(pl.col("table") == "model:m/1")
    assert rows.select("step", "source", "source_version", "config_hash", "written_at").rows() == [
        ("train", "items", 0, "abc", 7)
    ]
    users = store.read("lineage", DS).filter(pl.col("source") == "model:m/1")
    assert sorted(users["table"]) == ["metrics", "recommendations"]
    assert set(users["source_hash"]) == {"abc"}
