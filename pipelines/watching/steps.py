"""A step as it is watched: what it says when it begins and ends, what it costs in seconds and memory, what it leaves.

Watching never ends a night: what cannot be written or sent is logged.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.compare.memory import peak_mib, restart_peak
from pipelines.watching.logs import WHERE, logged, secret_values, told_of, wants_json
from pipelines.watching.pulse import beating
from schemas.errors import BudgetError, GateError, StopError
from schemas.run import Run

if TYPE_CHECKING:
    from pipelines.night import Night

log = logging.getLogger(__name__)
Counts = dict[str, Any]
WATCHED = ("seconds", "peak_mib", "ended_at", "try", "paid_usd", "published")  # of a record, beside the step's counts
ENDINGS = {BudgetError: "budget_reached", StopError: "stopped", KeyboardInterrupt: "stopped", GateError: "gate_failed"}


@dataclass
class Seen:
    """What is known of a step while it runs: which part of it, the how many-eth try, and since when."""

    name: str
    part: str
    attempt: int
    began: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.perf_counter)
    kept: Counts = field(default_factory=dict)  # the record of the step, once it has ended well

    @property
    def seconds(self) -> float:
        return round(time.perf_counter() - self.clock, 3)

    def record(self, night: Night, counts: Counts) -> Counts:
        """What is kept of the step: its counts, MiB at its peak, when it ended (unix seconds), what it published.

        What it has paid is summed over all its runs of the date: one that finds everything done costs nothing.
        """
        about = {"peak_mib": round(peak_mib(), 1), "ended_at": round(time.time(), 3), "try": self.attempt}
        if "cost_usd" in counts:
            before = _read(night.folder / "steps" / f"{self.part}.json")
            about["paid_usd"] = before.get("paid_usd", 0.0) + counts["cost_usd"]
        self.kept = {**counts, **about, "published": night.trace.published}
        return self.kept


def fields_of(work: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Counts:
    """The part that a step is called for, by name: recipe, shard, model, seed."""
    names = list(inspect.signature(work).parameters)[1:]  # the first is the night
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    return {name: value for name, value in given.items() if name in WHERE and value is not None}


@contextmanager
def watched(night: Night, name: str, part: str, about: Mapping[str, Any]) -> Iterator[Seen]:
    """Watch the block as a step, or a part of one; what it raises is raised on, after it has been told."""
    if not night.records_steps:  # another process of the same step tells
        yield Seen(name, part, 0)
        return
    seen = Seen(name, part, _next_try(night.folder / "tries" / part))
    where = {"run": night.run.name, "ds": night.ds, "step": name, "try": seen.attempt, **about}
    run = night.run
    secrets, pulse = secret_values(_secret_names(run)), beating(night.folder, name, part, seen.attempt, night.progress)
    with logged(night.folder / "log.jsonl", where, secrets, wants_json(run.watch.log)), pulse:
        restart_peak()
        _start(night, seen)
        try:
            yield seen
        except BaseException as error:
            with _never_in_the_way():
                _failed(night, seen, error)
            raise
        with _never_in_the_way():
            _finished(night, seen)


def _start(night: Night, seen: Seen) -> None:
    log.info("step started", extra={"event": "step_started"})
    with _never_in_the_way():
        _emit(night, seen, "START", None)


def _finished(night: Night, seen: Seen) -> None:
    about = {name: seen.kept.get(name) for name in ("seconds", "peak_mib")} | {"counts": _numbers(seen.kept)}
    log.info("step finished", extra={"event": "step_finished", **about})
    if "outcome" in seen.kept:
        told = {"outcome": seen.kept["outcome"], "release": seen.kept.get("number"), "detail": seen.kept.get("reason")}
        log.info("promotion", extra={"event": "promotion", "model": seen.kept.get("model"), **told})
    (night.folder / "failed" / f"{seen.part}.json").unlink(missing_ok=True)
    _emit(night, seen, "COMPLETE", None)
    _tell(night)


def _failed(night: Night, seen: Seen, error: BaseException) -> None:
    from pipelines.night import write_json  # which imports this file

    event = next((name for kind, name in ENDINGS.items() if isinstance(error, kind)), "step_failed")
    told: Counts = {**told_of(error), "seconds": seen.seconds, "peak_mib": round(peak_mib(), 1)}
    told["at"] = _place(error)
    log.error("step failed", extra={"event": event, **told})
    ended = {"step": seen.name, "event": event, **told, "ended_at": round(time.time(), 3), "try": seen.attempt}
    write_json(night.folder / "failed" / f"{seen.part}.json", ended)
    _emit(night, seen, "FAIL", error)
    _tell(night)


def _tell(night: Night) -> None:
    """Keep the night's summary, which history and report read, and renew the metrics."""
    from pipelines.watching.night_metrics import write_metrics
    from pipelines.watching.summary import keep_summary

    keep_summary(night.folder, night.run)
    write_metrics(night.run, night.work, night.ds)


def _emit(night: Night, seen: Seen, kind: Literal["START", "COMPLETE", "FAIL"], error: BaseException | None) -> None:
    from pipelines.watching.open_lineage import emit, wanted

    if wanted(night.run):
        emit(night, seen, kind, error)


@contextmanager
def _never_in_the_way() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001  a full disk or a dead server must not end the night that it watches
        log.warning("watching failed", extra={"event": "watching_failed", **told_of(error), "at": _place(error)})


def _next_try(file: Path) -> int:
    """The number of this try: a byte is added for each, so that two at the same time get different ones. 0: unknown."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        number = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(number, b".")
            return os.lseek(number, 0, os.SEEK_CUR)
        finally:
            os.close(number)
    return 0


def _read(file: Path) -> Counts:
    found: Counts = json.loads(file.read_bytes()) if file.exists() else {}
    return found


def _place(error: BaseException) -> str | None:
    """File and line that raised."""
    trace, place = error.__traceback__, None
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        place, trace = f"{'/'.join(file.parts[-2:])}:{trace.tb_lineno}", trace.tb_next
    return place


def _numbers(record: Mapping[str, Any]) -> Counts:
    """The plain numbers among a step's counts."""
    return {name: value for name, value in record.items() if isinstance(value, int | float) and name not in WATCHED}


def _secret_names(run: Run) -> frozenset[str]:
    """Environment variables whose values must be in no log."""
    chats = [
        run.llm,
        *(run.llm_of(each.name) for each in run.recipes),
        *(run.llm_of_model(each) for each in run.models),
    ]
    names = {chat.key_env for chat in chats} | {run.encoder.key_env, "PGPASSWORD", "OPENLINEAGE_API_KEY"}
    names |= {name for name in (run.online.url_env, run.airflow.webhook_env) if name is not None}
    return frozenset(names)
