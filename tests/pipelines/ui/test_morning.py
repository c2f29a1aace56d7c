"""A night in a sentence: what failed, what was refused, what the model is worth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.ui.morning import charts, drifts, verdict

LIFT = {"baseline": "lightgcn", "difference": 0.01, "low": 0.004, "high": 0.016, "lift": 0.03}
NIGHT: dict[str, Any] = {
    "ds": "2026-01-02",
    "steps": {"report": {"seconds": 1.0, "peak_mib": 1.0, "ended_at": 5.0}},
    "failed": {},
    "gates": {"profiles": {"success": True, "failed": 0, "of": 12}},
    "coverage": {"a": 0.9, "b": 1.0},
    "cost_usd": 0.0,
    "calls": 3,
    "model": "aligned",
    "metric": "recall@20",
    "selection": "recall@20",
    "valid": 0.35,
    "test": 0.31,
    "lift": LIFT,
    "release": {"outcome": "promoted", "promoted": True, "number": 2, "reason": "rule"},
}
GATE = {"observed": "0 of 4 rows break it, highest 1.074", "column": "drift", "expected": "at most 6", "success": True}


@pytest.mark.parametrize(
    ("change", "tone", "words"),
    [
        ({}, "good", "better than lightgcn by Recall@20 +0.0100 on test, 95 % interval +0.0040 to +0.0160"),
        ({"lift": LIFT | {"low": -0.002}}, "good", "no clear difference from lightgcn"),
        ({"lift": LIFT | {"difference": -0.01, "low": -0.02, "high": -0.001}}, "good", "worse than lightgcn"),
        ({"failed": {"generate": "GateError"}}, "bad", "generate: GateError. What was live before stays live."),
        ({"steps": {"split": NIGHT["steps"]["report"]}}, "notice", "The last step that did: split"),
        ({"release": {"outcome": "refused", "reason": "worse by 0.1"}}, "notice", "worse by 0.1"),
        ({"release": {"outcome": "kept", "reason": "a later one"}}, "good", "It was not made live: a later one"),
        ({"gates": {"profiles": {"success": False, "failed": 1, "of": 2}}}, "notice", "was best on validation"),
    ],
)
def test_a_night_in_a_sentence(change: dict[str, Any], tone: str, words: str) -> None:
    found = verdict(NIGHT | change)
    assert found.tone == tone
    assert words in found.words


def test_drift_is_what_the_gates_have_measured(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    others = [GATE | {"column": "near_duplicates"}, GATE | {"observed": "0 of 0 rows break it"}]
    (tmp_path / "steps" / "gate-vector_drift.json").write_text(json.dumps({"results": [GATE, *others]}))
    assert [(each.name, each.highest) for each in drifts(tmp_path)] == [("vectors: drift", 1.074)]
    assert drifts(tmp_path / "nothing") == []


def test_one_night_is_no_chart_and_free_nights_show_calls(tmp_path: Path) -> None:
    assert charts([NIGHT], lambda ds: tmp_path / ds) == []
    two = charts([NIGHT | {"ds": "2026-01-01"}, NIGHT], lambda ds: tmp_path / ds)
    assert [chart.title for chart in two] == ["Lift of the best model", "Calls", "Coverage"]
    paid = charts([NIGHT | {"ds": "2026-01-01"}, NIGHT | {"cost_usd": 2.5}], lambda ds: tmp_path / ds)
    assert paid[1].title == "Cost"
    assert "US$ 2.5000" in paid[1].drawn
