"""The table of BENCHMARKS.md: baseline, intervals, controls and slices as the report has them."""

from benchmarks.quality import lines


def spread(mean: float) -> dict[str, float]:
    return {"mean": mean, "std": 0.001}


def summary(name: str, control_of: str | None = None) -> dict:
    test = {metric: spread(0.1) for metric in ("recall@20", "ndcg@20", "coverage@20")}
    return {
        "name": name,
        "control_of": control_of,
        "seeds": 3,
        "test": test,
        "slices": {"cold": {"recall@20": spread(0.02)}},
    }


def interval(name: str, baseline: str) -> dict:
    return {
        "name": name,
        "baseline": baseline,
        "metric": "recall@20",
        "difference": 0.01,
        "low": 0.005,
        "high": 0.015,
        "lift": 0.1,
    }


def test_lines_show_lift_controls_and_missing_slices() -> None:
    report = {
        "baseline": "base",
        "summary": [summary("base"), summary("new"), summary("new.shuffled", "new")],
        "intervals": [interval("new", "base"), interval("new.shuffled", "base"), interval("new", "new.shuffled")],
        "seconds": {"train": 60.0, "ingest": 1.0, "split": 2.0},
        "models": [{"seconds": 40.0}, {"seconds": 50.0}],
        "protocol": {"users": 12},
    }
    text = lines(report)
    assert text[2] == "| `base` | 3 | 0.1000 ± 0.0010 | 0.1000 ± 0.0010 | baseline | 0.0200 | — | 0.10 |"
    assert "+10.0 %, +0.0100 [+0.0050, +0.0150]" in text[3]
    assert text[4].startswith("| &nbsp;&nbsp;`new.shuffled` (control)")
    assert "- `new` − `new.shuffled`: +10.0 %, +0.0100 [+0.0050, +0.0150]" in text
    assert text[-1] == "12 users judged. Training took 90 s in all, the other steps 3 s."
