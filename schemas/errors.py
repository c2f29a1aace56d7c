"""The one error tree of Loregraph, and the exit code that each branch of it ends the command with.

LoregraphError                 1  anything of ours that went wrong
├── ConfigError                2  a run file or an option is wrong
├── DataError                  1  an input file, a column or a value is wrong
├── LeakError                  1  a held-out interaction reached a prompt or a feature
├── StoreError                 1  a table cannot be read or written
├── EngineError                1  the chat endpoint refused us for good (key, quota, address)
├── WorkerError                1  a worker process of ours failed or was ended; what is finished is kept
├── AnswerError                1  one answer cannot be read; ends as a row of the rejects table
├── StopError                  1  a signal asked us to stop; all answers so far are kept
├── GateError                  3  a data gate failed; the version before stays live
└── BudgetError                4  the next call would pass the cap; all answers so far are kept
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LoregraphError(Exception):
    """Base of every error that Loregraph raises on purpose; `exit_code` is what the command ends with."""

    exit_code = 1


class ConfigError(LoregraphError):
    """A run file, an option or a registry name is wrong."""

    exit_code = 2


class DataError(LoregraphError):
    """An input file, column or value is not what it must be; names file, field, id, expected and found."""


class LeakError(LoregraphError):
    """A held-out interaction reached something that is made from train only."""


class StoreError(LoregraphError):
    """A table of the lake cannot be read or written."""


class EngineError(LoregraphError):
    """The chat endpoint cannot be used at all: wrong key, no quota, no such address."""


class WorkerError(LoregraphError):
    """A worker process of ours failed, or was ended from outside. Everything finished so far is kept."""


class AnswerError(LoregraphError):
    """One answer cannot be read. `reason` is a short code for the rejects table, `detail` says what came."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class StopError(LoregraphError):
    """SIGTERM or Ctrl-C came, what was in flight has been kept, and the same command goes on from there."""


class GateError(LoregraphError):
    """A table failed its expectation suite; the version before it stays live."""

    exit_code = 3


class BudgetError(LoregraphError):
    """The next call would pass the cost cap. Everything answered so far is kept."""

    exit_code = 4


def unknown_name(where: str, name: str, known: Iterable[str]) -> str:
    """The text for a name that is not there: `where: name: unknown, did you mean other?` and the names there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f", did you mean {close[0]}?" if close else ""
    return f"{where}: {name}: unknown{hint} (known: {', '.join(names) or 'none'})"
