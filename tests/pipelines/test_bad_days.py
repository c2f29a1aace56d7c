"""A night on a bad day: a full disk, a read-only lake, a damaged ledger, a clock that is set back.

Each ends in a named error or a clean recovery: with the fault gone the same command finishes, nothing is paid twice.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from features.store import DeltaStore
from language_models.ledger import Ledger
from pipelines.cli import app
from pipelines.job import run_night
from schemas.errors import StoreError
from schemas.records import sha256
from tests.support.faulty_endpoint import Endpoint, chat, endpoint

DS, NEXT = "2026-01-01", "2026-01-02"
PAGE = 4096
ROOMY = "512m"
RUN = """
name = "faults"
lake = "{lake}"
work = "{work}"
baseline = "popularity"
seeds = [1]
[data]
path = "data"
[split]
rule = "leave_one_out"
[llm]
engine = "openai"
model = "m"
base_url = "{url}"
[[recipes]]
name = "rlmrec.item"
options = {{ noun = "book" }}
[gates]
duplicates = 1.0
[quality]
near_duplicates = 1
largest_cluster = 1
language = ""
[evaluation]
bootstrap = 20
[[models]]
name = "popularity"
recommender = "popularity"
"""


def answer(body: dict) -> str:
    """An answer of its own to every message, long enough to fill a page of the ledger with a few."""
    digest = sha256(body["messages"][-1]["content"])
    return json.dumps({"summarization": f"Those who like {digest}.", "reasoning": digest * 8})


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint(lambda body, attempt: chat(answer(body))) as running:
        yield running


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "none", place], check=False).returncode:
        pytest.skip("a small disk cannot be mounted here: no permission")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


@contextmanager
def full(disk: Path, room_kib: int) -> Iterator[None]:
    """Inside, there is room for so much more."""
    used = int(subprocess.check_output(["df", "-k", "--output=used", disk], text=True).split()[1])
    remount(disk, f"size={used + max(4, room_kib)}k")  # a tmpfs of size 0 has no limit
    try:
        yield
    finally:
        remount(disk, f"size={ROOMY}")


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    remount(disk, "ro")
    try:
        yield
    finally:
        remount(disk, "rw")


def written(world, server: Endpoint, lake: Path | str = "lake", work: Path | str = "work") -> Path:
    return world(run=RUN.format(lake=lake, work=work, url=server.url))


def profiles(store: DeltaStore, ds: str = DS) -> list[tuple[str, str]]:
    return sorted(store.read("profiles", ds, columns=["id", "text"]).rows())


def is_whole(server: Endpoint, store: DeltaStore) -> None:
    """Everything was published, and each of the forty books was asked about once."""
    assert len(profiles(store)) == 80
    assert store.read("recommendations", DS)["user_id"].n_unique() == 38
    assert sorted(server.attempts.values()) == [1] * 40


@pytest.mark.parametrize(
    ("step", "table"), [("ingest", "interactions"), ("generate", "profiles"), ("evaluate", "metrics")]
)
def test_a_full_lake_is_named_and_the_night_goes_on_when_there_is_room(
    world, server, disk, step: str, table: str
) -> None:
    file = written(world, server, lake=disk / "lake")
    steps = ["ingest", "split", "generate", "train", "evaluate"]
    for name in steps[: steps.index(step)]:
        run_night(file, step=name, ds=DS)
    store = DeltaStore(str(disk / "lake"))
    with full(disk, 0), pytest.raises(StoreError, match=r"cannot be written: .*No space left.* has room") as raised:
        run_night(file, step=step, ds=DS)
    assert str(disk / "lake") in str(raised.value)
    assert "\x1b" not in str(raised.value)
    assert not store.exists(table, DS)
    run_night(file, step=step, ds=DS)
    assert store.read(table, DS).height > 0
    assert all(times == 1 for times in server.attempts.values())


def test_a_lake_that_fills_up_shows_whole_tables_alone(world, server, disk) -> None:
    file = written(world, server, lake=disk / "lake")
    store = DeltaStore(str(disk / "lake"))
    whole = {"users": 38, "items": 40, "interactions": 380, "splits": 380, "profiles": 80}
    for room in (40, 150):
        with full(disk, room), pytest.raises(StoreError, match="No space left"):
            run_night(file, ds=DS)
        for name in filter(lambda name: store.exists(name, DS), whole):
            assert store.read(name, DS).height == whole[name], name
    run_night(file, ds=DS)
    is_whole(server, store)


def run_lake(file: Path) -> str:
    return str(file.parent / "lake")


@pytest.mark.parametrize(
    ("step", "room_kib", "place"),
    [("generate", 60, "ledger.sqlite"), ("train", 0, "work"), ("report", 0, "work")],
)
def test_a_full_work_folder_is_named_and_the_night_goes_on(
    world, server, disk, step: str, room_kib: int, place: str
) -> None:
    file = written(world, server, work=disk / "work")
    steps = ["ingest", "split", "generate", "train", "evaluate", "recommend", "report"]
    for name in steps[: steps.index(step)]:
        run_night(file, step=name, ds=DS)
    with full(disk, room_kib), pytest.raises(StoreError) as raised:
        run_night(file, step=step, ds=DS)
    assert str(disk / "work") in str(raised.value)
    assert place in str(raised.value)
    assert ";" in str(raised.value), "the next step"
    paid = dict(server.attempts)
    for name in steps[steps.index(step) :]:
        run_night(file, step=name, ds=DS)
    assert len(profiles(DeltaStore(run_lake(file)))) == 80
    twice = [message for message, times in server.attempts.items() if times > 1]
    assert len(twice) <= 16, "those in flight when the disk was full, whose answers found no room"
    assert set(paid) <= set(server.attempts)


def test_a_read_only_lake_can_be_read_and_what_was_paid_is_kept(world, server, disk) -> None:
    file = written(world, server, lake=disk / "lake")
    for name in ("ingest", "split"):
        run_night(file, step=name, ds=DS)
    store = DeltaStore(str(disk / "lake"))
    with read_only(disk):
        with pytest.raises(StoreError, match=r"cannot be written: .*Read-only file system.*--lake"):
            run_night(file, step="generate", ds=DS)
        assert store.read("items", DS).height == 40
        assert not store.exists("profiles")
    assert sorted(server.attempts.values()) == [1] * 40
    run_night(file, ds=DS)
    is_whole(server, store)


def test_a_read_only_work_folder_is_named_before_anything_is_asked(world, server, disk) -> None:
    file = written(world, server, work=disk / "work")
    with read_only(disk), pytest.raises(StoreError, match=r"work: cannot write there \(Read-only"):
        run_night(file, ds=DS)
    assert not server.attempts
    assert run_night(file, step="ingest", ds=DS)["folder"]


def test_a_damaged_ledger_is_salvaged_and_only_what_is_gone_is_asked_again(world, server, capsys) -> None:
    file = written(world, server)
    run_night(file, ds=DS)
    ledger = file.parent / "work" / "ledger.sqlite"
    damage(ledger, "answers")
    with pytest.raises(StoreError, match=r"ledger\.sqlite: ledger: .*malformed; `loregraph salvage --run FILE` keeps"):
        run_night(file, ds=NEXT)
    assert DeltaStore(run_lake(file)).partitions("profiles") == [DS]
    app(["salvage", "--run", str(file), "--json"], standalone_mode=False)
    said = capsys.readouterr().out
    found = json.loads(said.splitlines()[-1])
    assert 0 < found["asked_again"] < 20
    assert found["asked_again"] == found["answers_lost"]
    assert f"{found['answers_lost']} answers are lost; {found['asked_again']} calls will be asked again" in said
    assert Path(found["damaged"]).exists()
    assert run_night(file, step="generate", ds=NEXT)["asked"] == found["asked_again"]
    assert sum(server.attempts.values()) == 40 + found["asked_again"]
    store = DeltaStore(run_lake(file))
    assert profiles(store, NEXT) == profiles(store, DS)


def damage(ledger: Path, table: str) -> None:
    """Overwrite a leaf page in the middle of a table."""
    with closing(sqlite3.connect(ledger)) as database:
        query = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (root,) = database.execute(query, (table,)).fetchone()
    content = bytearray(ledger.read_bytes())
    top = content[(root - 1) * PAGE : root * PAGE]
    assert top[0] == 5, "an interior page: the table has several"
    middle = int.from_bytes(top[3:5], "big") // 2
    place = int.from_bytes(top[12 + 2 * middle : 14 + 2 * middle], "big")
    child = int.from_bytes(top[place : place + 4], "big")
    content[(child - 1) * PAGE : child * PAGE] = b"\xa5" * PAGE
    ledger.write_bytes(content)


def test_a_clock_that_is_set_back_changes_nothing(world, server, monkeypatch) -> None:
    file, real = written(world, server), time.time
    began, looks = real(), [0]

    def back() -> float:
        """Every look at the clock is a minute before the last one."""
        looks[0] += 1
        return began - 60.0 * looks[0]

    monkeypatch.setattr(time, "time", back)
    first = run_night(file, ds=DS)
    again = run_night(file, ds=NEXT)
    assert looks[0] > 50
    monkeypatch.setattr(time, "time", real)
    assert (first["asked"], again["asked"]) == (40, 0)
    store = DeltaStore(run_lake(file))
    is_whole(server, store)
    assert store.read("llm_runs", DS)["seconds"].min() >= 0
    with Ledger(file.parent / "work" / "ledger.sqlite") as ledger:
        assert not ledger.orphans()
    for ds in (DS, NEXT):
        steps = (file.parent / "work" / "nights" / ds / "steps").glob("*.json")
        assert all(json.loads(step.read_text()).get("seconds", 0) >= 0 for step in steps)
