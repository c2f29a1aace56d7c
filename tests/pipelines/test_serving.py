"""What a night serves: lists and neighbours in blocks, an index that is measured, and the commands that ask a model."""

import json
import re
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from features.store import DeltaStore
from pipelines import serving
from pipelines.cli import app
from pipelines.job import run_night
from pipelines.lookup import neighbours_of, top
from recommenders import load_recommender
from recommenders.index import load_index, recommend_by
from schemas.errors import ConfigError, DataError, StoreError
from tests.support.small_world import BOOKS, READERS, RUN

DS, K = "2026-01-01", 7
WITHOUT_TEXT = RUN.split("[[recipes]]")[0] + "[training]\nmax_epochs = 2\nevaluate_every = 2\nbatch_size = 256\n"
MODELS = """
[[models]]
name = "popularity"
recommender = "popularity"
[[models]]
name = "lightgcn"
backbone = { name = "lightgcn", options = { dim = 8 } }
[[models]]
name = "gf_cf"
recommender = "gf_cf"
"""
PUBLISHED = f'[recommend]\nk = {K}\nmodel = "lightgcn"\nneighbours = 4\nindex = "usearch"\nrecall_users = 30\n'
SERVED = WITHOUT_TEXT + MODELS + PUBLISHED


def night(file: Path, *steps: str) -> dict:
    for step in steps or ("ingest", "split", "train", "recommend"):
        run_night(file, step=step, ds=DS)
    return json.loads((file.parent / "lake" / "_work" / "nights" / DS / "steps" / "recommend.json").read_text())


@pytest.fixture
def lived(world) -> tuple[Path, dict, DeltaStore]:
    file = world(run=SERVED)
    return file, night(file), DeltaStore(str(file.parent / "lake"))


def test_lists_neighbours_and_index_are_published_once(lived) -> None:
    file, counts, lake = lived
    lists, near = lake.read("recommendations", DS), lake.read("neighbours", DS)
    assert counts["rows"] == lists.height == READERS * K
    assert lists.group_by("user_id").agg(pl.col("rank").sort())["rank"].unique().to_list() == [[*range(1, K + 1)]]
    assert counts["neighbours"]["items"] == BOOKS
    assert counts["neighbours"]["rows"] == near.height <= BOOKS * 4
    assert near.filter(pl.col("item_id") == pl.col("neighbour_id")).is_empty()
    assert near["model"].unique().to_list() == ["lightgcn"]
    assert near.select("model", "item_id", "rank").is_unique().all()
    told = lake.read("lineage", DS).filter(pl.col("table").is_in(["recommendations", "neighbours"]))
    assert "model:lightgcn/1" in told["source"].to_list()
    index = counts["index"]
    assert (index["recall"], index["k"], index["users"], index["items"]) == (1.0, K, 30, BOOKS)

    versions = {name: lake.version(name) for name in lake.names()}
    built = (Path(index["folder"]) / "items.usearch").stat().st_mtime_ns
    again = night(file, "recommend")
    assert {name: lake.version(name) for name in lake.names()} == versions
    assert (Path(index["folder"]) / "items.usearch").stat().st_mtime_ns == built
    assert again["index"] == index


def test_the_index_beside_the_model_gives_the_published_lists(lived) -> None:
    _, counts, lake = lived
    folder = Path(counts["index"]["folder"])
    about = json.loads((folder / "index.json").read_text())
    recall = about["figures"]["recall"]
    assert recall >= 0.95  # threads build the graph, so a rare neighbour is missed now and then
    model = load_recommender(folder.parent)
    found = recommend_by(load_index(folder, model), model, np.arange(READERS), K)
    ids = pl.read_parquet(folder / "items.parquet")["id"]
    lists = lake.read("recommendations", DS).sort("user_id", "rank")
    pairs = zip(np.repeat(np.arange(READERS), K).tolist(), ids.gather(found.item.ravel()).to_list(), strict=True)
    published = zip(np.repeat(np.arange(READERS), K).tolist(), lists["item_id"].to_list(), strict=True)
    assert len(set(pairs) & set(published)) >= recall * READERS * K - 1


def test_other_settings_build_another_index(lived) -> None:
    file, counts, _ = lived
    file.write_text(SERVED.replace("recall_users = 30", "recall_users = 30\nconnectivity = 4"))
    night(file, "recommend")
    about = json.loads((Path(counts["index"]["folder"]) / "index.json").read_text())
    assert about["build"]["connectivity"] == 4


def test_blocks_give_the_rows_of_one_frame(lived, monkeypatch) -> None:
    file, counts, lake = lived
    sizes = list[int]()
    whole = serving._frame
    monkeypatch.setattr(serving, "ROWS_AT_ONCE", 3 * K)
    monkeypatch.setattr(serving, "_frame", lambda *of: sizes.append(len(of[0].user)) or whole(*of))
    again = night(file, "recommend")
    assert max(sizes) == 5, "21 rows are three users or five items"
    assert sum(sizes) == READERS + BOOKS
    assert again["rows"] == counts["rows"]
    assert again["neighbours"]["rows"] == counts["neighbours"]["rows"]
    for table, keys in (("recommendations", ["user_id", "rank"]), ("neighbours", ["item_id", "rank"])):
        first, now = (lake.read(table, DS, version=version).sort(keys) for version in (0, lake.version(table)))
        assert now.drop("score").equals(first.drop("score"))
        assert now["score"].to_list() == pytest.approx(first["score"].to_list(), abs=1e-6), "but for rounding"


def test_a_model_that_fails_midway_leaves_the_lists_before(lived, monkeypatch) -> None:
    file, _, lake = lived
    before, whole = lake.read("recommendations", DS), serving._frame
    monkeypatch.setattr(serving, "ROWS_AT_ONCE", 3 * K)

    def failing(found, *rest):
        if found.user[0] > 9:
            raise DataError("scores: expected numbers, found NaN")
        return whole(found, *rest).with_columns(score=9.0)

    monkeypatch.setattr(serving, "_frame", failing)
    with pytest.raises(DataError, match="found NaN"):
        run_night(file, step="recommend", ds=DS)
    assert lake.version("recommendations") == 0
    assert lake.read("recommendations", DS).equals(before)


def test_a_kernel_has_neighbours_too(world) -> None:
    own = SERVED.replace('model = "lightgcn"', 'model = "gf_cf"').replace('index = "usearch"\n', "")
    counts = night(world(run=own))
    assert counts["model"] == "gf_cf"
    assert counts["neighbours"]["rows"] > 100
    assert "index" not in counts


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('model = "lightgcn"', 'model = "gf_cf"', "recommend.index: gf_cf: gf_cf has no item vectors"),
        ('model = "lightgcn"', 'model = "popularity"', "recommend.neighbours: popularity: popularity has neither"),
        ('model = "lightgcn"\n', "", "recommend.neighbours: popularity: .* name another model with recommend.model"),
        ('"usearch"', '"faiss"', "recommend.index"),
        ("neighbours = 4", "neighbors = 4", "did you mean neighbours"),
    ],
)
def test_what_no_chosen_model_could_give_is_refused_first(world, old: str, new: str, said: str) -> None:
    file = world(run=SERVED.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        run_night(file, ds=DS)
    assert not (file.parent / "lake").exists()


def test_without_usearch_the_run_is_refused_first(world, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "usearch", None)
    with pytest.raises(
        ConfigError, match=r"recommend\.index: usearch is not installed; run `pip install 'loregraph\[ann"
    ):
        run_night(world(run=SERVED), ds=DS)


def test_top_and_neighbours_say_what_is_published(lived) -> None:
    file, _, lake = lived
    lists, near = lake.read("recommendations", DS), lake.read("neighbours", DS)
    mine = lists.filter(pl.col("user_id") == "r05").sort("rank")
    found = top(file, "r05", k=K)
    assert [item["id"] for item in found["items"]] == mine["item_id"].to_list()
    assert [item["score"] for item in found["items"]] == pytest.approx(mine["score"].to_list())
    assert all(re.match(r"The (Crypt|Voyage) of Number \d+", item["title"]) for item in found["items"])
    beside = neighbours_of(file, "b04", k=4)
    expected = near.filter(pl.col("item_id") == "b04").sort("rank")["neighbour_id"].to_list()
    assert [item["id"] for item in beside["items"]] == expected
    assert beside["title"] == "The Crypt of Number 4"
    assert neighbours_of(file, "b04", model="gf_cf")["model"] == "gf_cf"


@pytest.mark.parametrize(
    ("ask", "error", "said"),
    [
        (lambda file: top(file, "r0"), DataError, r"top: user r0: not in table users of 2026-01-01 \(nearest: r0"),
        (
            lambda file: neighbours_of(file, "b4"),
            DataError,
            r"neighbours: item b4: not in table items .*nearest: .*b04",
        ),
        (lambda file: top(file, "r05", model="lightgnc"), ConfigError, "did you mean lightgcn"),
        (lambda file: neighbours_of(file, "b04", model="popularity"), ConfigError, "name another with --model"),
        (lambda file: top(file, "r05", ds="2026-01-02"), StoreError, "run `loregraph night"),
    ],
)
def test_errors_of_the_commands_say_what_to_do(lived, ask, error, said: str) -> None:
    with pytest.raises(error, match=said):
        ask(lived[0])


def test_the_commands_print_a_line_per_item_and_json_last(lived) -> None:
    for command in (["top", "r05"], ["neighbours", "b04"]):
        done = CliRunner().invoke(app, [*command, "--run", str(lived[0]), "--k", "3", "--json"])
        assert done.exit_code == 0, done.output
        *lines, last = done.stdout.splitlines()
        found = json.loads(last)
        assert len(found["items"]) == len(lines) - 1 == 3
        assert command[1] in lines[0]
        assert all(item["title"] in line for item, line in zip(found["items"], lines[1:], strict=True))
