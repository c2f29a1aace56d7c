"""Everything that a comparison has found, as one object: what compare.json holds and the table is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluation.intervals import smallest_p
from evaluation.protocol import label_of
from pipelines.compare.cells import settings_of
from pipelines.compare.finals import ALL, METRICS, PRIMARY, SLICES
from pipelines.compare.price import Cost, per_lift, total
from pipelines.compare.statistics import SURE, Outcome, find, leaks
from pipelines.night import Night

Row = Mapping[str, Any]
PAID_FOR = ("unanswered", "twin", "baseline")  # what the dollars of a text have to beat, the first that there is
SHOWN = ("against", "difference", "low", "high", "p", "p_adjusted", "users")


def summarize(
    night: Night, outcomes: Sequence[Outcome], rows: Sequence[Row], baseline: str, costs: dict[str, Cost], users: int
) -> dict[str, Any]:
    """`users`: of the tables, whom the dollars are for."""
    run, compared = night.run, settings_of(night.run)
    return {
        "run": run.name,
        "ds": night.ds,
        "baseline": baseline,
        "selection": run.evaluation.selection,
        "protocol": {"name": run.evaluation.protocol, "label": label_of(run.evaluation)},
        "users": users,
        "search": compared.model_dump(include={"trials", "graph_trials", "search_seed", "search_users"}),
        "seeds": list(compared.seeds or run.seeds),
        "resamples": compared.resamples,
        "encoder": run.encoder.label,
        "cells": [_cell(outcome, rows, costs, users) for outcome in outcomes],
        "costs": [asdict(cost) for cost in costs.values()],
        "encoding_seconds": sum(record["seconds"] for record in night.records("encode")),
        "comparisons": list(rows),
        "warnings": _warnings(outcomes, rows, compared.resamples),
    }


def short(found: Row) -> dict[str, Any]:
    """Without the trials and the single comparisons: what `--json` prints."""
    left_out = ("trials", "comparisons")
    cells = [{key: value for key, value in cell.items() if key not in left_out} for cell in found["cells"]]
    return {**{key: value for key, value in found.items() if key not in left_out}, "cells": cells}


def _cell(outcome: Outcome, rows: Sequence[Row], costs: dict[str, Cost], users: int) -> dict[str, Any]:
    cell = outcome.cell
    against = {row["role"]: row for row in rows if _is_primary(row, cell.name)}
    return {
        "name": cell.name,
        "system": cell.system.name,
        "recommender": cell.system.recommender,
        "text": cell.text,
        "control": cell.control,
        "control_of": cell.model.control_of,
        "settings": dict(outcome.tuned.best.settings),
        "tried": len(outcome.tuned.trials),
        "possible": outcome.tuned.possible,
        "valid": outcome.valid,
        "test": {part: _figures(outcome, part) for part in (ALL, *SLICES)},
        "against": {role: {key: row[key] for key in SHOWN} for role, row in against.items()},
        **_money(outcome, rows, costs, users),
        "seconds": round(float(np.mean([final.seconds for final in outcome.finals])), 3),
        "search_seconds": round(sum(trial["seconds"] for trial in outcome.tuned.trials), 3),
        "mib": max(final.mib for final in outcome.finals),
        "trials": outcome.tuned.trials,
    }


def _is_primary(row: Row, name: str) -> bool:
    return (row["name"], row["slice"], row["metric"]) == (name, ALL, PRIMARY)


def _figures(outcome: Outcome, part: str) -> dict[str, Any] | None:
    """Metric -> mean over seeds, their spread, and the users; None where the slice has none."""
    scores = outcome.scores(part)
    if scores is None:
        return None
    spread = {f"{metric} sd": float(np.std(outcome.by_seed(part, metric))) for metric in METRICS}
    return {**{metric: float(scores.values[metric].mean()) for metric in METRICS}, **spread, "users": len(scores.user)}


def _money(outcome: Outcome, rows: Sequence[Row], costs: dict[str, Cost], users: int) -> dict[str, Any]:
    cell = outcome.cell
    usd = total(costs, cell.model.features)
    thousand = None if usd is None else 1000 * usd / users
    row = next((found for role in PAID_FOR if (found := find(rows, cell.name, role))), None)
    lift = cell.text is not None and row is not None and row["low"] > 0
    point = per_lift(thousand, row["difference"], row["low"]) if lift and row is not None else None
    return {"usd": usd, "usd_per_1000_users": thousand, "lift": lift, "usd_per_point": point}


def _warnings(outcomes: Sequence[Outcome], rows: Sequence[Row], resamples: int) -> list[str]:
    """What the reader of the table has to know."""
    found = list(leaks(outcomes, rows))
    family = len({(row["name"], row["against"]) for row in rows})
    if family * smallest_p(resamples) >= SURE:
        found.append(
            f"{resamples:,} resamples give no p below {smallest_p(resamples):.1e}: of {family} comparisons none can "
            f"be sure after adjustment; set compare.resamples to at least {int(2 * family / SURE) + 1}"
        )
    return found
