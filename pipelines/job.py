"""The whole night as one job: every step in order, one summary at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graph_models.processes import processes
from pipelines.night import Counts, last_night, today, work_folder
from pipelines.progress import Progress
from pipelines.watching.logs import wants_json
from schemas.run import load_run

ALWAYS_SHOWN = ("asked", "cached", "to_ask", "encoded", "rejected")


def run_night(
    file: Path,
    step: str | None = None,
    ds: str | None = None,
    lake: str | None = None,
    max_cost_usd: float | None = None,
) -> dict[str, Any]:
    """Run all steps of a run file, or one, and return the summary that `--json` prints.

    Raises the errors of schemas.errors; every finished step stays done, and the same call goes on from there.
    """
    run = load_run(file, lake=lake, max_cost_usd=max_cost_usd)
    ds = ds or today()
    from pipelines.checks import check_run
    from pipelines.steps import STEPS

    check_run(run)
    progress, done = Progress(processes().leads and not wants_json(run.watch.log)), dict[str, Counts]()
    for name in STEPS if step is None else (step,):
        done[name] = STEPS[name](run, ds)
        progress.say(f"{name:<12} {done[name]['seconds']:7.1f} s  {_short(done[name])}")
    summary = summarize(done, work_folder(run) / "nights" / ds)
    if "report" in done:
        progress.say(f"report: {summary['report']}")
    return summary


def reparse_night(file: Path, recipe: str, ds: str | None = None, lake: str | None = None) -> dict[str, Any]:
    """Read a recipe's stored answers again and publish them as the night `ds`, by default the last one."""
    run = load_run(file, lake=lake)
    from pipelines.checks import check_run
    from pipelines.steps.generation import reparse

    check_run(run)
    return reparse(run, ds or last_night(run), recipe)


def click_night(file: Path, ds: str | None = None, lake: str | None = None) -> dict[str, Any]:
    """Train and compare the click models of a night that has its embeddings, by default the last one."""
    run = load_run(file, lake=lake)
    from pipelines.checks import check_run
    from pipelines.click import click

    check_run(run)
    return click(run, ds or last_night(run))


def summarize(done: dict[str, Counts], folder: Path) -> dict[str, Any]:
    """The one object of `--json`: what the steps of this call did. Sums are over the steps that ran."""
    generated, evaluated = done.get("generate", {}), done.get("evaluate", {})
    return {
        "report": done["report"]["html"] if "report" in done else None,
        "folder": str(folder),
        "asked": generated.get("asked", 0),
        "cached": generated.get("cached", 0),
        "rejected": generated.get("rejected", 0),
        "encoded": done.get("encode", {}).get("encoded", 0),
        "cost_usd": generated.get("cost_usd", 0.0) + done.get("encode", {}).get("cost_usd", 0.0),
        "models": evaluated.get("models", done.get("train", {}).get("models", [])),
        "seconds": {name: counts["seconds"] for name, counts in done.items()},
        "plan": done.get("plan"),
        "release": done.get("promote"),
    }


def _short(counts: Counts) -> str:
    """The plain numbers and words of a step's counts, on one line; of numbers that are zero only the headline ones."""
    plain = {k: v for k, v in counts.items() if isinstance(v, int | float | str) and k != "seconds"}
    shown = {k: v for k, v in plain.items() if v or k in ALWAYS_SHOWN}
    return "  ".join(f"{key} {value}" for key, value in shown.items())
