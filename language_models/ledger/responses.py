"""What comes back from a call: kept raw, with its cost, before anyone reads it; and what becomes of its lease."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from language_models.ledger.database import Database
from language_models.ledger.money import Money
from language_models.ledger.printable import printable
from language_models.ledger.standing import Standing, standings, write
from schemas.errors import StoreError
from schemas.records import Completion

ANSWER = """
INSERT INTO answers (call, turn, night, finish_reason, text, input_tokens, output_tokens, cached_tokens, cost_usd,
  model, latency_s, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
LATEST = """
INSERT INTO latest (recipe, kind, id, call) VALUES (?, ?, ?, ?)
ON CONFLICT (recipe, kind, id) DO UPDATE SET call = excluded.call
"""


@dataclass(slots=True)
class Responses:
    """One transaction's outcomes. A paid answer is kept whoever has the call leased by now, and its cost counted."""

    database: Database
    night: str  # whose money an answer is that comes after its lease has ended
    now: float
    may_end: Callable[[str], bool]  # whether a holder's lease is ours to end
    changed: dict[str, Standing] = field(default_factory=dict)
    answers: list[tuple[object, ...]] = field(default_factory=list)
    latest: dict[tuple[str, str, str], int] = field(default_factory=dict)
    money: Money = field(default_factory=Money)

    def keep(self, completions: Sequence[Completion]) -> None:
        """Write what came. Raises StoreError, and writes nothing, where a call was never leased."""
        known = standings(self.database, (completion.key for completion in completions))
        for completion in completions:
            if completion.key not in known:
                raise StoreError(
                    f"{self.database.where}: ledger: call {completion.key}: expected a lease before its answer, found "
                    "none; nothing of its group is kept"
                )
        for completion in completions:
            self._one(known[completion.key], completion)
        self._write()

    def abandon(self, keys: Sequence[str], charged: bool) -> None:
        """End leases without an answer; `charged`: they may have been paid."""
        for call in standings(self.database, keys).values():
            if call.leased and self.may_end(call.holder or ""):
                if charged:
                    self._doubt(call, "unknown:abandoned", call.turn)
                else:
                    self._end_lease(call)
        self._write()

    def _one(self, call: Standing, completion: Completion) -> None:
        if completion.unknown:
            self._doubt(call, completion.finish_reason, completion.turn)
        elif completion.failed:
            self._fail(call, completion)
        else:
            self._answer(call, completion)

    def _answer(self, call: Standing, completion: Completion) -> None:
        night = self._end_lease(call)
        if completion.turn == call.paid == 0 and call.input_tokens and completion.input_tokens:
            self.money.calibrate(call.model, call.recipe, call.input_tokens, completion.input_tokens)
        call.paid += 1
        if call.state == "planned" or call.reason.startswith("error:"):
            call.state, call.reason = "responded", ""
        self.changed[call.key] = call
        self.latest[call.recipe, call.kind, call.id] = call.number
        self.money.spend(self._append(call, completion, night), completion.cost_usd)

    def _fail(self, call: Standing, completion: Completion) -> None:
        night = self._end_lease(call)
        if call.state in ("planned", "responded"):
            call.state, call.reason = "rejected", completion.finish_reason
            self.changed[call.key] = call
        self._append(call, replace(completion, cost_usd=0.0), night)

    def _doubt(self, call: Standing, reason: str, turn: int) -> None:
        """The call was sent, may have been paid, and nobody has the answer: the most it can have cost is counted."""
        night = self._end_lease(call)
        lost = Completion(call.key, "", reason, 0, 0, call.reserved_usd, call.model, 0.0, turn=turn)
        self.money.doubt(self._append(call, lost, night), call.reserved_usd)

    def _end_lease(self, call: Standing) -> str | None:
        """The night that the reservation was made in; None where the call is not leased, or not ours to end."""
        if not call.leased or not self.may_end(call.holder or ""):
            return None
        self.money.free(call.night, call.reserved_usd)
        call.free()
        self.changed[call.key] = call
        return call.night

    def _append(self, call: Standing, completion: Completion, night: str | None) -> str:
        """Keep the outcome; returns the night whose money it is."""
        night = self.night if night is None else night
        text = (printable(completion.finish_reason), printable(completion.text))
        tokens = (completion.input_tokens, completion.output_tokens, completion.cached_tokens)
        rest = (completion.cost_usd, completion.model, completion.latency_s, self.now)
        self.answers.append((call.number, completion.turn, night, *text, *tokens, *rest))
        return night

    def _write(self) -> None:
        self.database.executemany(ANSWER, self.answers)
        write(self.database, self.changed.values())
        self.database.executemany(LATEST, [(*about, number) for about, number in sorted(self.latest.items())])
        self.money.write(self.database)
