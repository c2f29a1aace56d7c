"""Releases: one commit each, numbers that are unique, the same content only once, a kill leaves all or nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from features import releases as module
from features.releases import ReleasedModel, Releases, pinned
from features.store import DeltaStore
from schemas.errors import StoreError

FIRST, SECOND = "2026-01-01", "2026-01-02"
MODEL = ReleasedModel("lightgcn", 1, "abc", "models/lightgcn/abc-1")


@pytest.fixture
def store(tmp_path: Path) -> DeltaStore:
    store = DeltaStore(str(tmp_path / "lake"))
    write(store, FIRST, "one")
    return store


def write(store: DeltaStore, ds: str, title: str) -> None:
    """Two tables of a night that must always be read together, and one that grows."""
    store.overwrite("items", pl.DataFrame({"id": ["a", "b"], "title": [title, title]}), ds)
    store.overwrite("users", pl.DataFrame({"id": ["u"], "note": [title]}), ds)
    store.append("vectors", pl.DataFrame({"encoder": "m", "text_hash": [title], "vector": [[1.0]]}), ("text_hash",))


def release(store: DeltaStore, ds: str = FIRST, model: ReleasedModel | None = MODEL, **more) -> module.Release:
    return Releases(store).add(ds, pinned(store, ds), model, **more)


def test_a_release_pins_every_table_of_the_night_and_the_model(store) -> None:
    store.overwrite("neighbours", pl.DataFrame({"item_id": ["a"]}), SECOND)  # of another night
    made = release(store, reason="why")
    assert made == Releases(store).live() == Releases(store).number(1)
    assert (made.number, made.ds, made.reason, made.restores) == (1, FIRST, "why", None)
    assert made.tables == {"items": 0, "users": 0, "vectors": 0}
    assert made.live_model == MODEL
    assert abs(made.made_at - time.time()) < 60


def test_the_same_content_adds_nothing_and_another_adds_one(store) -> None:
    first = release(store)
    version = store.version("releases")
    write(store, SECOND, "two")  # moves every table, but nothing of the first night
    assert release(store) == first
    assert store.version("releases") == version
    assert release(store, model=None).number == 2  # another model
    write(store, FIRST, "new")
    assert release(store, model=None).number == 3
    assert release(store, SECOND).number == 4
    assert [each.number for each in Releases(store).all()] == [1, 2, 3, 4]
    assert [each.tables["items"] for each in Releases(store).all()] == [0, 1, 2, 2]


def test_as_of_gives_what_was_live_then_and_a_clock_set_back_changes_no_order(store, monkeypatch) -> None:
    for now, title in ((1000, "one"), (2000, "two"), (1500, "three")):
        monkeypatch.setattr(module.time, "time", lambda now=now: now + 0.9)
        write(store, FIRST, title)
        release(store)
    found = Releases(store)
    assert [each.made_at for each in found.all()] == [1000, 2000, 2000]
    assert [found.as_of(ts).number for ts in (1000, 1999, 2000, 9999)] == [1, 1, 3, 3]
    with pytest.raises(StoreError, match=r"no release was live at 999 .* first one was made at 1000"):
        found.as_of(999)


def test_two_writers_at_once_never_share_a_number(store) -> None:
    outcomes, gate = list[object](), threading.Barrier(6)

    def add(name: str) -> None:
        gate.wait()
        try:
            outcomes.append(release(store, model=ReleasedModel(name, 1, "h", "f")).number)
        except StoreError as error:
            outcomes.append(str(error))

    for at in range(3):  # the first round makes the table
        threads = [threading.Thread(target=add, args=(f"m{at}.{n}",)) for n in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    made = sorted(each for each in outcomes if isinstance(each, int))
    assert made == [each.number for each in Releases(store).all()] == [*range(1, len(made) + 1)]
    assert len(made) >= 3
    assert all("another writer" in each for each in outcomes if isinstance(each, str))


def test_a_release_that_was_judged_against_an_older_one_is_refused(store) -> None:
    release(store, after=0)
    with pytest.raises(StoreError, match="release 1 was made since release 0 was looked at"):
        release(store, model=None, after=0)
    assert release(store, model=None, after=1).number == 2


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda found: found.live(), "no release yet; `loregraph promote"),
        (lambda found: found.as_of(1), "no release was live at 1 .*there is none yet"),
        (lambda found: found.number(1), "release 1 is not there .there are 0"),
    ],
)
def test_a_lake_without_releases_says_so(store, ask, said: str) -> None:
    assert Releases(store).all() == []
    with pytest.raises(StoreError, match=said):
        ask(Releases(store))


def test_tables_that_are_written_meanwhile_are_not_pinned(store, monkeypatch) -> None:
    whole, times = store.version, [0]

    def version(name: str) -> int:  # the night is published again between the look at one table and at the next
        found = whole(name)
        if name == "items" and times[0] < 2:
            times[0] += 1
            DeltaStore(store.root).overwrite("items", pl.DataFrame({"id": [str(times[0])], "title": ["x"]}), FIRST)
        return found

    monkeypatch.setattr(store, "version", version)
    assert pinned(store, FIRST)["items"] == 2
    times[0] = -99
    with pytest.raises(StoreError, match="the tables of 2026-01-01 change all the time"):
        pinned(store, FIRST)


WRITER = """
import sys
from features.releases import ReleasedModel, Releases, pinned
from features.store import DeltaStore
store = DeltaStore(sys.argv[1])
print("ready", flush=True)
for number in range(10_000):
    model = ReleasedModel(f"m{sys.argv[2]}.{number}", 1, "h", "f")
    Releases(store).add("2026-01-01", pinned(store, "2026-01-01"), model)
"""


def test_a_killed_writer_leaves_whole_releases(store) -> None:
    for kill in range(3):
        command = [sys.executable, "-c", WRITER, store.root, str(kill)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
            time.sleep(0.4 + 0.07 * kill)
            os.kill(writer.pid, signal.SIGKILL)
        found = Releases(store).all()
        assert [each.number for each in found] == [*range(1, len(found) + 1)]
        assert all(set(each.tables) == {"items", "users", "vectors"} for each in found)
    assert len(found) >= 3
