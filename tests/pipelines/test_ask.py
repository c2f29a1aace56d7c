"""`loregraph ask` on a trained night with a real encoder, and that night's model on another catalogue."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from features.store import DeltaStore
from language_models.encoders import make_encoder
from pipelines import steps
from pipelines.ask import ask
from pipelines.fitted import read_fitted
from pipelines.job import run_night
from pipelines.lookup import item_lines
from pipelines.night import open_night
from recommenders import load_recommender
from schemas.errors import ConfigError, DataError, StoreError
from schemas.run import load_run
from tests.support.small_world import books, events

DS = "2026-01-01"
HEAD = """
name = "{name}"
lake = "lake"
baseline = "popularity"
seeds = [1, 2]
[data]
path = "data"
[split]
rule = "leave_one_out"
[gates]
duplicates = 1.0
[training]
loss = "infonce"
negatives = 10
max_epochs = 6
evaluate_every = 2
batch_size = 256
learning_rate = 0.01
[evaluation]
bootstrap = 50
[[models]]
name = "popularity"
recommender = "popularity"
"""
ALPHAREC = """
[[models]]
name = "alpharec"
backbone = {{ name = "alpharec", options = {{ dim = 16, ratio = 0.1 }} }}
features = {{ item = "{text}" }}
[[models]]
name = "alpharec.shuffled"
backbone = {{ name = "alpharec", options = {{ dim = 16, ratio = 0.1 }} }}
features = {{ item = "{text}" }}
control = "shuffled"
control_of = "alpharec"
"""
TRANSFER = """
[[models]]
name = "transfer"
recommender = "transfer"
options = { trained = "../books/lake/_work/models/alpharec" }
features = { item = "subjects" }
"""
GOTHIC, SEA = "A night of Gothic horror in a crypt", "An adventure at sea, a long voyage on a ship"


def write(home: Path, run: str) -> Path:
    (home / "data").mkdir(parents=True)
    books().write_parquet(home / "data" / "items.parquet")
    frame = pl.DataFrame(events(), schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(home / "data" / "interactions.csv")
    (home / "run.toml").write_text(run, encoding="utf-8")
    return home / "run.toml"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run file of a night up to its models."""
    made = write(tmp_path_factory.mktemp("two") / "books", HEAD.format(name="books") + ALPHAREC.format(text="title"))
    run = load_run(made)
    for step in ("ingest", "split", "generate", "encode", "materialize", "train"):
        steps.STEPS[step](run, DS)
    return made


def test_the_command_prints_rank_score_id_and_title(file) -> None:
    arguments = ["ask", "--run", file, "--user", "r00", "--intention", SEA, "--alpha", 1, "--k", 4, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.cli", *map(str, arguments)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    *lines, last = done.stdout.splitlines()
    found = json.loads(last)
    assert (found["user"], found["alpha"], found["model"], found["ds"]) == ("r00", 1.0, "alpharec", DS)
    assert lines == item_lines(found["items"])
    titles = dict(books().select("id", "title").rows())
    for rank, (line, item) in enumerate(zip(lines, found["items"], strict=True), start=1):
        assert item["rank"] == rank
        assert item["title"] == titles[item["id"]]
        assert line.split()[0] == str(rank)
        assert f"{item['score']:.4f}  {item['id']}  {item['title']}" in line
    assert [item["score"] for item in found["items"]] == sorted((i["score"] for i in found["items"]), reverse=True)


def test_alpha_0_is_what_the_model_recommends_anyway(file) -> None:
    run = load_run(file)
    night = open_night(run, DS)
    corpus = night.corpus()
    found = ask(file, "r01", GOTHIC, alpha=0, k=6)
    fitted = read_fitted(night, run.models[1], found["seed"], corpus)
    row = corpus.ids("user").index_of("r01")
    plain = load_recommender(night.work / fitted.folder).recommend(np.array([row]), 6)
    assert [item["id"] for item in found["items"]] == corpus.ids("item").gather(plain.item[0]).to_list()
    np.testing.assert_allclose([item["score"] for item in found["items"]], plain.score[0], atol=1e-7)


def test_the_sentence_counts_the_more_the_larger_alpha(file) -> None:
    """Reader r01 reads of the sea; what the sentence asks for comes nearer."""

    def of_crypts(sentence: str, alpha: float) -> float:
        items = ask(file, "r01", sentence, alpha, k=40)["items"]
        return float(np.mean([item["score"] for item in items if "Crypt" in item["title"]]))

    plain, half, whole = (of_crypts(GOTHIC, alpha) for alpha in (0, 0.5, 1))
    assert plain < half < whole
    assert of_crypts(SEA, 1) < half


def test_it_is_the_runs_own_encoder_that_reads_the_sentence(file) -> None:
    run = load_run(file)
    night = open_night(run, DS)
    found = ask(file, "r02", SEA, 0.7, k=5)
    fitted = read_fitted(night, run.models[1], found["seed"], night.corpus())
    vector = make_encoder(run.encoder).encode([SEA])
    row = np.array([night.corpus().ids("user").index_of("r02")])
    expected = load_recommender(night.work / fitted.folder).recommend_for(row, vector, 0.7, 5)
    np.testing.assert_allclose([item["score"] for item in found["items"]], expected.score[0], atol=1e-6)


def test_the_best_seed_answers_and_a_control_only_by_name(file) -> None:
    run = load_run(file)
    night = open_night(run, DS)
    seeds = {seed: read_fitted(night, run.models[1], seed, night.corpus()).valid["recall@20"] for seed in run.seeds}
    assert ask(file, "r00", SEA)["seed"] == max(seeds, key=lambda seed: seeds[seed])
    assert ask(file, "r00", SEA, model="alpharec.shuffled")["model"] == "alpharec.shuffled"


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"alpha": 1.5}, ConfigError, "alpha: expected a number from 0 .* found 1.5"),
        ({"intention": "  "}, ConfigError, "expected a sentence, found nothing"),
        ({"user": "r1"}, DataError, r"ask: user r1: not in table users of 2026-01-01 \(nearest: r1\d, "),
        ({"model": "alfarec"}, ConfigError, "alfarec: unknown, did you mean alpharec"),
        ({"model": "popularity"}, ConfigError, "popularity: popularity cannot follow a sentence"),
        ({"ds": "2025-05-05"}, StoreError, "the table splits has nothing of 2025-05-05; run `loregraph night"),
    ],
)
def test_mistakes_are_named(file, changes, error, message) -> None:
    with pytest.raises(error, match=message):
        ask(**{"file": file, "user": "r00", "intention": SEA, **changes})


def test_an_alpha_outside_0_and_1_is_a_usage_error(file) -> None:
    arguments = ["ask", "--run", str(file), "--user", "r00", "--intention", SEA, "--alpha", "1.5"]
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", *arguments], capture_output=True, text=True)
    assert done.returncode == 2
    assert "--alpha" in done.stderr


def test_a_night_without_a_text_model_says_what_to_add(file) -> None:
    bare = file.parent / "bare.toml"
    bare.write_text(HEAD.format(name="books"), encoding="utf-8")
    with pytest.raises(
        ConfigError, match="no model of this run follows a sentence; add one with the backbone alpharec"
    ):
        ask(bare, "r00", SEA)


def test_a_whole_night_of_another_catalogue_serves_the_trained_model(file) -> None:
    """Trained on titles there, applied to subjects here; trained again there, it is another model here."""
    other = write(file.parents[1] / "library", HEAD.format(name="library") + TRANSFER)
    summary = run_night(other, ds=DS)
    assert [model["name"] for model in summary["models"]] == ["popularity", "popularity", "transfer", "transfer"]
    assert all(model["test"]["recall@20"] > 0 for model in summary["models"])
    night = open_night(load_run(other), DS)
    fitted = read_fitted(night, night.run.models[1], 1, night.corpus())
    assert (fitted.epochs, fitted.report["transfer"]["shared_items"]) == (0, 38)  # two books have no reader
    assert "transfer" in DeltaStore(night.run.lake).read("models", DS)["name"].to_list()
    assert ask(other, "r00", GOTHIC, 1.0)["model"] == "transfer"
    assert steps.train(night.run, DS)["reused"] == 4
    file.write_text(file.read_text(encoding="utf-8").replace("learning_rate = 0.01", "learning_rate = 0.02"))
    steps.train(load_run(file), DS, model="alpharec")
    assert steps.train(night.run, DS)["reused"] == 2
