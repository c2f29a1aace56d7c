"""A reranker of the run file takes its retriever from the run: fitted once, named in lineage, part of its hash."""

import polars as pl
import pytest

from pipelines.job import run_night
from pipelines.night import open_night
from schemas.run import load_run
from tests.support.planted import planted, save_reader
from tests.support.small_world import RUN

DS = "2026-01-01"
BASE = RUN.split("[[recipes]]")[0].replace("lightgcn", "knn")


def text(reader, power: float = 0.5) -> str:
    return f"""{BASE}
[evaluation]
selection = "ndcg@10"
bootstrap = 50
users = 20
[sequence_training]
max_epochs = 1
evaluate_every = 1
batch_size = 16
[[models]]
name = "asks"
recommender = "tallrec"
options = {{ retriever = "knn", samples = 16, candidates = 6 }}
llm = {{ engine = "hf", model = "{reader}" }}
[[models]]
name = "knn"
recommender = "item_knn"
options = {{ in_power = {power} }}
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return save_reader(tmp_path_factory.mktemp("lm") / "reader", planted(), hidden=32, layers=1)


def night(world, reader, power: float = 0.5):
    file = world(run=text(reader, power))
    for step in ("ingest", "split", "train", "evaluate", "recommend"):
        run_night(file, step=step, ds=DS)
    return open_night(load_run(file), DS)


def test_its_retriever_is_fitted_once_though_it_stands_later_in_the_run_file(world, reader):
    done = night(world, reader)
    (trained,) = done.records("train")
    assert [each["name"] for each in trained["models"]] == ["asks", "knn"]
    folders = sorted(file.parent.name for file in done.work.glob("models/**/result.json"))
    assert len(folders) == 2
    assert trained["reused"] == 1  # when its turn came it was there
    lineage = pl.read_delta(f"{done.run.lake}/lineage").filter(pl.col("table") == "model:asks/1")
    assert "model:knn/1" in lineage["source"].to_list()


def test_another_retriever_makes_another_model(world, reader):
    first = night(world, reader)
    run = load_run(first.run.file)
    changed = first.run.file.read_text().replace("in_power = 0.5", "in_power = 0.3")
    first.run.file.write_text(changed)
    run_night(first.run.file, step="train", ds=DS)
    (trained,) = open_night(run, DS).records("train")
    assert trained["fitted"] + trained["reused"] == 2
    assert trained["fitted"] >= 1
    assert len(list(first.work.glob("models/**/result.json"))) == 4
