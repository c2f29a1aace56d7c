"""The last night as Prometheus metrics, in a text file that the node exporter reads."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipelines.watching.history import night_folders
from pipelines.watching.summary import read_summary
from schemas.run import Run

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Counts = Mapping[str, Any]
LOOK_BACK = 60  # nights, for the last one that came to its end
GAUGES = {
    "night_timestamp_seconds": "the night that the other metrics are of: midnight (UTC) at which its day begins",
    "night_last_success_timestamp_seconds": "when a night came to its end last, its report written",
    "night_duration_seconds": "seconds of all steps",
    "night_cost_dollars": "US dollars paid, by all runs of the date",
    "night_possible_cost_dollars": "US dollars that calls without an answer may have cost",
    "night_cost_cap_dollars": "US dollars at which the night stops",
    "night_calls": "calls to language models",
    "night_new_prompts": "prompts about subjects that the night before did not have",
    "night_changed_prompts": "prompts that differ from those of the night before",
    "night_rate_limited_calls": "attempts held back by the endpoint (429)",
    "step_duration_seconds": "seconds, of all parts of a step",
    "step_peak_memory_bytes": "most resident memory of the process while a step ran, of its largest part",
    "step_last_success_timestamp_seconds": "when a step of the night ended well",
    "step_failed": "1 where the last try of a step failed, by error class",
    "table_rows": "rows that the night has published",
    "table_version": "version of the table that holds them",
    "rejected_rows": "rows that cannot be used, by recipe, or `ingest`",
    "recipe_coverage_ratio": "share of the subjects whose answer can be read",
    "gate_failures": "expectations of a table that failed",
    "gate_expectations": "expectations of a table",
    "model_validation_score": "mean over seeds of the metric that chose the model",
    "model_test_score": "mean over seeds on test",
    "model_lift_difference": "difference from the baseline on test",
    "model_lift_low": "lower bound of its 95 % interval",
    "model_lift_high": "upper bound of its 95 % interval",
    "night_promoted": "1 where the night is live, 0 where another one stayed so",
    "release_number": "number of the live release, as the night left it",
}


class Sample(NamedTuple):
    """One value of one metric."""

    name: str
    labels: dict[str, str]
    value: float


def write_metrics(run: Run, work: Path, ds: str) -> Path | None:
    """Write the metrics of the night, whole or not at all; a night before the latest one changes nothing.

    Returns the file; None where nothing was written. Raises OSError where it cannot be.
    """
    folders = night_folders(work, most=LOOK_BACK)
    if not folders or folders[-1].name != ds:
        return None
    from prometheus_client import write_to_textfile

    folder = Path(run.watch.metrics) if run.watch.metrics else work / "metrics"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"loregraph-{run.name}.prom"
    write_to_textfile(str(file), _registry(run, list(_samples(run, folders))))
    return file


def _registry(run: Run, samples: list[Sample]) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, Gauge

    registry = CollectorRegistry()
    for name, doc in GAUGES.items():
        mine = [sample for sample in samples if sample.name == name]
        if mine:
            gauge = Gauge(f"loregraph_{name}", doc, ["run", *mine[0].labels], registry=registry)
            for sample in mine:
                gauge.labels(run=run.name, **sample.labels).set(sample.value)
    return registry


def _samples(run: Run, folders: list[Path]) -> Iterator[Sample]:
    night = read_summary(folders[-1], run.evaluation.selection)
    for name, value in _plain(run, night, folders).items():
        if value is not None:
            yield Sample(name, {}, float(value))
    yield from _steps(night)
    for table, told in night["tables"].items():
        yield Sample("table_rows", {"table": table}, told["rows"])
        yield Sample("table_version", {"table": table}, told["version"])
    for source, count in night["rejects"].items():
        yield Sample("rejected_rows", {"source": source}, count)
    for recipe, share in night["coverage"].items():
        yield Sample("recipe_coverage_ratio", {"recipe": recipe}, share)
    for table, gate in night["gates"].items():
        yield Sample("gate_failures", {"table": table}, gate["failed"])
        yield Sample("gate_expectations", {"table": table}, gate["of"])
    yield from _model(night)


def _plain(run: Run, night: Counts, folders: list[Path]) -> dict[str, float | None]:
    """The metrics that have no labels of their own."""
    day = datetime.datetime.fromisoformat(night["ds"]).replace(tzinfo=datetime.UTC)
    return {
        "night_timestamp_seconds": day.timestamp(),
        "night_last_success_timestamp_seconds": _last_success(run, folders),
        "night_duration_seconds": night["seconds"],
        "night_cost_dollars": night["cost_usd"],
        "night_possible_cost_dollars": night["possible_usd"],
        "night_cost_cap_dollars": run.llm.max_cost_usd,
        "night_calls": night["calls"],
        "night_new_prompts": night["new"],
        "night_changed_prompts": night["changed"],
        "night_rate_limited_calls": night["llm"]["rate_limited"],
        "night_promoted": (night["release"] or {}).get("promoted"),
        "release_number": (night["release"] or {}).get("number"),
    }


def _steps(night: Counts) -> Iterator[Sample]:
    for step, told in night["steps"].items():
        labels = {"step": step}
        yield Sample("step_duration_seconds", labels, told["seconds"])
        if told["peak_mib"] is not None:
            yield Sample("step_peak_memory_bytes", labels, told["peak_mib"] * 2**20)
        if told["ended_at"] is not None:
            yield Sample("step_last_success_timestamp_seconds", labels, told["ended_at"])
    for step in night["steps"] | night["failed"]:
        yield Sample("step_failed", {"step": step, "error": night["failed"].get(step, "")}, step in night["failed"])


def _model(night: Counts) -> Iterator[Sample]:
    """The model that validation has chosen."""
    named = {"model": night["model"] or ""}
    if night["valid"] is not None:
        yield Sample("model_validation_score", {**named, "metric": night["selection"]}, night["valid"])
    if night["test"] is not None:
        yield Sample("model_test_score", {**named, "metric": night["metric"]}, night["test"])
    if (lift := night["lift"]) is not None:
        labels = {**named, "baseline": lift["baseline"], "metric": night["metric"]}
        for name in ("difference", "low", "high"):
            yield Sample(f"model_lift_{name}", labels, lift[name])


def _last_success(run: Run, folders: list[Path]) -> float | None:
    for folder in reversed(folders):
        ended = read_summary(folder, run.evaluation.selection)["steps"].get("report", {}).get("ended_at")
        if ended is not None:
            return float(ended)
    return None
