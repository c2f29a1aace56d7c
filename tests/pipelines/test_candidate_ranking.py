"""Models of a small night order the same short lists, and every figure is what a brute-force computation says."""

import json

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from evaluation.candidates import candidate_exam
from evaluation.protocol import testing as make_test_exam
from pipelines.compare.trials import Bench
from pipelines.job import run_night
from pipelines.night import open_night
from recommenders import load_recommender
from schemas.errors import ConfigError
from schemas.run import load_run
from tests.support.small_world import RUN

DS = "2026-01-01"
STEPS = ("ingest", "split", "train", "evaluate", "report")
BASE = RUN.split("[[recipes]]")[0].replace("lightgcn", "popularity")
MODELS = """
[sequence_training]
max_epochs = 2
[[models]]
name = "popularity"
recommender = "popularity"
[[models]]
name = "knn"
recommender = "item_knn"
[[models]]
name = "recent"
recommender = "most_recent"
[[models]]
name = "sasrec"
recommender = "sasrec"
options = { dim = 8 }
"""
LLMRANK = """
[[models]]
name = "llmrank"
recommender = "llmrank"
options = { retriever = "popularity", candidates = 10 }
"""
NEGATIVES = "[evaluation.candidates]\nnegatives = 9\nusers = 30\nks = [1, 5]\n"
RETRIEVED = (
    '[evaluation.candidates]\nprotocol = "retrieved"\nretriever = "popularity"\ntop = 12\nusers = 0\nks = [1, 3]\n'
)


def text(judging: str, models: str = MODELS) -> str:
    return f"{BASE}[evaluation]\nbootstrap = 50\n{judging}{models}"


def night(world, judging: str, folder: str = "world", models: str = MODELS):
    file = world(run=text(judging, models), folder=folder)
    for step in STEPS:
        run_night(file, step=step, ds=DS)
    return open_night(load_run(file), DS)


def all_scores(recommender, users: np.ndarray, corpus) -> np.ndarray:
    """Every item's score [B, I], read off a ranking of the whole catalogue without a mask."""
    nothing = csr_matrix((corpus.num_users, corpus.num_items), dtype=bool)
    found = recommender.recommend(users, corpus.num_items, nothing)
    scores = np.full((len(users), corpus.num_items), -np.inf)
    np.put_along_axis(scores, found.item, found.score, axis=1)
    return scores


def brute_force(scores: np.ndarray, exam) -> dict[str, float]:
    ranks = []
    for row, (items, truth) in enumerate(zip(exam.item, exam.truth, strict=True)):
        among = [item for item in items.tolist() if item >= 0]
        ranks.append(sum(scores[row, item] >= scores[row, truth] for item in among) if truth in among else np.inf)
    rank = np.array(ranks)
    found = {f"mrr({exam.tag})": (1 / rank).mean()}
    for k in exam.ks:
        found[f"hr@{k}({exam.tag})"] = (rank <= k).mean()
        found[f"ndcg@{k}({exam.tag})"] = np.where(rank <= k, 1 / np.log2(rank + 1), 0).mean()
    return found


def metrics_of(night) -> pl.DataFrame:
    return pl.read_delta(f"{night.run.lake}/metrics")


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Nights with both protocols."""
    from tests.support.small_world import books, events

    nights = {}
    for name, judging in (("negatives", NEGATIVES), ("retrieved", RETRIEVED)):

        def world(run: str, folder: str):
            home = tmp_path_factory.mktemp(folder)
            (home / "data").mkdir()
            books().write_parquet(home / "data" / "items.parquet")
            frame = pl.DataFrame(events(), schema=["user_id", "item_id", "timestamp"], orient="row")
            frame.write_csv(home / "data" / "interactions.csv")
            (home / "run.toml").write_text(run, encoding="utf-8")
            return home / "run.toml"

        nights[name] = night(world, judging, name)
    return nights


@pytest.mark.parametrize("protocol", ["negatives", "retrieved"])
def test_the_table_holds_what_a_brute_force_computation_gives(judged, protocol):
    night = judged[protocol]
    corpus, settings = night.corpus(), night.run.evaluation.candidates
    record = night.records("evaluate")[0]
    folders = {result["name"]: night.work / result["folder"] for result in record["results"]}
    retriever = load_recommender(folders["popularity"]) if protocol == "retrieved" else None
    exam = candidate_exam(make_test_exam(corpus), corpus, settings, retriever)
    rows = metrics_of(night).filter(pl.col("slice") == exam.label)
    assert set(rows["model"]) == {"popularity", "knn", "recent", "sasrec"}
    assert set(rows["part"]) == {"test"}
    for name, folder in folders.items():
        own = rows.filter(pl.col("model") == name)
        values = dict(zip(own["metric"], own["value"], strict=True))
        expected = brute_force(all_scores(load_recommender(folder), exam.user, corpus), exam)
        assert {metric: values[metric] for metric in expected} == pytest.approx(expected, abs=1e-6), name
        assert values[f"retrieved({exam.tag})"] == exam.found.mean()
    alone = rows.filter(pl.col("metric").str.contains("retrieved alone"))
    assert alone.is_empty() == (protocol == "negatives")
    assert set(alone["users"]) <= {int(exam.found.sum())}


def test_the_record_has_paired_intervals_against_the_baseline(judged):
    found = judged["negatives"].records("evaluate")[0]["candidates"]
    values = {row["name"]: row["metrics"] for row in found["results"]}
    assert {(row["name"], row["baseline"]) for row in found["intervals"]} == {
        (name, "popularity") for name in ("knn", "recent", "sasrec")
    }
    for row in found["intervals"]:
        gained = values[row["name"]][row["metric"]] - values["popularity"][row["metric"]]
        assert row["difference"] == pytest.approx(gained)
        assert row["low"] <= row["difference"] <= row["high"]
        assert row["users"] == 30
    assert values["knn"]["hr@5(+9)"] > values["popularity"]["hr@5(+9)"], "communities are easily told apart"


def test_the_report_shows_the_table_and_says_what_was_judged(judged):
    for protocol, label in (
        ("negatives", "1 truth + 9 uniform negatives"),
        ("retrieved", "top 12 of popularity, truth not inserted"),
    ):
        night = judged[protocol]
        report = json.loads((night.folder / "report.json").read_text())
        page = (night.folder / "report.html").read_text()
        assert report["candidates"]["label"].startswith(label)
        section = page.partition('<section id="candidates"')[2].partition("</section>")[0]
        assert section.lower().count(label) == 2, "above the table and under it"
        for row in report["candidates"]["summary"]:
            for metric, value in row["metrics"].items():
                if metric.startswith(("hr", "mrr")):
                    assert f"{value['mean']:.4f}" in section, (row["name"], metric)
        interval = next(row for row in report["candidates"]["intervals"] if row["metric"].startswith("ndcg@"))
        assert interval["baseline"] == "popularity"
        assert ("truth was retrieved" in section) == (protocol == "retrieved")
        assert 'id="rankers"' not in page, "nobody asked a language model"


def test_full_ranking_is_as_it_is_without_the_section(judged, world):
    plain = night(world, "", "plain")
    one, other = (metrics_of(each).filter(pl.col("slice") == "all") for each in (plain, judged["negatives"]))
    keys = ["model", "seed", "part", "slice", "metric"]
    assert one.sort(keys).equals(other.sort(keys))
    report = json.loads((plain.folder / "report.json").read_text())
    assert report["candidates"] == {}
    page = (plain.folder / "report.html").read_text()
    assert 'id="candidates"' not in page
    assert "A sample of users" not in page
    hashes = [
        {row["config_hash"] for row in each.records("evaluate")[0]["results"]} for each in (plain, judged["negatives"])
    ]
    assert hashes[0] == hashes[1], "the section decides no weights"


def test_so_many_users_are_judged_everywhere_and_the_report_says_so(world):
    models = MODELS.partition('[[models]]\nname = "recent"')[0]
    few = night(world, "users = 7\n" + NEGATIVES, "few", models)
    record = few.records("evaluate")[0]
    assert (record["users"], record["drawn_from"]) == (7, 38)
    assert record["candidates"]["users"] == 7
    table = metrics_of(few)
    assert table.filter(pl.col("slice") == "few interactions")["users"].unique().to_list() == [7]
    assert pl.read_delta(f"{few.run.lake}/user_metrics")["user_id"].n_unique() == 7
    page = (few.folder / "report.html").read_text()
    assert "A sample of users." in page
    assert page.count("udged on at most 7 users, drawn by their ids") >= 3
    assert "Not our protocol" not in page
    exam = make_test_exam(few.corpus(), users=7)
    compared = Bench(few, few.corpus())
    assert compared.exam.users.tolist() == compared.test.users.tolist() == exam.users.tolist()
    every = night(world, "", "every", models)
    folder = every.work / every.records("evaluate")[0]["results"][1]["folder"]
    assert folder.name != (few.work / record["results"][1]["folder"]).name, "another validation figure"
    ids = few.corpus().ids("user").gather(exam.users).to_list()
    assert set(pl.read_delta(f"{few.run.lake}/user_metrics")["user_id"]) == set(ids)


def test_a_language_model_says_what_it_asked_in_every_phase(world):
    models = MODELS.partition('[[models]]\nname = "recent"')[0] + LLMRANK
    asked = night(world, NEGATIVES, "asked", models)
    record = asked.records("evaluate")[0]
    (told,) = record["told"]
    assert (told["name"], told["seed"]) == ("llmrank", 1)
    assert [told[phase]["users"] for phase in ("valid", "test", "candidates")] == [38, 38, 30], "each for itself"
    assert told["candidates"]["grounding"] == {"index": 300}
    results = {row["name"]: row for row in record["candidates"]["results"]}
    assert [name for name, row in results.items() if "places" in row] == ["llmrank"], "others show no order"
    places = results["llmrank"]["places"]
    assert [place["shown"] for place in places] == ["1\u20132", "3\u20134", "5\u20136", "7\u20138", "9\u201310"]
    assert sum(place["users"] for place in places) == 30
    mean = sum(place["mrr"] * place["users"] for place in places) / 30
    assert mean == pytest.approx(results["llmrank"]["metrics"]["mrr(+9)"])
    assert places[0]["mrr"] > places[-1]["mrr"] + 0.2, "the offline engine follows the order of the prompt"
    page = (asked.folder / "report.html").read_text()
    section = page.partition('<section id="rankers"')[2].partition("</section>")[0]
    for words in ("validation", "test, full ranking", "test, given candidates", "MRR by place of the truth"):
        assert words in section
    assert section.count("<svg ") == 4, "places of the truth, and places put first in every phase"


def test_a_retriever_that_the_run_does_not_have_is_named(world):
    wrong = RETRIEVED.replace('"popularity"', '"popularty"')
    with pytest.raises(ConfigError, match=r"evaluation\.candidates\.retriever.*popularty.*popularity"):
        run_night(world(run=text(wrong)), step="ingest", ds=DS)
