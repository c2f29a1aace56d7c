"""A user's history cut into closed partitions that never change again (LIBER, arXiv 2411.14713: streaming partitions).

Events enter in the order in which they are seen: a night appends what is new to those before. `size` events close a
partition; what is left waits in a short-term cache and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from schemas.records import Event, ProfileRow, Reject, Row, Subject

Reader = Callable[[Sequence[Subject]], tuple[Iterable[Row], Iterable[Reject]]]
UNREAD = ("not_asked", "missing")  # no answer came: what follows has to wait for it


@dataclass(frozen=True, slots=True)
class Partition:
    """A closed partition: its number from 1, its events in order, and whether one is older than those before it."""

    part: int
    events: tuple[Event, ...]
    late: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(event.id for event in self.events)


@dataclass(frozen=True)
class Closed:
    """A partition that an earlier night has closed, and what its answer said; no `texts` where it said nothing."""

    part: int
    ids: tuple[str, ...]
    texts: Mapping[str, str] = field(default_factory=dict)


def cut(history: Sequence[Event], closed: Sequence[Closed], size: int) -> tuple[list[Partition], list[Event]]:
    """All partitions of a history (oldest first) and the cache that is left, each event in exactly one of them.

    Closed partitions stay as they are, from the first on, as long as every event of theirs is still in the history and
    they have `size` events; the rest is made anew. An event that arrives late waits in the cache with the new ones.
    """
    left = {event.id: event for event in history}  # of a repeated item the last event, at its first place
    kept: list[Partition] = []
    for old in sorted(closed, key=lambda each: each.part):
        if old.part != len(kept) + 1 or len(old.ids) != size or any(id not in left for id in old.ids):
            break
        kept.append(Partition(old.part, tuple(left.pop(id) for id in old.ids)))
    fresh = list(left.values())
    full = len(fresh) // size * size
    chunks = [tuple(fresh[start : start + size]) for start in range(0, full, size)]
    made = [Partition(len(kept) + number, events) for number, events in enumerate(chunks, start=1)]
    return _marked([*kept, *made]), fresh[full:]


def _marked(partitions: Sequence[Partition]) -> list[Partition]:
    latest, marked = float("-inf"), list[Partition]()
    for each in partitions:
        times = [event.time for event in each.events if event.time is not None]
        marked.append(replace(each, late=bool(times) and min(times) < latest))
        latest = max([latest, *times])
    return marked


class Cascade:
    """Users' partitions in turn: the first of everybody, then the second with what was said before it, and so on.

    Partitions that have a text already are not subjects. `read` gives what answers came to. A partition without an
    answer holds up those that follow, unless `assumed` says what to show in its place (a plan); one that was answered
    in vain, or that there is nothing to ask about, is passed over, and the text before it is carried on. Memory grows
    with the users' open partitions and one answer for each user.
    """

    def __init__(
        self,
        users: Iterable[Subject],
        closed: Mapping[str, Sequence[Closed]],
        size: int,
        assumed: Mapping[str, str] | None = None,
    ) -> None:
        self._assumed = assumed
        self._waiting: dict[str, tuple[Subject, Sequence[_Turn], Mapping[str, str]]] = {}
        for user in users:
            old = closed.get(user.id, ())
            parts, _ = cut(user.history, old, size)
            turns = list(_turns(parts, {each.ids: each.texts for each in old if each.texts}))
            if turns:
                self._waiting[user.id] = replace(user, history=()), turns, turns[0].before or {}

    def waves(self, read: Reader) -> Iterator[list[Subject]]:
        """The subjects that can be asked about, until none is left; each wave is read after the caller has asked it."""
        while self._waiting:
            wave = [
                replace(user, history=turns[0].part.events, reviews=(), part=turns[0].part.part, before=before)
                for user, turns, before in self._waiting.values()
            ]
            yield wave
            self._advance(*read(wave))

    def _advance(self, rows: Iterable[Row], rejects: Iterable[Reject]) -> None:
        said: dict[str, dict[str, str]] = {}
        for row in rows:
            if isinstance(row, ProfileRow):
                said.setdefault(row.id, {})[row.field] = row.text
        unread = {each.id for each in rejects if each.reason in UNREAD or ":" in each.reason}
        waiting: dict[str, tuple[Subject, Sequence[_Turn], Mapping[str, str]]] = {}
        for id, (user, turns, shown) in self._waiting.items():
            if len(turns) == 1 or (id in unread and self._assumed is None):
                continue
            told = (self._assumed if id in unread else said.get(id)) or shown
            before = turns[1].before
            waiting[id] = user, turns[1:], told if before is None else before
        self._waiting = waiting


class _Turn(NamedTuple):
    part: Partition
    before: Mapping[str, str] | None  # the text before it; None where that is what comes of the turn before


def _turns(parts: Iterable[Partition], known: Mapping[tuple[str, ...], Mapping[str, str]]) -> Iterator[_Turn]:
    """The partitions without a text."""
    before: Mapping[str, str] | None = {}
    for part in parts:
        if part.ids in known:
            before = known[part.ids]
        else:
            yield _Turn(part, before)
            before = None
