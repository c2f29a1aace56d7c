"""Progress of long work on stderr: a live bar on a terminal, a plain line every few seconds otherwise.

What is going on is also remembered, so that whoever watches the process (`watching.pulse`) can tell it to others.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Advance = Callable[[int, str], None]  # (how many more are done, a short note)
LINE_EVERY_S = 5.0


@dataclass(eq=False)
class Tracked:
    """How far a piece of work is; `total` is None where nobody knows it."""

    label: str
    total: int | None
    done: int = 0
    note: str = ""
    began: float = field(default_factory=time.time)  # unix seconds


class Progress:
    """Where steps say how far they are; not shown, nobody hears it: of several processes one tells."""

    def __init__(self, shown: bool = True) -> None:
        self.shown = shown
        self._tracked: list[Tracked] = []

    @property
    def now(self) -> Tracked | None:
        """The innermost work that is being tracked."""
        return next(reversed(self._tracked), None)

    @contextmanager
    def track(self, label: str, total: int | None = None) -> Iterator[Advance]:
        """Show `label` while the block runs; the block calls the yielded function as it gets on."""
        bar = (_bar if sys.stderr.isatty() else _lines) if self.shown else _unheard
        mine = Tracked(label, total)
        self._tracked.append(mine)
        try:
            with bar(label, total) as advance:
                yield _noted(mine, advance)
        finally:
            self._tracked.remove(mine)

    def say(self, line: str) -> None:
        """One line on stderr."""
        if self.shown:
            print(line, file=sys.stderr, flush=True)  # noqa: T201


def _noted(mine: Tracked, advance: Advance) -> Advance:
    def both(count: int, note: str) -> None:
        mine.done, mine.note = mine.done + count, note
        advance(count, note)

    return both


@contextmanager
def _unheard(label: str, total: int | None) -> Iterator[Advance]:
    del label, total
    yield _ignore


def _ignore(count: int, note: str) -> None:
    del count, note


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bar(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, note="")
        yield lambda count, note: bar.update(task, advance=count, note=note)


@contextmanager
def _lines(label: str, total: int | None) -> Iterator[Advance]:
    done, said, began = 0, time.monotonic(), time.monotonic()

    def advance(count: int, note: str) -> None:
        nonlocal done, said
        done += count
        if time.monotonic() - said >= LINE_EVERY_S:
            said = time.monotonic()
            print(_line(label, done, total, said - began, note), file=sys.stderr, flush=True)  # noqa: T201

    yield advance


def _line(label: str, done: int, total: int | None, seconds: float, note: str) -> str:
    """`label: 3/10 after 6 s, about 14 s left, note`."""
    share = f"{done}/{total}" if total else str(done)
    left = f", about {seconds * (total - done) / done:.0f} s left" if total and 0 < done < total else ""
    return f"{label}: {share} after {seconds:.0f} s{left}" + (f", {note}" if note else "")
