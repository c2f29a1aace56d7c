"""`loregraph click` on a small world: what it publishes and prints, and what it refuses."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from features.store import DeltaStore
from pipelines.cli import app
from pipelines.click import table
from pipelines.job import click_night, run_night
from pipelines.steps.vectors import text_sources
from schemas.errors import ConfigError, DataError, StoreError
from schemas.run import load_run
from tests.support.small_world import READERS, books, events

DS = "2026-01-01"
RUN = """
name = "clicks"
lake = "lake"
seeds = [1, 2]
device = "cpu"
[data]
path = "data"
[split]
rule = "oldest"
history = 3
valid = 0.2
test = 0.3
[[recipes]]
name = "kar.item"
options = { noun = "book", domain = "books" }
[[recipes]]
name = "kar.user"
options = { noun = "book", domain = "books", item_columns = ["subjects"], history = "oldest" }
[gates]
coverage = 0.5
duplicates = 1.0
[quality]
near_duplicates = 1.0
largest_cluster = 1.0
[evaluation]
bootstrap = 50
[click]
attributes = { subjects = "" }
trials = 2
[click.training]
max_epochs = 2
batch_size = 64
[[click_models]]
name = "base"
model = "din"
options = { dim = 4 }
[[click_models]]
name = "kar"
model = "din"
options = { dim = 4, own = 1 }
features = { item = "kar.item/knowledge", user = "kar.user/knowledge", pca = 8 }
[[click_models]]
name = "kar.shuffled"
model = "din"
options = { dim = 4, own = 1 }
features = { item = "kar.item/knowledge", user = "kar.user/knowledge", pca = 8 }
control = "shuffled"
control_of = "kar"
[[click_models]]
name = "title"
model = "dcn_v2"
options = { dim = 4, own = 1 }
features = { item = "title" }
"""
BEFORE = ("ingest", "split", "generate", "encode", "materialize")


def write(home: Path, run: str = RUN) -> Path:
    (home / "data").mkdir(parents=True, exist_ok=True)
    books().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(events(), schema=["user_id", "item_id", "timestamp"], orient="row")
    rating = pl.Series([float(1 + (n * 7) % 5) for n in range(frame.height)])
    frame.with_columns(rating=rating).write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(run, encoding="utf-8")
    return home / "run.toml"


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A night with its click models; nobody writes into it."""
    file = write(tmp_path_factory.mktemp("clicks"))
    for step in BEFORE:
        run_night(file, step=step, ds=DS)
    return file, click_night(file, ds=DS)


def base_alone(file: Path) -> dict:
    """The click step of the model without texts, which needs no more than ingest and split; all are checked."""
    for step in ("ingest", "split"):
        run_night(file, step=step, ds=DS)
    file.write_text(file.read_text().split('[[click_models]]\nname = "kar"')[0])
    return click_night(file, ds=DS)


def lake(file: Path) -> DeltaStore:
    return DeltaStore(str(file.parent / "lake"))


def test_every_model_and_seed_is_in_the_table_with_what_the_summary_says(night):
    file, summary = night
    rows = lake(file).read("click_metrics", ds=DS)
    told = {
        (result["name"], result["seed"], part, metric): value
        for result in summary["models"]
        for part in ("valid", "test")
        for metric, value in result[part].items()
    }
    assert {row[:4]: row[4] for row in rows.select("model", "seed", "part", "metric", "value").rows()} == told
    assert {(name, seed) for name, seed, _, _ in told} == {
        (name, seed) for name in ("base", "kar", "kar.shuffled", "title") for seed in (1, 2)
    }
    assert {metric for _, _, _, metric in told} == {"auc", "log_loss", "gauc"}


def test_the_samples_are_the_later_events_of_three_groups_of_users(night):
    file, summary = night
    parts = lake(file).read("splits", ds=DS).group_by("part").agg(pl.len(), pl.col("user_id").n_unique())
    counted = {part: (rows, users) for part, rows, users in parts.rows()}
    samples = summary["samples"]
    for name, part in (("train", "reserved"), ("valid", "valid"), ("test", "test")):
        assert (samples[name]["samples"], samples[name]["users"]) == counted[part]
        assert 0 < samples[name]["clicked"] < 1
    assert sum(each["users"] for each in samples.values()) == READERS


def test_models_are_compared_with_their_base_and_their_control(night):
    _, summary = night
    pairs = [(row["name"], row["baseline"]) for row in summary["differences"] if row["metric"] == "auc"]
    assert pairs == [("kar", "base"), ("kar.shuffled", "base"), ("kar", "kar.shuffled")]  # no base of dcn_v2
    mean = {
        name: sum(each["test"]["auc"] for each in summary["models"] if each["name"] == name) / 2
        for name in ("kar", "base")
    }
    [found] = [
        row for row in summary["differences"] if (row["name"], row["baseline"], row["metric"]) == ("kar", "base", "auc")
    ]
    assert found["difference"] == pytest.approx(mean["kar"] - mean["base"])
    assert found["low"] <= found["difference"] <= found["high"]


def test_all_seeds_have_the_settings_that_were_best_on_validation(night):
    _, summary = night
    for name in ("base", "kar"):
        settings = [each["training"] for each in summary["models"] if each["name"] == name]
        assert settings[0] == settings[1]
        assert settings[0]["max_epochs"] == 2


def test_again_nothing_is_trained_and_the_same_is_found(night):
    file, summary = night
    folder = file.parent / "lake" / "_work" / "click"
    before = {each: each.stat().st_mtime_ns for each in folder.rglob("*.safetensors")}
    assert len(before) == 4 * 3  # two trials and another seed each
    again = click_night(file, ds=DS)
    assert {each: each.stat().st_mtime_ns for each in folder.rglob("*.safetensors")} == before
    assert {**again, "seconds": 0} == {**summary, "seconds": 0}


def test_the_command_prints_a_table_and_json(night):
    file, summary = night
    result = CliRunner().invoke(app, ["click", "--run", str(file), "--json"])
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if line.startswith("|")]
    assert lines == table(summary)
    assert len(lines) == 2 + 5  # kar stands beside its base and its control
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["`base`", "`kar`", "", "`kar.shuffled`", "`title`"]
    assert json.loads(result.stdout.splitlines()[-1])["models"] == summary["models"]


def test_their_texts_are_encoded(night):
    file, _ = night
    assert {(each.kind, each.source) for each in text_sources(load_run(file))} == {
        ("item", "kar.item/knowledge"),
        ("user", "kar.user/knowledge"),
        ("item", "title"),
    }


def test_the_step_that_is_missing_is_named(tmp_path):
    file = write(tmp_path)
    for step in ("ingest", "split", "materialize"):
        with pytest.raises(StoreError, match=rf"run `loregraph {step} --run .*run\.toml --ds {DS}` first"):
            click_night(file, ds=DS)
        if step != "materialize":
            run_night(file, step=step, ds=DS)


def test_models_without_texts_need_no_embeddings(tmp_path):
    assert {each["name"] for each in base_alone(write(tmp_path))["models"]} == {"base"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('rule = "oldest"', 'rule = "leave_one_out"', r'expected "oldest", found "leave_one_out"'),
        ("history = 3", "cold_items = 0.1", "remove cold_items and cold_users"),
        ('model = "din"', 'model = "dinn"', "did you mean din"),
        ("options = { dim = 4 }", "options = { dimm = 4 }", "did you mean dim"),
        ('item = "kar.item/knowledge"', 'item = "kar.itm/knowledge"', r"click_models\.kar\.features\.item.*kar\.item"),
        ('control_of = "kar"', 'control_of = "karr"', "did you mean kar"),
        ('name = "title"', 'name = "kar"', "two models are called kar"),
        ("[click.training]", "[click.training]\nrate = 1.0", "click.training: rate: unknown"),
        ('name = "base"', 'name = "base"\ntraining = { learning_rat = 1.0 }', "did you mean learning_rate"),
        ("attributes = { subjects", "attributes = { subject", "did you mean subjects"),
    ],
)
def test_what_is_wrong_with_a_run_file_is_said(tmp_path, old, new, said):
    file = write(tmp_path, RUN.replace(old, new))
    with pytest.raises(ConfigError, match=said):
        base_alone(file)


def test_a_threshold_that_nothing_passes_says_what_to_change(tmp_path):
    file = write(tmp_path, RUN.replace("[click]", "[click]\nthreshold = 5.0"))
    with pytest.raises(
        DataError, match=r"reserved: expected clicks and non-clicks, found 0 clicks .* click\.threshold"
    ):
        base_alone(file)


def test_a_run_without_click_models_has_nothing_to_do(tmp_path):
    file = write(tmp_path, RUN.split("[[click_models]]")[0])
    with pytest.raises(ConfigError, match="expected at least one, found none"):
        click_night(file, ds=DS)
