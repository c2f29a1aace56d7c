"""The feature store: reads that are never mixed, and joins in which no row sees anything later than itself."""

import threading
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features import releases as module
from features.feature_store import FeatureStore, unix_seconds
from features.releases import ReleasedModel, Releases, pinned
from features.store import DeltaStore
from schemas.errors import DataError, StoreError

NIGHTS = ("2026-01-01", "2026-01-02", "2026-01-03")
SOURCE = "rlmrec.item/summarization@hash"


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    return DeltaStore(str(tmp_path / "lake"))


def items(night: int, **more: list[object]) -> pl.DataFrame:
    return pl.DataFrame({"id": ["a", "b"], "title": [f"a{night}", f"b{night}"], **more})


def vectors(night: int, dim: int = 2) -> pl.DataFrame:
    ids = ["a"] if night == 0 else ["a", "b"]
    made = {"kind": "item", "id": ids, "source": SOURCE, "vector": [[float(night)] * dim] * len(ids)}
    profiles = {"kind": "item", "id": ids, "recipe": "rlmrec.item", "field": "summarization", "text": f"text {night}"}
    return pl.DataFrame(made), pl.DataFrame(profiles)


def live(store: DeltaStore, ds: str, made_at: int, monkeypatch, restores: int | None = None, **tables) -> None:
    """Write tables of a night and release them at a time."""
    for name, frame in tables.items():
        store.overwrite(name, frame, ds)
    monkeypatch.setattr(module.time, "time", lambda: float(made_at))
    Releases(store).add(ds, pinned(store, ds), ReleasedModel(ds, 1, str(made_at), "f"), restores=restores)


@pytest.fixture
def three(store, monkeypatch) -> FeatureStore:
    """Three nights, made at 100, 200 and 300; the third has a column more."""
    for night, ds in enumerate(NIGHTS):
        more = {"year": [1900, 1901]} if night == 2 else {}
        embeddings, profiles = vectors(night)
        tables = {"items": items(night, **more), "embeddings": embeddings, "profiles": profiles}
        live(store, ds, 100 * (night + 1), monkeypatch, **tables)
    return FeatureStore(store.root)


def test_latest_as_of_and_release_read_their_own_night(three) -> None:
    assert three.latest().release.number == 3
    assert three.latest().names() == ["embeddings", "items", "profiles"]
    assert three.as_of(299).read("items", ["id", "title"]).rows() == [("a", "a1"), ("b", "b1")]
    assert three.as_of(datetime.fromtimestamp(100, UTC)).release.ds == NIGHTS[0]
    assert three.as_of("1970-01-01T00:03:20").release.ds == NIGHTS[1]
    assert three.release(1).read("items", where=pl.col("id") == "b")["title"].to_list() == ["b0"]
    with pytest.raises(StoreError, match=r"release 3: table: itms: unknown, did you mean items"):
        three.latest().read("itms")
    with pytest.raises(DataError, match="expected a time such as"):
        three.as_of("yesterday")


def test_a_night_that_is_written_again_is_seen_only_when_it_is_released(three, store, monkeypatch) -> None:
    before = three.latest()
    store.overwrite("items", items(9), NIGHTS[2])
    assert three.latest().read("items")["title"].to_list() == ["a2", "b2"]
    live(store, NIGHTS[2], 400, monkeypatch)
    assert before.read("items")["title"].to_list() == ["a2", "b2"], "a snapshot stays what it was"
    assert three.latest().read("items")["title"].to_list() == ["a9", "b9"]


def test_readers_beside_publications_never_see_a_mix(store, monkeypatch) -> None:
    live(store, NIGHTS[0], 1, monkeypatch, items=items(0), users=pl.DataFrame({"id": ["0"]}))
    seen, failed, done = set[str](), list[Exception](), threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                snapshot = FeatureStore(store.root).latest()
                users, titles = snapshot.read("users")["id"].to_list(), snapshot.read("items")["title"].to_list()
                assert titles == [f"a{users[0]}", f"b{users[0]}"], (users, titles)
                seen.add(users[0])
            except Exception as error:  # noqa: BLE001 -- a thread's errors are told below
                failed.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for night in range(1, 13):
        live(store, NIGHTS[0], night, monkeypatch, items=items(night), users=pl.DataFrame({"id": [str(night)]}))
    done.set()
    reader.join()
    assert not failed, failed[0]
    assert len(seen) > 1, "the reader saw one release only; nothing was tested"


def test_a_join_gives_every_row_what_was_live_at_its_time(three) -> None:
    entities = pl.DataFrame({"item_id": ["a", "b", "a", "a", "b", "c", "a"], "ts": [99, 100, 100, 250, 200, 300, None]})
    found = three.join(entities, ["title", SOURCE, "rlmrec.item/summarization"])
    assert found.columns == ["item_id", "ts", "release", "title", SOURCE, "rlmrec.item/summarization"]
    assert found["item_id"].to_list() == entities["item_id"].to_list()
    assert found["release"].to_list() == [None, 1, 1, 2, 2, 3, None]
    assert found["title"].to_list() == [None, "b0", "a0", "a1", "b1", None, None]
    assert found[SOURCE].dtype == pl.List(pl.Float32)
    assert found[SOURCE].to_list() == [None, None, [0.0, 0.0], [1.0, 1.0], [1.0, 1.0], None, None]
    assert found["rlmrec.item/summarization"].to_list()[2:4] == ["text 0", "text 1"]


def test_no_row_of_a_join_sees_anything_later(three) -> None:
    rng = np.random.default_rng(0)
    entities = pl.DataFrame({"item_id": rng.choice(["a", "b"], 400), "ts": rng.integers(0, 400, 400)})
    found = three.join(entities, "title").with_columns(night=pl.col("title").str.slice(1).cast(pl.Int64))
    expected = [ts // 100 - 1 if ts >= 100 else None for ts in entities["ts"].to_list()]
    assert found["night"].to_list() == [None if each is None else min(each, 2) for each in expected]


def test_a_column_that_only_a_newer_release_has_is_null_before(three) -> None:
    found = three.join(pl.DataFrame({"id": ["a", "a"], "ts": [250, 350]}), "year")
    assert found["year"].to_list() == [None, 1900]
    with pytest.raises(StoreError, match=r"items of release 2: year: unknown .known: title"):
        three.join(pl.DataFrame({"id": ["a"], "ts": [250]}), "year")


def test_another_type_or_length_is_an_error_that_names_both(three, store, monkeypatch, tmp_path) -> None:
    entities = pl.DataFrame({"item_id": ["a", "a"], "ts": [350, 450]})
    live(store, "2026-01-04", 400, monkeypatch, items=items(3), embeddings=vectors(3, dim=5)[0])
    with pytest.raises(StoreError, match=r"release 3 has List.Float32. of length 2, release 4 has .* of length 5"):
        three.join(entities, SOURCE)
    assert three.join(entities[:1], SOURCE)[SOURCE].to_list() == [[2.0, 2.0]]


def test_times_may_be_datetimes_and_days(three) -> None:
    at = pl.Series("at", [datetime(1970, 1, 1, 0, 3, 19, 999_999), datetime(1970, 1, 1, 0, 3, 20)])
    for series in (at, at.dt.replace_time_zone("UTC"), at.cast(pl.Datetime("ms")), at.dt.epoch("us") / 1e6):
        found = three.join(pl.DataFrame({"item_id": ["a", "a"], "at": series}), "title", ts="at")
        assert found["title"].to_list() == ["a0", "a1"], series.dtype
    assert three.join(pl.DataFrame({"id": ["a"], "ts": [date(2026, 1, 1)]}), "title")["title"].to_list() == ["a2"]
    assert unix_seconds("1970-01-02") == unix_seconds(datetime(1970, 1, 2)) == 86_400


def test_by_the_clock_of_nights_a_replayed_release_counts_from_the_end_of_its_day(three, store, monkeypatch) -> None:
    midnight = unix_seconds("2026-01-02")
    entities = pl.DataFrame({"item_id": ["a"] * 4, "ts": [midnight - 1, midnight, midnight + 86_400, 2**40]})
    assert three.join(entities, "title", clock="night")["title"].to_list() == [None, "a0", "a1", "a2"]
    store.overwrite("items", items(8), NIGHTS[0])
    live(store, NIGHTS[0], 500, monkeypatch, restores=1)  # a rollback: releases 2 and 3 do not count any more
    assert three.join(entities, "title", clock="night")["release"].to_list() == [None, 4, 4, 4]
    assert three.join(entities, "title")["release"].to_list() == [4, 4, 4, 4]


def test_a_snapshot_joins_and_aligns(three) -> None:
    entities = pl.DataFrame({"item_id": ["b", "zz", "a"]})
    found = three.release(2).join(entities, ["title", SOURCE])
    assert found["title"].to_list() == ["b1", None, "a1"]
    table = three.release(1).vectors(SOURCE, "item", pl.Series(["b", "a"]))
    assert table.present.tolist() == [False, True]
    assert table.x.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert three.release(2).vectors(SOURCE, "item", pl.Series(["b"])).x.tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("join", "error", "said"),
    [
        (lambda s: s.join(pl.DataFrame({"x": ["a"], "ts": [1]}), "title"), DataError, "column item_id or id, found x"),
        (lambda s: s.join(pl.DataFrame({"id": ["a"]}), "title"), DataError, "column ts with times, found id"),
        (lambda s: s.join(pl.DataFrame({"id": ["a"], "ts": ["x"]}), "title"), DataError, "ts: expected .* String"),
        (lambda s: s.join(pl.DataFrame({"id": ["a"], "ts": [1], "title": "x"}), "title"), DataError, "title is there"),
        (lambda s: s.join(pl.DataFrame({"id": ["a"], "ts": [1], "release": 1}), "title"), DataError, "release is"),
        (lambda s: s.join(pl.DataFrame({"id": ["a"], "ts": [300]}), SOURCE + "x"), StoreError, "did you mean rlmrec"),
        (lambda s: s.latest().join(pl.DataFrame({"id": ["a"]}), "titel"), StoreError, "did you mean title"),
    ],
)
def test_what_cannot_be_joined_is_said(three, join, error, said: str) -> None:
    with pytest.raises(error, match=said):
        join(three)
