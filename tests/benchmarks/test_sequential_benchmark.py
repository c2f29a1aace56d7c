"""The sequential benchmark's own parts: equal models in the paired training, ties counted in the table, differences."""

import json

import numpy as np
import polars as pl
import pytest

from benchmarks.sequential import runs, training
from benchmarks.sequential.scenarios import SCENARIOS
from benchmarks.sequential.training import Ours, Plain
from features.codes import ItemCodes
from features.store import DeltaStore


@pytest.fixture
def night(tmp_path):
    """A night with two kinds of ids, of which one has two items with the same codes, and two models of two seeds."""
    rows = [
        ("rq", "a", [1, 0]),
        ("rq", "b", [1, 1]),
        ("rq", "c", [1, 1]),
        ("random", "a", [1, 1]),
        ("random", "b", [0, 0]),
    ]
    frame = pl.DataFrame(rows, schema={"name": pl.String, "id": pl.String, "codes": pl.List(pl.Int32)}, orient="row")
    lake = tmp_path / "lake"
    DeltaStore(str(lake)).overwrite("semantic_ids", frame, runs.NIGHT)
    folder = lake / "_work" / "nights" / runs.NIGHT
    (folder / "steps").mkdir(parents=True)
    recall = {"tiger.rq": (0.04, 0.06), "tiger.random": (0.03, 0.04)}
    models = [
        {"name": name, "seed": seed, "test": dict.fromkeys(runs.SHOWN, value)}
        for name, values in recall.items()
        for seed, value in enumerate(values, 1)
    ]
    interval = {"name": "tiger.random", "baseline": "tiger.rq", "difference": -0.015, "low": -0.02, "high": -0.01}
    told = {
        "results": [{**each, "seconds": 10.0 * each["seed"]} for each in models],
        "intervals": [{**interval, "metric": metric} for metric in ("recall@10", "recall@20", "ndcg@10")],
    }
    (folder / "steps" / "evaluate.json").write_text(json.dumps(told))
    return {"folder": str(folder), "models": models}


def test_items_with_the_same_codes_are_counted_within_their_entry(night):
    assert runs.tied(night) == 1


def test_what_ids_are_worth(night):
    found = {figure.what: figure for figure in runs.id_figures(night, least=0.05)}
    learned = found["Recall@10 of the short TIGER with residual k-means ids, test"]
    assert (learned.found, learned.passed) == ("0.05", True)
    assert found["Recall@10 with random ids, share of that"].found == "0.7"
    assert not found["items that share their codes after ties are settled"].passed
    assert found["tiger.random over tiger.rq, recall@10"].found == "-0.0150 [-0.0200, -0.0100]"
    assert "tiger.random over tiger.rq, recall@20" not in found
    assert found["tiger.rq"].found.endswith("2 seeds, 15 s each")


def test_both_loops_train_models_of_one_size_on_the_same_histories():
    codes = np.random.default_rng(0).permutation(4**4)[:200]
    ids = ItemCodes(np.stack(np.unravel_index(codes, (4,) * 4), axis=1).astype(np.int32), (4,) * 4, "made")
    histories = training._histories()
    histories = type(histories)(histories.item % 200, histories.time, histories.indptr)
    ours, plain = Ours(ids, histories, "codes"), Plain(ids, histories)
    size = {
        name: sum(each.numel() for each in model.parameters())
        for name, model in (("ours", ours.task.module), ("plain", plain.model))
    }
    assert size["ours"] == pytest.approx(size["plain"], rel=0.02)
    assert np.array_equal(np.sort(ours.task.samples), np.sort(plain.places))
    assert ours.run(1) == pytest.approx(training.BATCH, rel=0.05)
    assert plain.run(1) == training.BATCH


def test_what_needs_no_data_has_a_short_form():
    assert {each.name for each in SCENARIOS if each.check} == {"ids", "constrained", "training"}
