"""Promotion: a night goes live whole or not at all, the live model is not replaced by a worse one, and back again."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from evaluation.intervals import Interval
from evaluation.recommendations import Recommendations
from features.corpus import make_corpus
from features.feature_store import FeatureStore
from features.releases import Releases
from features.store import DeltaStore
from pipelines import steps
from pipelines.champion import Carried
from pipelines.cli import app
from pipelines.fitted import VALID
from pipelines.lookup import top
from pipelines.night import open_night
from pipelines.promoting import listed, roll_back
from pipelines.steps.promotion import check_promoted, passes
from schemas.errors import GateError, StoreError
from schemas.run import load_run
from schemas.sections import Promotion
from tests.support.small_world import RUN as WORLD
from tests.support.small_world import books, events

NIGHTS = ("2023-11-20", "2023-11-21", "2023-11-22")  # 38 readers read a book a day, 2023-11-14 to 2023-11-23
RUN = (
    WORLD.split("[[recipes]]")[0].replace('rule = "leave_one_out"', 'rule = "time"').replace("lightgcn", "gf_cf")
    + '[evaluation]\nbootstrap = 200\n[[models]]\nname = "gf_cf"\nrecommender = "gf_cf"\n'
    + '[[models]]\nname = "popularity"\nrecommender = "popularity"\n'
)
WORSE = RUN + '[recommend]\nmodel = "popularity"\n'  # two communities: what is popular is worse by far


def split(file: Path, ds: str) -> None:
    for name in ("ingest", "split"):
        steps.STEPS[name](load_run(file), ds)


def live(file: Path, ds: str, text: str | None = None) -> dict:
    """Train and promote a night that is split, under other settings where a text is given."""
    if text is not None:
        file.write_text(text)
    run = load_run(file)
    for name in ("train", "recommend"):
        steps.STEPS[name](run, ds)
    return steps.promote(run, ds)


def store_of(file: Path) -> DeltaStore:
    return DeltaStore(str(file.parent / "lake"))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three nights up to their splits, and the first one live."""
    home = tmp_path_factory.mktemp("lived")
    (home / "data").mkdir()
    books().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(events(), schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(RUN, encoding="utf-8")
    for ds in NIGHTS:
        split(home / "run.toml", ds)
    assert live(home / "run.toml", NIGHTS[0])["outcome"] == "promoted"
    return home


@pytest.fixture
def first(lived: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(lived, tmp_path / "world")
    return tmp_path / "world" / "run.toml"


def test_the_first_night_goes_live_with_every_table_and_its_model(first) -> None:
    release, store = Releases(store_of(first)).live(), store_of(first)
    assert (release.number, release.ds, release.model, release.seed) == (1, NIGHTS[0], "gf_cf", 1)
    assert release.tables == {name: store.version(name) for name in store.names() if name != "releases"}
    assert {"users", "items", "interactions", "splits", "recommendations", "lineage"} <= set(release.tables)
    assert release.reason == "the first release"
    folder = first.parent / "lake" / "_work" / str(release.folder)
    assert (folder / "recommender.json").is_file()
    assert pl.read_parquet(folder / VALID).height > 10


def test_the_same_night_again_changes_no_table(first) -> None:
    store = store_of(first)
    before = {name: store.version(name) for name in store.names()}
    again = live(first, NIGHTS[0])
    assert (again["outcome"], again["number"], again["promoted"]) == ("unchanged", 1, True)
    assert {name: store.version(name) for name in store.names()} == before


def test_the_next_night_is_judged_against_the_live_weights(first) -> None:
    told = live(first, NIGHTS[1])
    assert (told["outcome"], told["number"]) == ("promoted", 2)
    assert told["against"] == f"gf_cf of {NIGHTS[0]}, as it serves"
    assert told["why"] is None
    found = told["interval"]
    folder = first.parent / "lake" / "_work" / str(Releases(store_of(first)).live().folder)
    assert found["users"] == pl.read_parquet(folder / VALID).height > 25
    assert found["low"] <= found["difference"] <= found["high"]
    assert f"{found['difference']:+.4f}" in Releases(store_of(first)).live().reason


def test_a_model_that_loses_leaves_the_night_before_live(first) -> None:
    told = live(first, NIGHTS[1], WORSE)
    assert (told["outcome"], told["promoted"], told["number"], told["live"]) == ("refused", False, 1, NIGHTS[0])
    assert told["interval"]["high"] < 0
    assert "release 1 stays live" in told["reason"]
    with pytest.raises(GateError, match="rule not_worse, margin 0, against gf_cf"):
        check_promoted(told)
    snapshot = FeatureStore(store_of(first)).latest()
    assert snapshot.read("recommendations")["model"].unique().to_list() == ["gf_cf"]
    assert store_of(first).read("recommendations", NIGHTS[1])["model"].unique().to_list() == ["popularity"]
    assert live(first, NIGHTS[1])["outcome"] == "refused", "again, and still"
    assert live(first, NIGHTS[1], WORSE + "[promotion]\nmargin = 1.0\n")["outcome"] == "promoted"


def test_always_asks_nobody_and_better_needs_proof(first) -> None:
    assert live(first, NIGHTS[1], RUN + '[promotion]\nrule = "better"\nmargin = 0.9\n')["outcome"] == "refused"
    told = live(first, NIGHTS[1], WORSE + '[promotion]\nrule = "always"\n')
    assert (told["outcome"], told["reason"]) == ("promoted", "rule always")


@pytest.mark.parametrize(
    ("low", "high", "passing"),
    [
        (-0.03, -0.02, []),
        (-0.03, -0.005, ["not_worse"]),
        (-0.005, 0.002, ["not_worse", "non_inferior"]),
        (0.001, 0.02, ["not_worse", "non_inferior"]),
        (0.011, 0.02, ["not_worse", "non_inferior", "better"]),
    ],
)
def test_the_rules_are_about_what_the_interval_makes_sure(low: float, high: float, passing: list[str]) -> None:
    interval = Interval((low + high) / 2, low, high, 0.5, None, None, None, 100)
    rules = [
        rule for rule in ("not_worse", "non_inferior", "better") if passes(interval, Promotion(rule=rule, margin=0.01))
    ]
    assert rules == passing
    assert passes(interval, Promotion(rule="always"))


def test_weights_that_know_what_tonight_holds_out_are_not_judged(first) -> None:
    store, ds = store_of(first), NIGHTS[1]
    run = load_run(first)
    splits, old = store.read("splits", ds), store.read("splits", NIGHTS[0])
    learned = old.filter(pl.col("part") == "train").sort("order").tail(20).select("user_id", "item_id")
    held = learned.with_columns(now=pl.lit("valid"))
    moved = splits.join(held, on=["user_id", "item_id"], how="left", maintain_order="left")
    store.overwrite("splits", moved.with_columns(part=pl.coalesce("now", "part"), split_id=pl.lit("x")).drop("now"), ds)
    for name in ("train", "recommend"):
        steps.STEPS[name](run, ds)
    told = steps.promote(run, ds)
    assert told["against"] == f"gf_cf, fitted tonight, in place of that of {NIGHTS[0]}: the very model"
    assert "pairs that tonight's must not" in told["why"]
    assert (told["outcome"], told["interval"]) == ("promoted", None)


def test_the_model_of_the_same_name_stands_for_weights_that_are_gone(first) -> None:
    folder = first.parent / "lake" / "_work" / str(Releases(store_of(first)).live().folder)
    shutil.rmtree(folder)
    told = live(first, NIGHTS[1], WORSE)
    assert told["against"] == f"gf_cf, fitted tonight, in place of that of {NIGHTS[0]}"
    assert told["outcome"] == "refused"
    only = WORSE.replace('[[models]]\nname = "gf_cf"\nrecommender = "gf_cf"\n', "").replace('"gf_cf"', '"popularity"')
    told = live(first, NIGHTS[1], only)
    assert (told["outcome"], told["interval"]) == ("promoted", None)
    assert "tonight has no model of that name" in told["reason"]


def test_an_earlier_night_and_what_was_rolled_back_do_not_go_live_by_themselves(first) -> None:
    live(first, NIGHTS[2])
    told = live(first, NIGHTS[1])
    assert (told["outcome"], told["number"]) == ("kept", 2)
    assert f"{NIGHTS[2]} is live" in told["reason"]
    roll_back(first, 1)
    told = live(first, NIGHTS[2])
    assert (told["outcome"], told["live"]) == ("kept", NIGHTS[0])
    assert "`loregraph promote --to 2` brings it back" in told["reason"]
    assert len(Releases(store_of(first)).all()) == 3


def test_a_rollback_brings_model_and_tables_back_together(first) -> None:
    before = top(first, "r05")
    live(first, NIGHTS[1], WORSE + '[promotion]\nrule = "always"\n')
    assert top(first, "r05")["model"] == "popularity"
    done = roll_back(first, 1, "popularity again")
    assert (done["outcome"], done["number"], done["restores"], done["ds"]) == ("promoted", 3, 1, NIGHTS[0])
    releases = Releases(store_of(first)).all()
    assert releases[2].tables == releases[0].tables
    assert releases[2].live_model == releases[0].live_model
    assert top(first, "r05") == before
    assert roll_back(first, 1)["outcome"] == "unchanged"
    assert [each["live"] for each in listed(first)["releases"]] == [False, False, True]


def test_a_rollback_to_what_is_no_longer_there_is_refused(first) -> None:
    live(first, NIGHTS[1])
    folder = first.parent / "lake" / "_work" / str(Releases(store_of(first)).number(1).folder)
    folder.rename(folder.with_name("away"))
    with pytest.raises(StoreError, match="its model is no longer there"):
        roll_back(first, 1)
    folder.with_name("away").rename(folder)
    shutil.rmtree(first.parent / "lake" / "recommendations" / f"ds={NIGHTS[0]}")
    with pytest.raises(StoreError, match="table recommendations: cannot be read"):
        roll_back(first, 1)
    with pytest.raises(StoreError, match=r"release 7 is not there .there are 2"):
        roll_back(first, 7)
    assert Releases(store_of(first)).live().number == 2


def test_nothing_is_released_before_all_steps_have_passed(first) -> None:
    run = load_run(first)
    steps.train(run, NIGHTS[1])
    with pytest.raises(StoreError, match=r"recommendations has nothing of .* run `loregraph recommend"):
        steps.promote(run, NIGHTS[1])
    steps.recommend(run, NIGHTS[1])
    night = open_night(run, NIGHTS[1])
    night.record("gate-embeddings", {"table": "embeddings", "success": False, "results": []})
    with pytest.raises(GateError, match="the gate of embeddings failed"):
        steps.promote(run, NIGHTS[1])
    assert Releases(store_of(first)).live().number == 1


def test_lists_of_another_model_are_not_released_as_this_one(first) -> None:
    first.write_text(WORSE)
    with pytest.raises(
        StoreError, match=r"validation chose popularity, seed 1, .* by gf_cf, seed 1; run `loregraph rec"
    ):
        steps.promote(load_run(first), NIGHTS[0])


def test_the_command_writes_the_report_and_then_ends_with_3(first) -> None:
    runner = CliRunner()
    first.write_text(WORSE)
    done = runner.invoke(app, ["night", "--run", str(first), "--ds", NIGHTS[1], "--json"])
    assert isinstance(done.exception, GateError)
    assert done.exception.exit_code == 3
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["release"]["outcome"] == "refused"
    report = json.loads(Path(summary["report"]).with_suffix(".json").read_text())
    assert report["release"]["interval"]["high"] < 0
    page = Path(summary["report"]).read_text()
    assert "its model lost against the live one; the live release is 1" in page

    shown = runner.invoke(app, ["releases", "--run", str(first), "--json"])
    assert shown.stdout.startswith("*    1  2023-11-20")
    assert json.loads(shown.stdout.splitlines()[-1])["releases"][0]["live"]
    back = runner.invoke(app, ["promote", "--run", str(first), "--to", "1", "--reason", "x", "--json"])
    assert "release 1 is live: 2023-11-20, gf_cf" in back.stdout
    assert json.loads(back.stdout.splitlines()[-1])["outcome"] == "unchanged"
    for wrong in (["--to", "1", "--ds", NIGHTS[0]], ["--reason", "x"]):
        assert "promote --" in str(runner.invoke(app, ["promote", "--run", str(first), *wrong]).exception)


def test_a_run_without_models_releases_its_tables(world) -> None:
    file = world(run=RUN.split("[[models]]")[0])
    run = load_run(file)
    for name in ("ingest", "split", "promote"):
        counts = steps.STEPS[name](run, NIGHTS[0])
    assert (counts["outcome"], counts["model"]) == ("promoted", None)
    assert FeatureStore(store_of(file)).latest().read("items").height == 40
    assert roll_back(file, 1)["outcome"] == "unchanged"


class Listed:
    """A model of an earlier night that ranks its items by row, under the mask."""

    def recommend(self, users, k, seen):
        left = [[item for item in range(seen.shape[1]) if not seen[user, item]][:k] for user in users]
        item = np.array([row + [-1] * (k - len(row)) for row in left])
        return Recommendations(users, item, -item.astype(np.float32))


def test_ids_are_carried_over_and_tonights_mask_holds() -> None:
    rows = [("u2", "b"), ("u2", "d"), ("u3", "a"), ("u1", "d")]
    splits = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").with_row_index("order")
    splits = splits.with_columns(
        time=pl.col("order").cast(pl.Int64), weight=pl.lit(1.0), part=pl.lit("train"), split_id=pl.lit("s")
    )
    users, items = (pl.DataFrame({"id": ids}) for ids in (["u1", "u2", "u3"], ["a", "b", "c", "d"]))
    corpus = make_corpus(users, items, splits)
    old = pl.Series(["u0", "u2", "u3"]), pl.Series(["a", "b", "gone", "z_gone", "zz"]).replace("zz", "c").sort()
    carried = Carried(Listed(), old, corpus)
    found = carried.recommend(np.array([1, 2]), 3, corpus.train.by_user)
    names = [[items["id"][row] if row >= 0 else None for row in line] for line in found.item.tolist()]
    assert names == [["a", "c", None], ["b", "c", None]]  # never what is gone, what is masked, or d, which is new
    assert found.user.tolist() == [1, 2]
    with pytest.raises(StoreError, match="a user that its night did not have"):
        carried.recommend(np.array([0]), 3, corpus.train.by_user)


def test_new_users_are_no_proof_for_either(first) -> None:
    late = [
        (f"late{n}", f"b{day:02}", 1_700_000_000 + 86_400 * 5 + n + 60 * day) for n in range(5) for day in range(20)
    ]
    more = pl.DataFrame([*events(), *late], schema=["user_id", "item_id", "timestamp"], orient="row")
    more.write_csv(first.parent / "data" / "interactions.csv")
    ds = "2023-11-24"
    split(first, ds)
    late_rows = pl.DataFrame({"user_id": [f"late{n}" for n in range(5)]})
    store = store_of(first)
    splits = store.read("splits", ds)  # each newcomer has one of his events in validation
    last = (
        splits.join(late_rows, on="user_id", how="semi")
        .group_by("user_id")
        .agg(pl.col("order").max())
        .get_column("order")
    )
    parts = pl.when(pl.col("order").is_in(last.to_list())).then(pl.lit("valid")).otherwise("part").alias("part")
    store.overwrite("splits", splits.with_columns(parts), ds)
    told = live(first, ds)
    assert told["against"].endswith("as it serves"), told
    folder = first.parent / "lake" / "_work" / str(Releases(store).live().folder)
    judged = pl.read_parquet(folder / VALID)["user_id"]
    assert judged.str.starts_with("late").sum() == 5
    assert told["interval"]["users"] == len(judged) - 5
