"""The records of one night as its page shows them: steps, tables, gates, runs of questions, failures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.failures import FILE as FAILURES
from pipelines.watching.steps import WATCHED

Row = dict[str, Any]
ORDER = (
    *("ingest", "split", "plan", "generate", "ask", "publish", "encode", "materialize", "tokenize", "instruct"),
    *("train", "evaluate", "recommend", "promote", "feed", "report"),
)
NOT_COUNTS = {*WATCHED, "version"}
NEXT = {  # by what ended a step, where its own message does not say
    "gate_failed": "Read the gate below and the rejects; mend the source or the threshold, then run the step again.",
    "budget_reached": "Every answer is kept. Raise llm.max_cost_usd or --max-cost, then run the step again.",
    "stopped": "It was stopped from outside. Run it again: what is done is found again, nothing is paid twice.",
    "step_failed": "The log below says where. Run it again once the cause is mended: nothing is paid twice.",
}


def steps_of(folder: Path) -> list[Row]:
    """A row per part of a step: name, part, seconds, peak in MiB, end, try, and its plain numbers."""
    rows = []
    for file in sorted((folder / "steps").glob("*.json")):
        step, _, part = file.stem.partition("--")
        record = json.loads(file.read_bytes())
        if step in ORDER and isinstance(record, Mapping):
            rows.append({"step": step, "part": part.replace("--", ", "), **_times(record), "counts": _numbers(record)})
    return sorted(rows, key=lambda row: (ORDER.index(row["step"]), row["ended_at"] or 0.0, row["part"]))


def gates_of(folder: Path) -> list[Row]:
    """Every gate with its expectations, failed ones first."""
    gates: list[Row] = [json.loads(file.read_bytes()) for file in sorted((folder / "steps").glob("gate-*.json"))]
    return sorted((gate for gate in gates if "results" in gate), key=lambda gate: gate["success"])


def runs_of(folder: Path) -> list[Row]:
    """Every run of a recipe's or a model's questions, in the order in which they began."""
    return [row for file in sorted((folder / "llm_runs").glob("*.json")) if (row := _json(file))]


def failures_of(folder: Path) -> list[Row]:
    """What the last try of a step failed with and what to do; and what Airflow told of tasks that failed for good."""
    found = [_failed(_json(file)) for file in sorted((folder / "failed").glob("*.json"))]
    told = folder / FAILURES
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    return found + [_told(json.loads(line)) for line in lines if line.strip()]


def lines_of(folder: Path, most: int) -> list[Row]:
    """The last lines of the night's log, oldest first; one that is cut short is left out."""
    file = folder / "log.jsonl"
    if not file.is_file():
        return []
    with file.open("rb") as stream:
        stream.seek(max(0, file.stat().st_size - 600 * most))
        lines = stream.read().splitlines()[-most:]
    return [line for each in lines if (line := _line(each)) is not None]


def _times(record: Mapping[str, Any]) -> Row:
    return {name: record.get(name) for name in ("seconds", "peak_mib", "ended_at", "try", "paid_usd")}


def _numbers(record: Mapping[str, Any]) -> Row:
    """Of numbers those that are not zero, and words such as an outcome."""
    plain = {
        name: value for name, value in record.items() if isinstance(value, int | float) and value is not True and value
    }
    words = {name: record[name] for name in ("outcome", "model", "engine") if isinstance(record.get(name), str)}
    return {name: value for name, value in (plain | words).items() if name not in NOT_COUNTS}


def _failed(record: Row) -> Row:
    event = record.get("event", "step_failed")
    own = {name: record.get(name) for name in ("step", "error", "detail", "at", "ended_at", "try")}
    return {**own, "next_step": NEXT.get(event, NEXT["step_failed"]), "by": "step"}


def _told(record: Row) -> Row:
    own = {name: record.get(name) for name in ("error", "next_step", "try")}
    return {**own, "step": record.get("task"), "detail": record.get("message"), "when": record.get("at"), "by": "task"}


def _json(file: Path) -> Row:
    try:
        found: Row = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _line(line: bytes) -> Row | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
