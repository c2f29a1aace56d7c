"""The lake: partitions, versions, repeated nights, readers beside a writer, and what goes wrong."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable
from polars.testing import assert_frame_equal

from features.store import DeltaStore, TableStore
from schemas.errors import StoreError

FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return DeltaStore(str(tmp_path / "lake"))


def rows(*ids: str, value: int = 1) -> pl.DataFrame:
    return pl.DataFrame({"id": list(ids), "value": [value] * len(ids)}, schema={"id": pl.String, "value": pl.Int64})


def test_overwriting_a_night_keeps_the_others(store: TableStore) -> None:
    store.overwrite("users", rows("a", "b"), FIRST)
    store.overwrite("users", rows("c"), SECOND)
    store.overwrite("users", rows("d"), FIRST)
    assert store.read("users", FIRST)["id"].to_list() == ["d"]
    assert store.read("users", SECOND)["id"].to_list() == ["c"]
    assert store.partitions("users") == [FIRST, SECOND]
    assert store.read("users").sort("id").to_dict(as_series=False) == {
        "id": ["c", "d"],
        "value": [1, 1],
        "ds": [SECOND, FIRST],
    }


def test_versions_stay_readable(store: TableStore) -> None:
    versions = [store.overwrite("users", rows("a", value=value), FIRST) for value in range(12)]
    assert versions == list(range(12))  # past the tenth commit delta writes a checkpoint
    assert [store.read("users", FIRST, version)["value"][0] for version in versions] == list(range(12))
    assert store.version("users") == 11


def test_the_same_rows_in_another_order_write_nothing(store: TableStore, tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a", "b", "b"], "vector": [[1.0, 2.0], [3.0, 4.0], [3.0, 4.0]]})
    first = store.overwrite("embeddings", frame, FIRST)
    files = sorted((tmp_path / "lake").rglob("*"))
    assert store.overwrite("embeddings", frame.reverse(), FIRST) == first
    assert sorted((tmp_path / "lake").rglob("*")) == files
    assert store.overwrite("embeddings", frame.unique(), FIRST) == first + 1  # one row fewer is another content
    assert store.overwrite("embeddings", frame.unique(), SECOND) == first + 2  # as is another night


def test_values_that_move_between_rows_are_another_content(store: TableStore) -> None:
    first = store.overwrite("users", pl.DataFrame({"id": ["a", "b"], "value": [1, 2]}), FIRST)
    assert store.overwrite("users", pl.DataFrame({"id": ["a", "b"], "value": [2, 1]}), FIRST) == first + 1


def test_new_columns_are_added_and_old_nights_have_them_empty(store: TableStore) -> None:
    store.overwrite("items", rows("a"), FIRST)
    version = store.overwrite("items", rows("b").with_columns(title=pl.lit("Emma")), SECOND)
    assert store.read("items", FIRST).to_dicts() == [{"id": "a", "value": 1, "title": None}]
    assert store.read("items", SECOND)["title"].to_list() == ["Emma"]
    assert store.overwrite("items", rows("a"), FIRST) == version  # leaving an empty column out changes nothing
    assert store.overwrite("items", rows("b"), SECOND) == version + 1  # leaving a filled one out empties it
    assert store.read("items", SECOND)["title"].to_list() == [None]


def test_types_are_stored_so_that_every_reader_understands_them(store: TableStore) -> None:
    frame = pl.DataFrame(
        {
            "vector": pl.Series([[1.0, 2.0]], dtype=pl.Array(pl.Float64, 2)),
            "tags": [["x", "y"]],
            "seen": pl.Series([10**18], dtype=pl.Datetime("ns")),
            "count": pl.Series([2**40], dtype=pl.UInt64),
            "genre": pl.Series(["novel"], dtype=pl.Categorical),
            "note": pl.Series([None], dtype=pl.Null),
        }
    )
    version = store.overwrite("items", frame, FIRST)
    found = store.read("items", FIRST)
    assert found.schema == {
        "vector": pl.List(pl.Float32),
        "tags": pl.List(pl.String),
        "seen": pl.Datetime("us"),
        "count": pl.Int64,
        "genre": pl.String,
        "note": pl.String,
    }
    assert found["vector"].to_list() == [[1.0, 2.0]]
    assert found["count"].to_list() == [2**40]
    assert store.overwrite("items", frame, FIRST) == version


def test_an_empty_night_is_published_with_its_columns(store: TableStore) -> None:
    assert store.overwrite("rejects", rows(), FIRST) == store.overwrite("rejects", rows(), FIRST)
    assert_frame_equal(store.read("rejects", FIRST), rows())
    assert store.exists("rejects", FIRST)
    assert store.partitions("rejects") == [FIRST]
    store.overwrite("rejects", rows("a"), FIRST)
    assert store.read("rejects", FIRST)["id"].to_list() == ["a"]
    store.overwrite("rejects", rows("b"), SECOND)
    store.overwrite("rejects", rows().with_columns(detail=pl.lit("x")), FIRST)
    assert store.read("rejects", FIRST).schema == {"id": pl.String, "value": pl.Int64, "detail": pl.String}
    assert store.read("rejects", FIRST).is_empty()
    assert store.read("rejects")["id"].to_list() == ["b"]
    assert store.partitions("rejects") == [FIRST, SECOND]


def test_append_writes_each_key_once(store: TableStore) -> None:
    vectors = pl.DataFrame({"encoder": ["m", "m", "m"], "text_hash": ["x", "y", "x"], "vector": [[1.0], [2.0], [9.0]]})
    key = ("encoder", "text_hash")
    assert store.append("vectors", vectors, key) == 2
    version = store.version("vectors")
    assert store.append("vectors", vectors, key) == 0
    assert store.version("vectors") == version
    assert store.append("vectors", vectors.with_columns(encoder=pl.lit("other")), key) == 2
    found = store.read("vectors").sort("encoder", "text_hash")
    assert found["vector"].to_list() == [[1.0], [2.0], [1.0], [2.0]]
    assert store.partitions("vectors") == []


def test_columns_names_and_existence(store: TableStore) -> None:
    assert store.names() == []
    assert not store.exists("users")
    store.overwrite("users", rows("a"), FIRST)
    store.append("vectors", rows("a"), ("id",))
    assert store.names() == ["users", "vectors"]
    assert store.read("users", FIRST, columns=["value"]).columns == ["value"]
    assert store.exists("users", FIRST)
    assert not store.exists("users", SECOND)


def test_a_file_url_is_a_local_lake(tmp_path: Path) -> None:
    DeltaStore(f"file://{tmp_path}").overwrite("users", rows("a"), FIRST)
    assert DeltaStore(str(tmp_path)).read("users", FIRST)["id"].to_list() == ["a"]


def test_a_reader_beside_a_writer_never_sees_a_mix(store: TableStore) -> None:
    store.overwrite("users", rows(*"abcdefgh", value=0), FIRST)
    seen: list[pl.DataFrame] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(store.read("users", FIRST))

    reader = threading.Thread(target=read)
    reader.start()
    for value in range(1, 26):
        store.overwrite("users", rows(*"abcdefgh", value=value), FIRST)
    done.set()
    reader.join()
    assert len({frame["value"][0] for frame in seen}) > 1, "the reader saw one version only; nothing was tested"
    assert all(frame.height == 8 and frame["value"].n_unique() == 1 for frame in seen)


def test_two_writers_of_two_nights_both_land(store: TableStore) -> None:
    store.overwrite("users", rows("x"), THIRD)
    threads = [
        threading.Thread(target=store.overwrite, args=("users", rows(ds), ds)) for ds in (FIRST, SECOND, "2026-01-04")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.read("users").sort("ds")["id"].to_list() == [FIRST, SECOND, "x", "2026-01-04"]


def test_a_read_of_an_old_snapshot_survives_the_overwrite(store: TableStore, tmp_path: Path) -> None:
    store.overwrite("users", rows("a"), FIRST)
    snapshot = pl.scan_delta(DeltaTable(tmp_path / "lake" / "users"))
    store.overwrite("users", rows("b"), FIRST)
    assert snapshot.collect()["id"].to_list() == ["a"]


@pytest.mark.parametrize(
    ("call", "parts"),
    [
        (lambda s: s.read("user"), ["user: unknown, did you mean users?", "known: users, vectors"]),
        (lambda s: s.version("nothing"), ["nothing: unknown"]),
        (lambda s: s.read("users", version=7), ["users", "version 7 is not there, the live one is 0"]),
        (lambda s: s.read("users", version=-1), ["version -1 is not there"]),
        (lambda s: s.read("users", THIRD), [f"ds {THIRD} is not there", f"nearest: {FIRST}", "loregraph night --ds"]),
        (lambda s: s.read("vectors", FIRST), [f"ds {FIRST} is not there", "nearest: none"]),
        (lambda s: s.read("users", columns=["idd"]), ["column: idd: unknown, did you mean id?"]),
        (lambda s: s.overwrite("Users", rows("a"), FIRST), ["'Users'", "lower-case"]),
        (lambda s: s.overwrite("../users", rows("a"), FIRST), ["'../users'", "lower-case"]),
        (lambda s: s.overwrite("users", rows("a"), "2026-1-1"), ["'2026-1-1'", "YYYY-MM-DD"]),
        (lambda s: s.overwrite("users", rows("a"), "2026-02-30"), ["'2026-02-30'", "YYYY-MM-DD"]),
        (lambda s: s.overwrite("users", rows("a"), "2026-01-01' OR '1'='1"), ["YYYY-MM-DD"]),
        (lambda s: s.overwrite("vectors", rows("a"), FIRST), ["vectors", "no nights"]),
        (lambda s: s.append("users", rows("a"), ("id",)), ["users", "has nights"]),
        (
            lambda s: s.overwrite("users", rows("a").cast({"value": pl.String}), FIRST),
            ["value: expected Int64, found Str"],
        ),
        (lambda s: s.overwrite("users", pl.DataFrame(), FIRST), ["expected a frame with columns"]),
    ],
)
def test_an_error_names_table_lake_and_cause(store: TableStore, call, parts: list[str]) -> None:
    store.overwrite("users", rows("a"), FIRST)
    store.append("vectors", rows("a"), ("id",))
    with pytest.raises(StoreError) as caught:
        call(store)
    for part in parts:
        assert part in str(caught.value)
    assert store.read("users", FIRST)["id"].to_list() == ["a"]


def test_a_corrupt_log_says_which_table(store: TableStore, tmp_path: Path) -> None:
    store.overwrite("users", rows("a"), FIRST)
    store.overwrite("items", rows("a"), FIRST)
    (tmp_path / "lake" / "users" / "_delta_log" / f"{0:020}.json").write_text('{"add": {"pa')
    with pytest.raises(StoreError, match=r"table users: cannot be read: .*restore its folder from a copy"):
        store.read("users", FIRST)
    assert store.read("items", FIRST).height == 1


def test_a_lost_data_file_says_which_table(store: TableStore, tmp_path: Path) -> None:
    store.overwrite("users", rows("a"), FIRST)
    shutil.rmtree(tmp_path / "lake" / "users" / f"ds={FIRST}")
    with pytest.raises(StoreError, match="table users: cannot be read"):
        store.read("users", FIRST)


def test_a_lake_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"table users: cannot be written: .*--lake"):
        DeltaStore(str(tmp_path / "file" / "lake")).overwrite("users", rows("a"), FIRST)


def test_a_read_only_lake_can_be_read_and_not_written() -> None:
    root = Path(tempfile.mkdtemp())  # not tmp_path: another user may not pass through its parents
    try:
        store = DeltaStore(str(root / "lake"))
        store.overwrite("users", rows("a"), FIRST)
        folders = [root, *(path for path in root.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        with ordinary_user():
            assert store.read("users", FIRST)["id"].to_list() == ["a"]
            for frame in (rows("b"), rows()):
                with pytest.raises(StoreError, match=r"table users: cannot be written: .*--lake"):
                    store.overwrite("users", frame, FIRST)
            with pytest.raises(StoreError, match=r"table items: cannot be written: .*--lake"):
                store.overwrite("items", rows("b"), FIRST)
        assert store.version("users") == 0
    finally:
        for folder in folders:
            folder.chmod(0o755)
        shutil.rmtree(root)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may write everywhere, so give the right up for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_only_the_rows_asked_for_are_read(store: TableStore) -> None:
    store.overwrite("users", rows("a", "b"), FIRST)
    store.overwrite("users", rows("b", value=2), SECOND)
    assert store.read("users", FIRST, where=pl.col("id") == "b").rows() == [("b", 1)]
    assert store.read("users", where=pl.col("id") == "b", columns=["value"])["value"].sort().to_list() == [1, 2]


def test_a_night_is_untouched_until_a_commit_writes_it(store: TableStore) -> None:
    first = store.overwrite("users", rows("a"), FIRST)
    store.overwrite("users", rows("a"), SECOND)
    assert store.untouched("users", FIRST, first)
    assert not store.untouched("users", SECOND, first)
    store.overwrite("users", rows("a", value=2), FIRST)
    assert not store.untouched("users", FIRST, first)
    assert not store.untouched("users", FIRST, 99), "a version that is not there"


def test_a_whole_table_is_replaced_by_who_comes_first(store: TableStore) -> None:
    assert store.replace("releases", rows("a"), after=None) == 0
    with pytest.raises(StoreError, match="expected version None, found 0: another writer came first"):
        store.replace("releases", rows("b"), after=None)
    assert store.replace("releases", rows("a", "b"), after=0) == 1
    outcomes, gate = list[str](), threading.Barrier(5)

    def write(id: str) -> None:
        gate.wait()
        try:
            store.replace("releases", rows(id), after=1)
            outcomes.append(id)
        except StoreError:
            outcomes.append("")

    threads = [threading.Thread(target=write, args=(id,)) for id in "vwxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.version("releases") == 2
    assert store.read("releases")["id"].to_list() == [max(outcomes)]
    assert sorted(outcomes)[:4] == [""] * 4


def test_ids_may_hold_any_line_end(store: TableStore) -> None:
    ids = ["a\x85b", "c\u2028d", "e\u2029f"]  # the log's statistics hold the smallest and the largest of them
    store.overwrite("things", pl.DataFrame({"id": ids}), "2026-01-01")
    assert sorted(store.read("things", ds="2026-01-01")["id"]) == ids
