"""The metrics of a night, read back with the parser of prometheus_client, and the alert rules that name them."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import infra
from features.store import DeltaStore
from pipelines.job import run_night
from pipelines.watching.night_metrics import GAUGES, write_metrics
from schemas.run import load_run
from tests.support.small_world import RUN
from tests.support.watched_world import BAD, GOOD

PROMETHEUS = Path(infra.__file__).parent / "prometheus"


def samples(file: Path) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Values with their labels by metric."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(file.read_text(encoding="utf-8")):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.labels["run"] == "mini"
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def of(found, name: str, **labels: str) -> float:
    (value,) = [value for each, value in found[f"loregraph_{name}"] if labels.items() <= each.items()]
    return value


def test_a_night_that_failed_says_so_and_when_the_last_one_came_to_its_end(nights) -> None:
    found = samples(nights.work / "metrics" / "loregraph-mini.prom")
    assert of(found, "night_timestamp_seconds") == 1767312000  # 2026-01-02
    assert of(found, "step_failed", step="generate", error="GateError") == 1
    assert of(found, "step_failed", step="split") == 0
    assert of(found, "gate_failures", table="profiles") >= 1
    report = json.loads((nights.work / "nights" / GOOD / "steps" / "report.json").read_text())
    assert of(found, "night_last_success_timestamp_seconds") == pytest.approx(report["ended_at"])
    assert "loregraph_model_lift_low" not in found  # nothing was evaluated that night


def test_a_whole_night_in_figures_is_what_its_tables_hold(nights, tmp_path: Path) -> None:
    run = load_run(nights.file)
    work = tmp_path / "work"
    (work / "nights").mkdir(parents=True)
    (work / "nights" / GOOD).symlink_to(nights.work / "nights" / GOOD)
    file = write_metrics(run, work, GOOD)
    assert file is not None
    found, lake = samples(file), DeltaStore(run.lake)
    for table in ("users", "splits", "prompts", "profiles", "recommendations", "metrics"):
        assert of(found, "table_rows", table=table) == lake.read(table, ds=GOOD).height
    evaluated = json.loads((work / "nights" / GOOD / "steps" / "evaluate.json").read_text())
    best = evaluated["selected"]
    assert best == "lightgcn"
    interval = next(each for each in evaluated["intervals"] if (each["name"], each["metric"]) == (best, "recall@20"))
    for name in ("difference", "low", "high"):
        assert of(found, f"model_lift_{name}", model=best, baseline="popularity") == pytest.approx(interval[name])
    mean = lake.read("metrics", ds=GOOD).filter(model=best, part="test", slice="all", metric="recall@20")["value"]
    assert of(found, "model_test_score", metric="recall@20") == pytest.approx(mean.item())
    assert of(found, "recipe_coverage_ratio", recipe="rlmrec.user") == 1
    assert of(found, "night_calls") == 77
    assert (of(found, "night_promoted"), of(found, "release_number")) == (1, 1)
    assert of(found, "step_peak_memory_bytes", step="train") > 50 * 2**20
    assert of(found, "gate_failures", table="profiles") == 0


def test_a_night_of_the_past_leaves_the_metrics_of_the_latest(nights) -> None:
    assert write_metrics(load_run(nights.file), nights.work, GOOD) is None


def test_another_folder_and_one_that_cannot_be_written(world, tmp_path: Path, capsys) -> None:
    file = world(run=RUN + f'[watch]\nmetrics = "{tmp_path}/node"\n')
    run_night(file, step="ingest", ds=BAD)
    assert (tmp_path / "node" / "loregraph-mini.prom").exists()
    assert not (file.parent / "lake" / "_work" / "metrics").exists()
    (tmp_path / "file").write_text("no folder")
    file.write_text(file.read_text().replace(f"{tmp_path}/node", f"{tmp_path}/file"))
    assert run_night(file, step="split", ds=BAD)["seconds"]["split"] >= 0
    log = (file.parent / "lake" / "_work" / "nights" / BAD / "log.jsonl").read_text()
    failed = [json.loads(line) for line in log.splitlines() if "watching_failed" in line]
    assert [(line["step"], line["error"]) for line in failed] == [("split", "FileExistsError")]


def test_every_metric_of_the_alert_rules_and_the_dashboard_is_one_of_ours() -> None:
    rules = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    board = json.loads((PROMETHEUS / "dashboard.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for rule in rules]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for expression in asked for name in re.findall(r"\bloregraph_(\w+)", expression)}
    assert named <= set(GAUGES)
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_every_alert_is_explained() -> None:
    rules = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    told = (PROMETHEUS.parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")
    assert [rule["alert"] for rule in rules if f"`{rule['alert']}`" not in told] == []
    assert [name for name in GAUGES if f"`loregraph_{name}`" not in told] == []
