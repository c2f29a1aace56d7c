"""A night judged as another paper judges: its report says so, its figures change, and its models are fitted anew."""

import json

import pytest

from evaluation.protocol import PROTOCOLS
from pipelines.job import run_night
from schemas.errors import ConfigError
from tests.support.small_world import RUN

DS = "2026-01-01"
BASE = RUN.split("[[recipes]]")[0].replace("lightgcn", "mf")
MODELS = """
[training]
max_epochs = 2
evaluate_every = 1
[[models]]
name = "mf"
backbone = { name = "mf", options = { dim = 4 } }
"""


def judged(world, protocol: str) -> tuple[dict, str]:
    """report.json and the page of a night under a protocol, in a folder of its own."""
    text = BASE + f'[evaluation]\nbootstrap = 50\nprotocol = "{protocol}"\n' + MODELS
    file = world(run=text, folder=protocol)
    for step in ("ingest", "split", "train", "evaluate", "report"):
        run_night(file, step=step, ds=DS)
    folder = file.parent / "lake" / "_work" / "nights" / DS
    return json.loads((folder / "report.json").read_text()), (folder / "report.html").read_text()


def test_a_report_says_when_it_is_not_judged_our_way(world):
    ours, page = judged(world, "loregraph")
    assert ours["protocol"]["label"] is None
    assert "judged as in" not in page.lower()
    theirs, page = judged(world, "llmrec")
    assert theirs["protocol"]["name"] == "llmrec"
    assert page.lower().count("judged as in llmrec") >= 2, "above the figures and under every table"
    assert "NDCG, retrieved ideal@20" in page
    assert theirs["models"][0]["config_hash"] != ours["models"][0]["config_hash"]
    test = theirs["models"][0]["test"]
    assert test["ndcg_retrieved_ideal@20"] >= test["ndcg@20"]


def test_a_comparison_says_it_too():
    from pipelines.compare.table import markdown

    found = {"run": "r", "ds": DS, "cells": [], "comparisons": [], "costs": [], "warnings": [], "seeds": [1]}
    found |= {"search": {"trials": 1, "graph_trials": None, "search_users": 0}, "selection": "recall@20"}
    found |= {"resamples": 100, "baseline": "mf", "protocol": {"name": "rlmrec", "label": PROTOCOLS["rlmrec"].label}}
    assert "**Judged as in RLMRec (arXiv 2310.15950); valid items stay candidates at test.**" in markdown(found)
    assert "udged as in" not in markdown({**found, "protocol": {"name": "loregraph", "label": None}})


def test_a_refit_is_refused_where_validation_items_stay_candidates(world):
    text = BASE + '[evaluation]\nprotocol = "rlmrec"\n' + MODELS.replace("[training]", "[training]\nrefit = true")
    with pytest.raises(ConfigError, match=r"rlmrec leaves the items of validation .* models\.mf learns from them"):
        run_night(world(run=text), step="ingest", ds=DS)
