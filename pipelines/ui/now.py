"""The run in progress, from what it leaves in the night's folder: signs of life, records, questions, its log."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from language_models.ledger.peek import Seen, peek
from pipelines.ui.records import failures_of, lines_of, runs_of, steps_of
from pipelines.ui.shelf import Shelf
from pipelines.watching.history import night_folders
from pipelines.watching.pulse import Sign, signs
from pipelines.watching.summary import read_summary
from schemas.errors import StoreError

NIGHT = (
    *("ingest", "split", "plan", "generate", "encode", "materialize", "tokenize", "instruct"),
    *("train", "evaluate", "recommend", "promote", "feed", "report"),
)
LINES = 40  # of the log
JUST_NOW_S = 20.0  # after the last step, while the next one may still be importing
State = Literal["running", "between", "lost", "failed", "ended", "none"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """A part of a step that runs, or that was running when its process ended."""

    sign: Sign
    lives: bool
    seconds: float  # since it began, until its last sign
    left: float | None  # seconds at the speed so far

    @property
    def share(self) -> float | None:
        total = self.sign.total
        return min(self.sign.done / total, 1.0) if total else None


@dataclass(frozen=True)
class Now:
    """A night at this moment."""

    ds: str
    state: State
    head: str
    work: Sequence[Work]
    steps: Sequence[Row]  # name, state, seconds, before (seconds of the night before)
    left: float | None  # seconds, as long as the night before took for what is left
    runs: Sequence[Row]
    ledger: Seen | None
    ledger_error: str | None
    failures: Sequence[Row]
    lines: Sequence[Row]

    @property
    def living(self) -> bool:
        return self.state in ("running", "between")


def now_of(shelf: Shelf, ds: str) -> Now:
    """A night as its folder tells of it. Nothing is written, nothing of the run is held up."""
    folder, moment = shelf.folder(ds), time.time()
    work = [_work(sign, moment) for sign in signs(folder)]
    done, failures = {row["step"]: row for row in steps_of(folder)}, failures_of(folder)
    steps = _steps(done, work, {row["step"] for row in failures if row["by"] == "step"}, _before(shelf, ds))
    lines = lines_of(folder, LINES)
    state = _state(work, steps, done, moment)
    seen, error = _look(shelf, ds)
    left = _left(steps, work) if state in ("running", "between") else None
    return Now(
        ds, state, _head(ds, state, work, steps), work, steps, left, runs_of(folder), seen, error, failures, lines
    )


def latest(shelf: Shelf) -> str | None:
    """The night that was worked on last: one that runs goes first, then the one whose log was written last."""
    folders = night_folders(shelf.work, most=30)
    begun = shelf.work / "nights"
    first = [each for each in begun.iterdir() if each not in folders] if begun.is_dir() else []
    there = [each for each in (*folders, *first) if each.is_dir()]
    moment = time.time()
    living = [each for each in there if any(sign.lives(moment) for sign in signs(each))]
    files = {each.name: each / "log.jsonl" for each in living or there}
    written = {name: file.stat().st_mtime for name, file in files.items() if file.is_file()}
    return max(written, key=lambda name: written[name], default=None)


def _work(sign: Sign, moment: float) -> Work:
    lives = sign.lives(moment)
    return Work(sign, lives, sign.at - sign.began, sign.seconds_left() if lives else None)


def _steps(done: Mapping[str, Row], work: Sequence[Work], failed: set[str], before: Mapping[str, float]) -> list[Row]:
    """Every step of a night with what has become of it, and others that have run, such as `ask`, after them."""
    at_work = {each.sign.step: each for each in work}
    names = [*NIGHT, *(name for name in (*done, *at_work) if name not in NIGHT)]
    rows = []
    for name in dict.fromkeys(names):
        own = at_work.get(name)
        state = ("running" if own.lives else "lost") if own else "failed" if name in failed else None
        state = state or ("done" if name in done else "waiting")
        seconds = own.seconds if own else done[name]["seconds"] if name in done else None
        rows.append({"name": name, "state": state, "seconds": seconds, "before": before.get(name)})
    return rows


def _before(shelf: Shelf, ds: str) -> dict[str, float]:
    """Seconds of each step of the night before."""
    folders = [each for each in night_folders(shelf.work, until=ds, most=2) if each.name < ds]
    if not folders:
        return {}
    told = read_summary(folders[-1], shelf.run.evaluation.selection)["steps"]
    return {name: each["seconds"] for name, each in told.items()}


def _left(steps: Sequence[Row], work: Sequence[Work]) -> float | None:
    """None where the night before does not know a step that is still to come."""
    waiting = [row["before"] for row in steps if row["state"] == "waiting" and row["name"] in NIGHT]
    if None in waiting:
        return None
    running = [row for row in steps if row["state"] == "running"]
    own = {each.sign.step: each.left for each in work if each.left is not None}
    rest = [own.get(row["name"], max((row["before"] or 0.0) - row["seconds"], 0.0)) for row in running]
    return float(sum(waiting) + sum(rest))


def _state(work: Sequence[Work], steps: Sequence[Row], done: Mapping[str, Row], moment: float) -> State:
    if any(each.lives for each in work):
        return "running"
    if work:
        return "lost"
    if any(row["state"] == "failed" for row in steps):
        return "failed"
    if not done:
        return "none"
    if "report" in done:
        return "ended"
    return "between" if moment - max(row["ended_at"] or 0.0 for row in done.values()) < JUST_NOW_S else "none"


def _head(ds: str, state: State, work: Sequence[Work], steps: Sequence[Row]) -> str:
    """The state in a sentence that changes only when the state does."""
    running = list(dict.fromkeys(each.sign.step for each in work if each.lives))
    lost = list(dict.fromkeys(each.sign.step for each in work if not each.lives))
    failed = [row["name"] for row in steps if row["state"] == "failed"]
    heads = {
        "running": f"{' and '.join(running)} of {ds} is running",
        "between": f"{ds}: a step has ended, the next one has not begun yet",
        "lost": f"{' and '.join(lost)} of {ds} ended without a word: killed, or its machine is lost",
        "failed": f"{ds} failed in {' and '.join(failed)}",
        "ended": f"The night of {ds} has come to its end; nothing is running",
        "none": f"Nothing of {ds} is running",
    }
    return heads[state]


def _look(shelf: Shelf, ds: str) -> tuple[Seen | None, str | None]:
    try:
        return peek(shelf.run.llm.ledger or shelf.work / "ledger.sqlite", ds), None
    except StoreError as error:
        return None, str(error)
