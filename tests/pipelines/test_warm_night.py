"""Night after night: a model starts from the one of the night before, where that is honest, and says where it did."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from features.store import DeltaStore
from graph_models.curve import Epoch
from pipelines import fitted as fitting
from pipelines import steps
from pipelines.fitted import Fitted, read_fitted
from pipelines.night import open_night
from pipelines.predecessor import why_held_out
from recommenders import make_recommender
from schemas.run import Run, load_run
from tests.support.small_world import READERS, books, events

RUN = """
name = "mini"
lake = "lake"
baseline = "lightgcn"
seeds = [1]
[data]
path = "data"
[split]
rule = "time"
[gates]
duplicates = 1.0
[training]
warm_start = true
max_epochs = 40
evaluate_every = 2
patience = 4
batch_size = 64
learning_rate = 0.01
[evaluation]
bootstrap = 50
[[models]]
name = "popularity"
recommender = "popularity"
[[models]]
name = "lightgcn"
backbone = { name = "lightgcn", options = { dim = 8 } }
"""
TITLED = """
[[models]]
name = "titled"
backbone = { name = "lightgcn", options = { dim = 8 } }
objectives = [{ name = "rlmrec_con", weight = 0.1 }]
features = { item = "title" }
"""
NIGHTS = ("2023-11-20", "2023-11-21", "2023-11-22")  # 38 readers read a book a day, 2023-11-14 to 2023-11-23
NEXT = "2023-11-23"


def through(run: Run, ds: str) -> list[Fitted]:
    """Run a night up to its models, and read them."""
    before(run, ds)
    steps.train(run, ds)
    return fitted(run, ds)


def before(run: Run, ds: str) -> None:
    """All that comes before training; texts are encoded where a model reads any."""
    for name in ("ingest", "split", *(("encode", "materialize") if len(run.models) > 2 else ())):
        steps.STEPS[name](run, ds)


def fitted(run: Run, ds: str) -> list[Fitted]:
    night = open_night(run, ds)
    return [read_fitted(night, model, run.seeds[0], night.corpus()) for model in run.models]


def reached(model: Fitted, goal: float) -> float:
    """The first validated epoch that is as good."""
    return next(point["epoch"] for point in model.history if point["valid"] >= goal)


def write(home: Path, rows: list[tuple[str, str, int]], run: str) -> None:
    """Data and run file."""
    (home / "data").mkdir()
    books().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(run, encoding="utf-8")


def told(model: Fitted) -> dict:
    return model.report["warm_start"]


@pytest.fixture(scope="module")
def three_nights(tmp_path_factory) -> Path:
    """The folder of three nights with a model that reads titles."""
    home = tmp_path_factory.mktemp("nights")
    write(home, events(), RUN + TITLED)
    for ds in NIGHTS:
        through(load_run(home / "run.toml"), ds)
    return home


@pytest.fixture
def nights(three_nights, tmp_path) -> tuple[Run, dict[str, list[Fitted]]]:
    """A copy of them, to go on from."""
    run = load_run(shutil.copytree(three_nights, tmp_path / "copy") / "run.toml")
    return run, {ds: fitted(run, ds) for ds in NIGHTS}


def test_each_night_starts_from_the_one_before_and_its_hash_says_so(nights, world) -> None:
    _, found = nights
    first, second, third = ({each.name: each for each in found[ds]} for ds in NIGHTS)
    for name in ("lightgcn", "titled"):
        assert told(first[name]) == {"from": "scratch", "why": "no earlier night has this model with these settings"}
        assert (told(second[name])["from"], told(second[name])["config_hash"]) == (NIGHTS[0], first[name].config_hash)
        assert (told(third[name])["from"], told(third[name])["config_hash"]) == (NIGHTS[1], second[name].config_hash)
        assert told(second[name])["nodes_kept"] >= READERS + 36
        assert second[name].history[0].keys() == {"epoch", "valid"}
        assert second[name].history[0]["epoch"] == 0
    assert all("warm_start" not in each.report for each in (first["popularity"], second["popularity"]))
    cold = load_run(world(run=(RUN + TITLED).replace("warm_start = true", "warm_start = false")))
    through(cold, NIGHTS[0])
    scratch = {each.name: each for each in through(cold, NIGHTS[1])}
    assert scratch["lightgcn"].config_hash != second["lightgcn"].config_hash
    assert scratch["popularity"].config_hash == second["popularity"].config_hash
    assert {each.name: each.config_hash for each in fitted(cold, NIGHTS[0])} == {
        name: each.config_hash for name, each in first.items()
    }
    assert told(second["lightgcn"]).keys() == {
        "from",
        "config_hash",
        "nodes_kept",
        "new_from_text",
        "new_from_neighbours",
        "fresh",
        "parameters_fresh",
    }
    for name in ("lightgcn", "titled"):
        goal = scratch[name].valid["recall@20"] - 0.05
        assert second[name].valid["recall@20"] >= goal
        assert reached(second[name], goal) < reached(scratch[name], goal)


def test_the_same_night_again_finds_its_models(nights) -> None:
    run, found = nights
    for ds in reversed(NIGHTS):
        again = steps.train(run, ds)
        assert (again["fitted"], again["reused"]) == (0, 3)
        assert [each.config_hash for each in fitted(run, ds)] == [each.config_hash for each in found[ds]]


def test_a_night_without_news_keeps_the_model_and_its_start(nights) -> None:
    run, _ = nights
    quiet = through(run, "2024-02-01")  # the last of ten days was 2023-11-23
    assert told(quiet[1])["from"] == NIGHTS[-1]
    again = through(run, "2024-02-02")
    assert [each.config_hash for each in again] == [each.config_hash for each in quiet]
    assert steps.train(run, "2024-02-02")["reused"] == 3


def test_a_backfilled_night_changes_the_next_hash(nights) -> None:
    run, found = nights
    run.file.write_text((RUN + TITLED).replace("learning_rate = 0.01", "learning_rate = 0.02"))
    steps.train(load_run(run.file), NIGHTS[0])
    changed = steps.train(run, NIGHTS[1])
    assert (changed["fitted"], changed["reused"]) == (2, 1)
    after = fitted(run, NIGHTS[1])
    assert told(after[1])["config_hash"] != found[NIGHTS[0]][1].config_hash
    assert after[1].config_hash != found[NIGHTS[1]][1].config_hash


def test_later_nights_are_not_looked_at(world) -> None:
    run = load_run(world(run=RUN))
    through(run, NIGHTS[2])
    assert told(through(run, NIGHTS[0])[1])["from"] == "scratch"
    assert told(through(run, NIGHTS[1])[1])["from"] == NIGHTS[0]


@pytest.mark.parametrize(
    "change",
    [
        ("dim = 8", "dim = 12"),
        ("weight = 0.1", "weight = 0.2"),
        ('item = "title"', 'item = "subjects"'),
        ('item = "title" }', 'item = "title" }\ncontrol = "shuffled"'),
        ("seeds = [1]", "seeds = [2]"),
        ("[gates]", '[encoder]\nprefix = "book: "\n[gates]'),
    ],
    ids=["dimension", "weight", "text", "control", "seed", "encoder"],
)
def test_another_model_of_the_same_name_is_no_start(nights, change) -> None:
    run, _ = nights
    assert change[0] in RUN + TITLED
    run.file.write_text((RUN + TITLED).replace(*change))
    titled = through(load_run(run.file), NEXT)[2]
    assert told(titled) == {"from": "scratch", "why": "no earlier night has this model with these settings"}


def refused(world: Callable[..., Path], rows: list, later: list, rule: str = "time") -> tuple[dict, Run]:
    """What is told on the second night, on which the source has these rows."""
    text = RUN.replace('rule = "time"', f'rule = "{rule}"')
    run = load_run(world(rows, text))
    through(run, NIGHTS[0])
    world(later, text)
    return told(through(run, NIGHTS[1])[1]), run


def test_what_learned_from_tonights_held_out_pairs_is_no_start(world, capsys) -> None:
    """Events that come late move the cuts back: rows that were train are valid now."""
    early = [(f"late{n}", f"b{book:02}", 1_699_000_000 + n) for n in range(10) for book in range(40)]
    found, run = refused(world, events(), [*events(), *early])
    assert found["from"] == "scratch"
    why = found["why"]
    assert why.startswith(f"the model of {NIGHTS[0]} knows ")
    assert f"train: lightgcn, seed 1: from scratch: {why}" in capsys.readouterr().err
    lake = DeltaStore(run.lake)
    one, two = (lake.read("splits", ds=ds).select("user_id", "item_id", "part") for ds in NIGHTS[:2])
    learned = one.filter(pl.col("part") == "train")
    held_out = learned.join(two.filter(pl.col("part") == "valid"), on=["user_id", "item_id"], how="semi").height
    assert held_out >= 2
    assert f"{held_out} valid)" in why


def test_shares_drawn_anew_hand_train_pairs_to_the_held_out_parts_and_refuse(world) -> None:
    found, _ = refused(world, events(), events(), rule="ratio")
    assert found["from"] == "scratch"
    assert "pairs that tonight's must not (" in found["why"]


def test_leaving_the_last_one_out_goes_on(world) -> None:
    found, _ = refused(world, events(), events(), rule="leave_one_out")
    assert found["from"] == NIGHTS[0]


def test_a_withdrawn_pair_is_unlearned(world) -> None:
    found, _ = refused(world, events(), events()[1:])
    assert (found["from"], "(1 gone)" in found["why"]) == ("scratch", True)


def test_a_pair_that_the_model_was_chosen_on_may_not_be_tested(tmp_path) -> None:
    lake = DeltaStore(str(tmp_path))
    parts = {"one": ["train", "valid", "test"], "two": ["train", "test", "test"], "three": ["train", "train", "valid"]}
    for day, (name, part) in enumerate(parts.items(), start=1):
        rows = {"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "part": part, "split_id": [name] * 3}
        lake.overwrite("splits", pl.DataFrame(rows), f"2026-01-0{day}")
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert "knows 1 pairs that tonight's must not (1 test)" in str(why_held_out(lake, days[0], "one", days[1], "two"))
    assert why_held_out(lake, days[0], "one", days[2], "three") is None
    assert "has changed since" in str(why_held_out(lake, days[0], "other", days[2], "three"))
    assert "no longer in the lake" in str(why_held_out(lake, "2025-01-01", "old", days[2], "three"))


def test_a_killed_warm_night_goes_on_with_the_same_curve(nights, monkeypatch) -> None:
    run, _ = nights
    whole = through(load_run(shutil.copytree(run.file.parent, run.file.parents[1] / "whole") / "run.toml"), NEXT)[1]
    before(run, NEXT)
    heard: list[int] = []

    def killed(model, run, seed, folder, progress):
        del progress
        return make_recommender(model, run, seed, folder, stop)

    def stop(epoch: Epoch) -> None:
        heard.append(epoch.epoch)
        if epoch.epoch == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fitting, "make_recommender", killed)
        with pytest.raises(KeyboardInterrupt):
            steps.train(run, NEXT, model="lightgcn")
    assert heard == [0, 1, 2, 3]
    steps.train(run, NEXT)
    resumed = fitted(run, NEXT)[1]
    assert resumed.history == whole.history
    assert resumed.config_hash == whole.config_hash
    assert resumed.valid == whole.valid


def test_the_night_remembers_its_models_and_the_report_shows_the_figures(nights) -> None:
    run, found = nights
    kept = json.loads((open_night(run, NIGHTS[1]).folder / "models" / "lightgcn--1.json").read_text())
    assert (kept["start_ds"], kept["config_hash"]) == (NIGHTS[0], found[NIGHTS[1]][1].config_hash)
    evaluated = steps.evaluate(run, NIGHTS[1])
    shown = {each["name"]: each["report"]["warm_start"]["from"] for each in evaluated["results"][1:]}
    assert shown == {"lightgcn": NIGHTS[0], "titled": NIGHTS[0]}
