"""One night in a few figures, from the records of its steps: what the history, the report and the metrics show.

It is kept in the night's folder, so that a year of nights is read at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from schemas.run import Run
from schemas.tables import TABLES

Counts = dict[str, Any]
FILE = "summary.json"
FORM = 1  # of the file; one of another form is made anew
HEADLINE = "recall@20"
CALLS = ("asked", "follow_ups", "failed", "unknown", "orphaned", "retried", "rate_limited", "cost_usd")


def summarize_night(folder: Path, selection: str) -> Counts:
    """The figures of the night in `folder`; of a step that has not run they are missing or None.

    `cost_usd` and `calls` are those of all runs of the date, failed and killed ones included.
    """
    records = _records(folder / "steps")
    generated, evaluated = _first(records, "generate"), _first(records, "evaluate")
    recipes: list[Counts] = generated.get("recipes", [])
    calls = _calls(folder / "llm_runs")
    return {
        "form": FORM,
        "ds": folder.name,
        "steps": {step: _times(found) for step, found in records.items() if "seconds" in found[0]},
        "failed": {each["step"]: each["error"] for each in _files(folder / "failed")},
        "gates": {gate["table"]: _gate(gate) for step, each in records.items() if step[:5] == "gate-" for gate in each},
        "tables": _tables(records),
        "llm": calls,
        "cost_usd": calls["cost_usd"] + _spent(records, "encode"),
        "possible_usd": generated.get("possible_usd", 0.0),
        "calls": calls["asked"] + calls["follow_ups"],
        "new": sum(each.get("new", 0) for each in recipes) if recipes else None,
        "changed": sum(each.get("changed", 0) for each in recipes) if recipes else None,
        "rejects": _rejects(records, recipes),
        "coverage": {each["name"]: each["coverage"] for each in recipes},
        **_best(evaluated, selection),
        "release": _release(_first(records, "promote")),
        "seconds": round(sum(record.get("seconds", 0.0) for each in records.values() for record in each), 3),
    }


def keep_summary(folder: Path, run: Run) -> Counts:
    """Make the summary anew and write it, whole or not at all."""
    found = summarize_night(folder, run.evaluation.selection)
    partial = folder / f"{FILE}.partial"
    partial.write_text(json.dumps(found, allow_nan=False), encoding="utf-8")
    partial.replace(folder / FILE)
    return found


def read_summary(folder: Path, selection: str) -> Counts:
    """The summary that is kept, or one made from the records where they are newer."""
    file, steps = folder / FILE, folder / "steps"
    try:
        if not steps.exists() or file.stat().st_mtime_ns >= steps.stat().st_mtime_ns:
            found: Counts = json.loads(file.read_bytes())
            if found.get("form") == FORM:
                return found
    except FileNotFoundError:
        pass
    return summarize_night(folder, selection)


def _records(folder: Path) -> dict[str, list[Counts]]:
    """What the runs of every step reported; a step that ran in parts has several."""
    found: dict[str, list[Counts]] = {}
    for file in sorted(folder.glob("*.json")):
        found.setdefault(file.stem.partition("--")[0], []).append(json.loads(file.read_bytes()))
    return found


def _files(folder: Path) -> list[Counts]:
    return [json.loads(file.read_bytes()) for file in sorted(folder.glob("*.json"))]


def _first(records: dict[str, list[Counts]], step: str) -> Counts:
    return next(iter(records.get(step, [])), {})


def _times(records: Iterable[Counts]) -> Counts:
    """Seconds of all parts, MiB of the largest, the end of the last."""
    found = list(records)
    peaks = [each["peak_mib"] for each in found if each.get("peak_mib") is not None]
    ends = [each["ended_at"] for each in found if each.get("ended_at") is not None]
    seconds = round(sum(each.get("seconds", 0.0) for each in found), 3)
    return {"seconds": seconds, "peak_mib": max(peaks, default=None), "ended_at": max(ends, default=None)}


def _gate(gate: Counts) -> Counts:
    results = gate.get("results", [])
    failed = sum(not each.get("success", True) for each in results)
    return {"success": gate["success"], "failed": failed, "of": len(results)}


def _tables(records: dict[str, list[Counts]]) -> Counts:
    """Rows and version of every table with nights that was published, as its last step wrote it."""
    told = [record for each in records.values() for record in each if record.get("published")]
    found: Counts = {}
    for record in sorted(told, key=lambda each: each.get("ended_at", 0.0)):
        published: Counts = record["published"]
        found |= {name: told for name, told in published.items() if name in TABLES and TABLES[name].nightly}
    return found


def _calls(folder: Path) -> Counts:
    runs = _files(folder)
    return {name: sum(each[name] for each in runs if each.get(name) is not None) for name in CALLS}


def _spent(records: dict[str, list[Counts]], step: str) -> float:
    """US dollars of a step over all its runs of the date, as far as they came to an end."""
    found = records.get(step, [])
    paid: list[float] = [each["paid_usd" if "paid_usd" in each else "cost_usd"] for each in found if "cost_usd" in each]
    return sum(paid)


def _rejects(records: dict[str, list[Counts]], recipes: list[Counts]) -> Counts:
    """Rejected rows by where they came from: `ingest` or a recipe."""
    found = {"ingest": _first(records, "ingest").get("rejected")}
    found |= {each["name"]: each["rejected"] for each in recipes}
    return {name: count for name, count in found.items() if count is not None}


def _best(evaluated: Counts, selection: str) -> Counts:
    """The model that validation has chosen, its means over seeds, and its lift over the baseline with its interval."""
    name, results = evaluated.get("selected"), evaluated.get("results", [])
    rows = [each for each in evaluated.get("intervals", []) if each["name"] == name]
    metric = HEADLINE if any(each["metric"] == HEADLINE for each in rows) else selection
    mine = [each for each in results if each["name"] == name]
    lift = next((each for each in rows if each["metric"] == metric), None)
    kept = ("baseline", "difference", "low", "high", "lift")
    return {
        "model": name,
        "metric": metric,
        "selection": selection,
        "valid": _mean(each["valid"].get(selection) for each in mine),
        "test": _mean(each["test"].get(metric) for each in mine),
        "lift": {key: lift.get(key) for key in kept} if lift else None,
    }


def _release(record: Counts) -> Counts | None:
    """What `promote` has decided, and the number of the release that was live then; None where it has not run."""
    kept = ("outcome", "promoted", "number", "live", "model", "reason")
    return {name: record[name] for name in kept if name in record} or None


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if found else None
