"""Leases: which calls may be sent now, by whom, and within which cap; the intent is committed before sending."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from language_models.ledger.database import Database
from language_models.ledger.money import Money, committed, pico
from language_models.ledger.printable import printable
from language_models.ledger.standing import Standing, standings, write
from language_models.ledger.templates import Templates
from language_models.ledger.types import Call, Granted
from schemas.errors import StoreError

Outcome = Literal["taken", "answered", "held", "orphaned", "refused"]
STATE = """
INSERT INTO states (number, key, state, reason, night, holder, reserved_usd, input_tokens, paid, attempts, turn,
  template, id, sample, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PROMPT = "INSERT INTO prompts (number, text, correction, room) VALUES (?, ?, ?, ?)"
FOLLOW_UP = "UPDATE prompts SET correction = ?, room = ? WHERE number = ?"


@dataclass(slots=True)
class Leasing:
    """One transaction's leases for `holder`; first come first: from the first that could pass the cap on, all wait."""

    database: Database
    templates: Templates
    holder: str
    night: str
    now: float
    cap_usd: float | None
    alive: Callable[[str], bool]  # whether another holder lives
    known: dict[str, Standing] = field(default_factory=dict)
    new: dict[str, Call] = field(default_factory=dict)
    changed: dict[str, Standing] = field(default_factory=dict)
    follow_ups: list[tuple[str, int, int]] = field(default_factory=list)
    money: Money = field(default_factory=Money)
    committed: int = 0
    closed: bool = False
    next_number: int = 0

    def lease(self, requests: Sequence[Sequence[Call]]) -> list[Granted]:
        """What became of every request's calls; all is written, and becomes true with the transaction's commit."""
        self.known = standings(self.database, (call.key for calls in requests for call in calls))
        self.committed = committed(self.database, self.night)
        self.next_number = self.database.next_number("states")
        granted = [self._request(calls) for calls in requests]
        self._write()
        return granted

    def _request(self, calls: Iterable[Call]) -> Granted:
        granted = Granted()
        for call in calls:
            getattr(granted, self._one(call)).append(call.key)
        return granted

    def _one(self, call: Call) -> Outcome:
        standing = self.known.get(call.key)
        if standing is not None and (seen := self._seen(standing, call.prompt.turn)):
            return seen
        if standing is None:
            standing = self._plan(call)
        if self.closed or not self._affordable(call):
            self.closed = True
            return "refused"
        self._take(standing, call)
        return "taken"

    def _seen(self, standing: Standing, turn: int) -> Outcome | None:
        """Why a known call is not to be sent; None when it may be."""
        if standing.leased:
            return "held" if standing.holder == self.holder or self.alive(standing.holder or "") else "orphaned"
        if standing.paid > turn or standing.state == "published":
            return "answered"
        if standing.paid < turn:
            raise StoreError(
                f"{self.database.where}: ledger: call {standing.key}: expected the answer before turn {turn}, found "
                f"{standing.paid}; ask its turns in order"
            )
        return None

    def _affordable(self, call: Call) -> bool:
        return self.cap_usd is None or self.committed + pico(call.reserved_usd) <= pico(self.cap_usd)

    def _plan(self, call: Call) -> Standing:
        prompt, number = call.prompt, self.next_number
        self.next_number += 1
        self.new[call.key] = call
        about = (self.templates.number(call), prompt.id, call.model, prompt.recipe, prompt.kind)
        standing = Standing(
            number, call.key, "planned", "", self.night, None, call.reserved_usd, call.input_tokens, 0, 0, 0, *about
        )
        self.known[call.key] = standing
        return standing

    def _take(self, standing: Standing, call: Call) -> None:
        standing.state, standing.reason, standing.night, standing.holder = "leased", "", self.night, self.holder
        standing.reserved_usd, standing.input_tokens = call.reserved_usd, call.input_tokens
        standing.attempts += 1
        if call.key not in self.new:
            standing.template = self.templates.number(call)
            self.changed[call.key] = standing
            if call.prompt.turn or standing.turn:
                self.follow_ups.append((printable(call.prompt.correction), call.prompt.room, standing.number))
        standing.turn = call.prompt.turn
        self.committed += pico(call.reserved_usd)
        self.money.reserve(self.night, call.reserved_usd)

    def _write(self) -> None:
        pairs = [(self.known[key], call) for key, call in self.new.items()]
        self.database.executemany(STATE, [self._row(standing, call) for standing, call in pairs])
        self.database.executemany(PROMPT, [_prompt(standing, call) for standing, call in pairs])
        self.database.executemany(FOLLOW_UP, self.follow_ups)
        write(self.database, self.changed.values())
        self.money.write(self.database)

    def _row(self, at: Standing, call: Call) -> tuple[object, ...]:
        where = (at.number, at.key, at.state, at.reason, at.night, at.holder, at.reserved_usd, at.input_tokens)
        return (*where, at.paid, at.attempts, at.turn, at.template, at.id, call.prompt.sample, self.now)


def _prompt(standing: Standing, call: Call) -> tuple[object, ...]:
    return standing.number, printable(call.prompt.user), printable(call.prompt.correction), call.prompt.room
