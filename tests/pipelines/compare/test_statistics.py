"""Who is held against whom, and the warning where a control without content is better than no text."""

from types import SimpleNamespace

import numpy as np
import pytest

from evaluation.metrics import Scores
from pipelines.compare.cells import make_cells
from pipelines.compare.finals import ALL, METRICS, Final
from pipelines.compare.statistics import Outcome, comparisons, find, leaks, pairs_of, pick_baseline
from schemas.run import load_run
from tests.support.compare_world import RUN

USERS = 400


@pytest.fixture
def cells(tmp_path):
    (tmp_path / "run.toml").write_text(RUN)
    return make_cells(load_run(tmp_path / "run.toml"))


def outcome(cell, gain=0.0, valid=0.5, seeds=2):
    """Per-user scores of a common base and a gain; the seeds differ a little, and cancel out."""
    rng = np.random.default_rng(0)
    base = rng.random(USERS)
    finals = [
        Final(seed, valid, 1.0, 1.0, 0, {ALL: Scores(np.arange(USERS), dict.fromkeys(METRICS, base + gain + shift))})
        for seed, shift in zip(range(seeds), (-0.01, 0.01), strict=False)
    ]
    return Outcome(cell, SimpleNamespace(), finals)


def test_the_pairs_of_every_cell(cells) -> None:
    assert pairs_of(cells, "popularity") == [
        ("gf_cf", "popularity", "baseline"),
        ("lore_filter.profiles", "popularity", "baseline"),
        ("lore_filter.profiles", "gf_cf", "twin"),
        ("lore_filter.profiles", "lore_filter.profiles.shuffled", "shuffled"),
        ("lore_filter.profiles", "lore_filter.profiles.random", "random"),
        ("lore_filter.profiles", "lore_filter.title-only", "title"),
        ("lore_filter.profiles.shuffled", "gf_cf", "twin"),
        ("lore_filter.profiles.random", "gf_cf", "twin"),
        ("lore_filter.title-only", "popularity", "baseline"),
        ("lore_filter.title-only", "gf_cf", "twin"),
        ("lightgcn", "popularity", "baseline"),
    ]


def test_answers_beside_facts_are_held_against_the_facts_alone(tmp_path) -> None:
    both = '\n[[compare.texts]]\nname = "both"\nitem = ["title", "rlmrec.item/summarization"]\n'
    (tmp_path / "run.toml").write_text(RUN + both)
    pairs = pairs_of(make_cells(load_run(tmp_path / "run.toml")), "gf_cf")
    assert ("lore_filter.both", "lore_filter.title-only", "unanswered") in pairs
    assert [name for name, _, role in pairs if role == "unanswered"] == ["lore_filter.both"], (
        "no control, no answers alone"
    )


def test_the_baseline_is_the_best_without_text_on_validation(cells) -> None:
    valid = {"popularity": 0.1, "gf_cf": 0.4, "lightgcn": 0.3, "lore_filter.profiles": 0.9}
    outcomes = [outcome(cell, valid=valid.get(cell.name, 0.0)) for cell in cells]
    assert pick_baseline(outcomes, "best") == "gf_cf"
    assert pick_baseline(outcomes, "lightgcn") == "lightgcn"


def test_rows_are_adjusted_within_slice_and_metric_and_equal_pairs_counted_once(cells) -> None:
    gains = {"lore_filter.profiles": 0.1}
    rows = comparisons([outcome(cell, gains.get(cell.name, 0.0)) for cell in cells], "gf_cf", 500, 0)
    sure = find(rows, "lore_filter.profiles", "twin")
    family = {(row["name"], row["against"]) for row in rows}
    assert sure["difference"] == pytest.approx(0.1)
    assert sure["p"] == pytest.approx(2 / 501)
    assert sure["p_adjusted"] == pytest.approx(len(family) * 2 / 501)
    assert find(rows, "lore_filter.profiles", "baseline")["p_adjusted"] == sure["p_adjusted"]
    assert len(rows) == len(METRICS) * len(pairs_of(cells, "gf_cf"))


def test_a_control_that_is_surely_better_is_reported_as_a_leak(cells) -> None:
    rows = comparisons([outcome(cell) for cell in cells], "gf_cf", 2000, 0)
    assert not list(leaks([outcome(cell) for cell in cells], rows))
    outcomes = [outcome(cell, 0.05 if cell.control == "shuffled" else 0.0) for cell in cells]
    (warning,) = leaks(outcomes, comparisons(outcomes, "gf_cf", 2000, 0))
    assert warning.startswith("leak? lore_filter.profiles.shuffled is above gf_cf by +0.0500")


def test_a_title_that_is_better_is_no_leak(cells) -> None:
    outcomes = [outcome(cell, 0.05 if cell.control == "title" else 0.0) for cell in cells]
    assert not list(leaks(outcomes, comparisons(outcomes, "gf_cf", 2000, 0)))
