"""Structured logs: one JSON object a line, in the night's folder and, where asked for, on stderr.

Anything of ours logs with `logging.getLogger(__name__)` and fields as `extra=`; it need not know run, night or step,
which a context variable carries. Only the fields named here are written, so that no prompt and no answer is in a log.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from schemas.errors import AnswerError, EngineError, LoregraphError
from schemas.secrets import SHORTEST, masked, without_passwords

PACKAGES = (
    "schemas", "language_models", "features", "evaluation", "graph_models", "recommenders", "pipelines",
)  # fmt: skip
WHERE = ("run", "ds", "step", "try", "recipe", "key", "shard", "shards", "model", "seed")  # in every line that has them
FIELDS = (
    *WHERE,
    *("table", "version", "rows", "new", "reason", "attempt", "wait_s", "count", "success", "failed", "of"),
    *("seconds", "peak_mib", "counts", "error", "detail", "at", "batch", "calls", "release", "outcome", "left_out"),
)
MOST_LINES = 200  # of one event in one step; the rest is counted
LARGEST = 32 * 2**20  # bytes of a log, at which the next step begins another one
DETAIL = 300  # characters of an error's text

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Bound:
    """What is going on in this thread or task: the log that is told of it, and what every line of it says."""

    log: NightLog
    fields: Fields


_BOUND: ContextVar[_Bound | None] = ContextVar("loregraph_watched", default=None)


class JsonLines(logging.Formatter):
    """A record as one line of JSON without a line end: ts, level, event, logger, what is bound, and its own fields."""

    def __init__(self, fields: Fields, secrets: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self._fields, self._secrets = dict(fields), secrets

    def format(self, record: logging.LogRecord) -> str:
        bound = _BOUND.get()
        own = {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        told = {**(bound.fields if bound else self._fields), **own}
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        head = {"ts": moment.replace("+00:00", "Z"), "level": record.levelname.lower(), "event": event_of(record)}
        line = json.dumps({**head, "logger": record.name, **_plain(told)}, ensure_ascii=False)
        return self._without_secrets(line)

    def _without_secrets(self, line: str) -> str:
        return masked(line, self._secrets)


class NightLog(logging.Handler):
    """Appends lines of one step to a file, each whole in a single write: threads and processes share the file.

    What a thread without a context of its own logs belongs to it as well. A line that cannot be written is lost, and
    the night goes on.
    """

    def __init__(self, file: Path, lines: JsonLines, stderr: bool = False) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(lines)
        self._stderr, self._torn = stderr, False
        self._seen: Counter[str] = Counter()
        self._number: int | None = _opened(file)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is of this step, and not one of too many of its kind."""
        bound, event = _BOUND.get(), event_of(record)
        if bound is not None and bound.log is not self:
            return False
        self._seen[event] += 1
        return self._seen[event] <= MOST_LINES

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record) + "\n"
        if self._stderr:
            sys.stderr.write(line)
            sys.stderr.flush()
        if self._number is not None:
            self._write(line.encode("utf-8", "replace"))

    @property
    def left_out(self) -> dict[str, int]:
        """Lines beyond the most, by event."""
        return {event: count - MOST_LINES for event, count in self._seen.items() if count > MOST_LINES}

    def close(self) -> None:
        if self._number is not None:
            os.close(self._number)
            self._number = None
        super().close()

    def _write(self, line: bytes) -> None:
        assert self._number is not None
        whole = b"\n" + line if self._torn else line  # a full disk has cut the line before
        try:
            self._torn = os.write(self._number, whole) < len(whole)
        except OSError:
            self._torn = True


class Plain(logging.Handler):
    """Warnings that are no events, in words on stderr: what Python does where nobody has set up any logging."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        if not hasattr(record, "event"):
            sys.stderr.write(record.getMessage() + "\n")


@contextmanager
def logged(file: Path, fields: Fields, secrets: frozenset[str], as_json: bool) -> Iterator[NightLog]:
    """While the block runs, what our packages log goes to `file` with these fields, and to stderr as wished."""
    log = NightLog(file, JsonLines(fields, secrets), stderr=as_json)
    handlers: list[logging.Handler] = [log]
    if not as_json and not logging.getLogger().handlers:
        handlers.append(Plain())
    token = _BOUND.set(_Bound(log, dict(fields)))
    with ExitStack() as stack:
        stack.callback(log.close)
        stack.callback(_BOUND.reset, token)
        stack.enter_context(_attached(handlers))
        stack.callback(_say_left_out, log)
        yield log


@contextmanager
def bound(**fields: str | int | float | None) -> Iterator[None]:
    """While the block runs, lines say this too, such as recipe and shard; nothing happens outside of a step."""
    before = _BOUND.get()
    if before is None:
        yield
        return
    token = _BOUND.set(_Bound(before.log, {**before.fields, **fields}))
    try:
        yield
    finally:
        _BOUND.reset(token)


def wants_json(choice: str) -> bool:
    """Whether stderr gets JSON lines: LOREGRAPH_LOG goes before the run file's choice."""
    return (os.environ.get("LOREGRAPH_LOG") or choice) == "json"


def told_of(error: BaseException) -> dict[str, str]:
    """An error's class, and its first line where that is ours to tell.

    What an endpoint has said, and what other libraries say, may hold a prompt: of those only the class is told.
    """
    told = {"error": type(error).__name__}
    if isinstance(error, LoregraphError) and not isinstance(error, EngineError | AnswerError):
        line = without_passwords(str(error).partition("\n")[0])
        told["detail"] = line[:DETAIL]
    return told


def event_of(record: logging.LogRecord) -> str:
    """The name of an event; of a line that has none its text before anything is put into it."""
    return str(getattr(record, "event", record.msg))


def secret_values(names: Iterator[str] | frozenset[str]) -> frozenset[str]:
    """What these environment variables hold."""
    values = {os.environ.get(name, "").strip() for name in names}
    return frozenset(value for value in values if len(value) >= SHORTEST)


_LOCK, _OPEN = threading.Lock(), Counter[str]()  # steps that have opened a package's logger


@contextmanager
def _attached(handlers: list[logging.Handler]) -> Iterator[None]:
    """Our packages' loggers hear INFO while anybody listens, unless somebody has set their level."""
    loggers = [logging.getLogger(name) for name in PACKAGES]
    for logger in loggers:
        _listen(logger, 1)
        for handler in handlers:
            logger.addHandler(handler)
    try:
        yield
    finally:
        for logger in loggers:
            for handler in handlers:
                logger.removeHandler(handler)
            _listen(logger, -1)


def _listen(logger: logging.Logger, more: int) -> None:
    with _LOCK:
        if more > 0 and (_OPEN[logger.name] or logger.level == logging.NOTSET):
            _OPEN[logger.name] += 1
            logger.setLevel(logging.INFO)
        elif more < 0 and _OPEN[logger.name]:
            _OPEN[logger.name] -= 1
            logger.setLevel(logging.INFO if _OPEN[logger.name] else logging.NOTSET)


def _say_left_out(log: NightLog) -> None:
    if left := log.left_out:
        logging.getLogger(__name__).info("lines left out", extra={"event": "lines_left_out", "left_out": left})


def _opened(file: Path) -> int | None:
    """The file, open for appending; None where it cannot be. One that is too large is moved to NAME.1 first."""
    try:
        if file.exists() and file.stat().st_size > LARGEST:
            file.replace(file.with_name(f"{file.stem}.1{file.suffix}"))
        return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:
        return None


def _plain(value: Any) -> Any:
    """A value that JSON can carry: no NaN, no objects."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) else str(value)
