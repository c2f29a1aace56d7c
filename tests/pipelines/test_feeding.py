"""The online store is fed by the night, follows promotions and rollbacks, and gives what the lake has."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from features.releases import Releases
from features.store import DeltaStore
from pipelines import online
from pipelines.checks import check_run
from pipelines.cli import app
from pipelines.online import features, feed, open_online
from pipelines.promoting import roll_back
from pipelines.steps import STEPS
from schemas.errors import ConfigError, DataError, StoreError
from schemas.run import Run, load_run
from tests.support.redis import emptied, redis_server
from tests.support.released_world import VECTOR, release, vector
from tests.support.small_world import RUN as WORLD

HEAD = 'name = "served"\nlake = "lake"\n[data]\npath = "data"\n'
SQLITE = '[online]\nstore = "sqlite"\n'


@pytest.fixture
def lived(tmp_path: Path) -> Callable[[str], Path]:
    """A lake of two releases; returns the run file with a section of its own."""
    store = DeltaStore(str(tmp_path / "lake"))
    for seed, ds in enumerate(("2026-01-01", "2026-01-02"), 1):
        release(store, ds, seed)

    def write(section: str = SQLITE) -> Path:
        (tmp_path / "run.toml").write_text(HEAD + section)
        return tmp_path / "run.toml"

    return write


def again(run: Run, number: int) -> None:
    releases = Releases(DeltaStore(run.lake))
    wanted = releases.number(number)
    releases.add(wanted.ds, wanted.tables, wanted.live_model, "back", restores=number)


def test_what_is_live_is_fed_once_and_followed_back(lived) -> None:
    run = load_run(lived())
    first = feed(run)
    assert (first["release"], first["switched"]) == (2, True)
    assert first["features"] == 5 + 8 + 6 + 8 + 8 + 6 + 6
    assert feed(run) == {"online": "sqlite", "release": 2, "features": 0, "switched": False}
    assert said(run, "b3") == "b3 in words, seed 2"
    again(run, 1)
    assert feed(run)["release"] == 3
    assert said(run, "b3") == "b3 in words, seed 1"
    assert feed(run, Releases(DeltaStore(run.lake)).number(2))["switched"]
    assert said(run, "b3") == "b3 in words, seed 2"


def said(run: Run, item: str) -> object:
    return features(run.file, "item", item)["features"]["rlmrec.item/summarization"]


def test_another_section_is_fed_again(lived) -> None:
    feed(load_run(lived()))
    run = load_run(lived(f'{SQLITE}tables = ["embeddings"]\nsources = ["{VECTOR}"]\n'))
    assert feed(run)["features"] == 8
    assert list(features(run.file, "item", "b0")["features"]) == [VECTOR]


def test_without_a_section_nothing_is_done_and_the_lake_gives_the_same(lived, tmp_path: Path) -> None:
    bare, served = load_run(lived("")), load_run(lived())
    assert feed(bare) == {"online": "none"}
    assert not (tmp_path / "lake" / "_work").exists()
    feed(served)
    for kind, id in (("user", "r0"), ("user", "r1"), ("item", "b7")):
        stored = features(lived(), kind, id)
        read = features(lived(""), kind, id)
        assert (stored["from"], read["from"]) == ("sqlite", "lake")
        assert stored["features"] == read["features"]
    assert features(lived(), "item", "b7")["features"][VECTOR] == pytest.approx(vector(2, 6 + 7))
    with_sources = f'[online]\nsources = ["{VECTOR}"]\n'
    assert list(features(lived(with_sources), "item", "b7")["features"]) == [VECTOR, "semantic_ids/codes"]


def test_a_feed_that_fails_leaves_the_release_before(lived, monkeypatch) -> None:
    run = load_run(lived())
    feed(run, Releases(DeltaStore(run.lake)).number(1))
    real = online.entries

    def failing(view):
        if view.table == "recommendations":
            raise StoreError("the disk is full")
        yield from real(view)

    monkeypatch.setattr(online, "entries", failing)
    with pytest.raises(StoreError, match="disk is full"):
        feed(run)
    assert said(run, "b3") == "b3 in words, seed 1"


def test_redis_is_fed_too(lived, monkeypatch) -> None:
    with redis_server() as address:
        monkeypatch.setenv("SERVED_REDIS", emptied(address))
        run = load_run(lived('[online]\nstore = "redis"\nurl_env = "SERVED_REDIS"\n'))
        assert feed(run)["features"] == 47
        assert features(run.file, "user", "r1")["features"]["recommendations"] == ["b0", "b7"]
        assert feed(run)["switched"] is False


def test_a_night_feeds_what_it_has_promoted_and_a_rollback_is_served(world) -> None:
    models = WORLD.split("[[recipes]]")[0].replace("leave_one_out", "time").replace("lightgcn", "popularity")
    file = world(run=models + '[[models]]\nname = "popularity"\nrecommender = "popularity"\n' + SQLITE)
    run = load_run(file)
    for ds in ("2023-11-20", "2023-11-23"):
        for step in ("ingest", "split", "train", "recommend", "promote"):
            STEPS[step](run, ds)
        counts = STEPS["feed"](run, ds)
        assert counts["switched"] is True
    lists = features(file, "user", "r00")["features"]["recommendations"]
    assert lists == recommended(run, "2023-11-23")
    assert lists != recommended(run, "2023-11-20")
    assert STEPS["feed"](run, "2023-11-23")["switched"] is False
    assert list(STEPS).index("promote") + 1 == list(STEPS).index("feed")
    roll_back(file, 1)
    feed(run)
    assert features(file, "user", "r00")["features"]["recommendations"] == recommended(run, "2023-11-20")


def recommended(run: Run, ds: str) -> list[str]:
    lists = DeltaStore(run.lake).read("recommendations", ds).sort("rank")
    return [item for user, item in lists.select("user_id", "item_id").iter_rows() if user == "r00"]


def test_one_row_is_read_in_little_time(lived) -> None:
    """A loose bound, for a loaded machine; benchmarks.production measures it."""
    run = load_run(lived())
    feed(run)
    with_store = open_online(run)
    with_store.get("user", "r1")
    began = time.perf_counter()
    for _ in range(100):
        found = with_store.get("user", "r1")
    with_store.close()
    assert (time.perf_counter() - began) / 100 < 0.02
    assert isinstance(found["rlmrec.user/summarization@tiny"], np.ndarray)


def test_the_command_shows_and_prints(lived) -> None:
    file = lived()
    feed(load_run(file))
    shown = CliRunner().invoke(app, ["features", "user", "r1", "--run", str(file), "--json"])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("user r1: release 2 of 2026-01-02, from sqlite, ")
    assert "recommendations: b0, b7\n" in shown.stdout
    assert json.loads(shown.stdout.splitlines()[-1])["features"]["recommendations/score"] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ('[online]\nstore = "redis"\n', "either url or url_env"),
        ('[online]\nstore = "sqlite"\nurl = "redis://x"\n', "store is sqlite"),
        ('[online]\npath = "x.sqlite"\n', "store is none"),
        ('[online]\nstore = "sqlite"\ntables = ["users"]\n', "online.tables"),
        ('[online]\nstore = "redis"\nurl_env = "NOT_SET_ANYWHERE"\n', "NOT_SET_ANYWHERE is not set"),
        ('[online]\nstore = "redis"\nurl = "http://x"\n', r"online\.url"),
    ],
)
def test_a_wrong_section_is_refused_before_anything_is_paid(lived, section: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_run(load_run(lived(section)))


def test_unknown_ids_and_kinds_say_so(lived) -> None:
    file = lived()
    feed(load_run(file))
    with pytest.raises(DataError, match="user nobody: release 2 has nothing of it"):
        features(file, "user", "nobody")
    with pytest.raises(ConfigError, match="expected user or item, found users"):
        features(file, "users", "r1")
