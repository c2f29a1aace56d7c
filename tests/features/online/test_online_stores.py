"""Every online store: what is fed is read, a switch is seen whole or not at all, and an ended feed leaves no trace."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.online import ONLINE_STORES, Fed, OnlineStore, Place, entries
from features.online.base import pack, unpack
from features.views import View
from schemas.errors import StoreError
from tests.support.redis import emptied, redis_server

ROOT = Path(__file__).parents[3]
READERS = 40
VECTOR = np.array([0.25, -1.5, 3.0], dtype=np.float32)


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with redis_server() as address:
        yield address


@pytest.fixture(params=sorted(ONLINE_STORES))
def place(request, tmp_path: Path) -> tuple[str, str]:
    """The kind of a store and where it is."""
    if request.param == "redis":
        return request.param, emptied(request.getfixturevalue("redis_url"))
    return request.param, str(tmp_path / "online" / "online.sqlite")


@pytest.fixture
def store(place) -> Iterator[OnlineStore]:
    opened = another(place)
    yield opened
    opened.close()


def another(place: tuple[str, str]) -> OnlineStore:
    kind, where = place
    return ONLINE_STORES[kind](Place(Path(where), where, "reader"))


def fed(release: int) -> Fed:
    return Fed(release, "2026-01-01", f"content-{release}")


def told(release: int, count: int = READERS) -> list[tuple[str, str, str, bytes]]:
    """Two features of every user, both of this release."""
    ids = [f"u{n}" for n in range(count)]
    return [
        *(("user", id, "said", pack(f"release {release}")) for id in ids),
        *(("user", id, "vector", pack(VECTOR * release)) for id in ids),
    ]


def test_every_kind_of_value_comes_back_as_it_was(store: OnlineStore) -> None:
    views = [
        View("user", "kar.user/taste", "profiles", frame("u:1", "Läuft gern.\n")),
        View("user", "kar.user/taste@minilm", "embeddings", frame("u:1", VECTOR.tolist(), pl.List(pl.Float32))),
        View("user", "recommendations", "recommendations", frame("u:1", ["b 2", "b1"])),
        View("item", "semantic_ids/rq", "semantic_ids", frame("u:1", [3, 0, 255], pl.List(pl.Int32))),
    ]
    assert store.feed(fed(1), (entry for view in views for entry in entries(view))) == 4
    mine = store.get("user", "u:1")
    assert sorted(mine) == ["kar.user/taste", "kar.user/taste@minilm", "recommendations"]
    assert mine["kar.user/taste"] == "Läuft gern.\n"
    assert mine["kar.user/taste@minilm"].dtype == np.float32
    np.testing.assert_array_equal(mine["kar.user/taste@minilm"], VECTOR)
    assert mine["recommendations"] == ["b 2", "b1"]
    assert store.get("item", "u:1") == {"semantic_ids/rq": [3, 0, 255]}  # another kind, another row


def frame(id: str, value: object, dtype: pl.DataType | None = None) -> pl.DataFrame:
    return pl.DataFrame({"id": [id], "value": pl.Series([value], dtype=dtype)})


def test_many_are_read_in_the_order_asked_and_only_what_is_named(store: OnlineStore) -> None:
    store.feed(fed(1), told(1, count=1200))  # more than one statement of SQLite asks for
    ids = [f"u{n}" for n in reversed(range(1200))]
    found = store.get_many("user", [*ids, "nobody", "u3"], ["said"])
    assert list(found) == [*ids, "nobody"]
    assert found["nobody"] == {}
    assert {tuple(each.items()) for id, each in found.items() if id != "nobody"} == {(("said", "release 1"),)}
    assert store.get_many("user", ["u1"], ["nothing like it"]) == {"u1": {}}
    assert store.get_many("user", ["u1"], []) == {"u1": {}}
    assert store.get_many("user", []) == {}


def test_nothing_is_read_before_something_is_fed(store: OnlineStore) -> None:
    assert store.live() is None
    with pytest.raises(StoreError, match="loregraph feed"):
        store.get("user", "u1")


def test_a_switch_leaves_nothing_of_the_release_before(store: OnlineStore, place) -> None:
    store.feed(fed(1), [*told(1), ("user", "gone", "said", pack("only then"))])
    reader = another(place)
    assert reader.get("user", "gone") == {"said": "only then"}
    store.feed(fed(2), told(2))
    assert (reader.live(), store.live()) == (fed(2), fed(2))
    assert reader.get("user", "gone") == {}
    assert reader.get("user", "u1")["said"] == "release 2"
    assert stored(place) == 2 * READERS
    reader.close()


def test_a_feed_that_ends_midway_is_not_seen_and_is_taken_away_by_the_next(store: OnlineStore, place) -> None:
    store.feed(fed(1), told(1))

    def interrupted():
        yield from told(2, count=2_500)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.feed(fed(2), interrupted())
    assert store.live() == fed(1)
    assert store.get("user", "u1")["said"] == "release 1"
    assert stored(place) > 2 * READERS  # what was written until then
    store.feed(fed(3), told(3))
    assert stored(place) == 2 * READERS


def stored(place: tuple[str, str]) -> int:
    """Features that are stored, whether anybody sees them or not."""
    kind, where = place
    if kind == "redis":
        import redis

        with redis.Redis.from_url(where) as client:
            return sum(client.hlen(key) for key in client.scan_iter("*:user:*"))
    import sqlite3

    with sqlite3.connect(where) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE name GLOB 'release_*'").fetchall()
        return sum(database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0] for (name,) in tables)


def test_a_process_that_reads_meanwhile_sees_whole_releases_only(store: OnlineStore, place) -> None:
    store.feed(fed(1), told(1))
    command = [sys.executable, "-m", "tests.support.online_reader", *place, str(READERS)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    reader = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "READY\n"
    for release in range(2, 32):
        store.feed(fed(release), told(release))
    said, _ = reader.communicate(timeout=30)
    reads, mixed, releases = map(int, said.split())
    assert mixed == 0
    assert reads > releases > 1  # it has seen switches


def test_what_cannot_be_reached_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "online.sqlite").write_bytes(b"no database at all, but long enough to look at" * 40)
    with pytest.raises(StoreError, match=r"online\.sqlite.*not a database.*loregraph feed"):
        another(("sqlite", str(tmp_path / "online.sqlite"))).live()
    pytest.importorskip("redis")
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1, .*\[online\] url") as refused:
        another(("redis", "redis://me:secret@127.0.0.1:1/0")).live()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("value", ["", "text", [], ["a", "ü"], [1, -2]])
def test_values_survive_packing(value) -> None:
    assert unpack(pack(value)) == value
