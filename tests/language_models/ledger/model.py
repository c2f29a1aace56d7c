"""What a ledger should be, without a database: dictionaries, and money in whole cents of a cent."""

from __future__ import annotations

from dataclasses import dataclass, field

UNIT = 0.0001  # US dollars


@dataclass
class Fate:
    """One call as the model has it."""

    state: str = "planned"
    reason: str = ""
    holder: str | None = None
    night: str = ""
    reserved: int = 0
    turn: int = 0
    answers: list[tuple[str, int]] = field(default_factory=list)  # text, cost

    def end(self) -> None:
        self.state, self.holder = "responded" if self.answers else "planned", None


@dataclass
class Model:
    """All calls, the money of the nights, and who lives."""

    calls: dict[str, Fate] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)
    possible: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    late: dict[str, int] = field(default_factory=dict)  # of spent and possible: what came after its lease had ended
    living: dict[str, str] = field(default_factory=dict)  # worker -> night
    batches: dict[str, str] = field(default_factory=dict)  # id -> state

    def lives(self, holder: str | None) -> bool:
        return holder in self.living or self.batches.get(holder or "", "landed") != "landed"

    def reserved(self, night: str) -> int:
        return sum(fate.reserved for fate in self.calls.values() if fate.state == "leased" and fate.night == night)

    def committed(self, night: str) -> int:
        return self.spent.get(night, 0) + self.possible.get(night, 0) + self.reserved(night)

    def lease(self, holder: str, night: str, wanted: list[tuple[str, int, int]], cap: int | None) -> list[str]:
        """`wanted`: key, cost, turn. What became of each."""
        outcomes, closed = [], False
        for key, cost, turn in wanted:
            fate = self.calls.get(key)
            if fate is not None and fate.state == "leased":
                outcomes.append("held" if self.lives(fate.holder) else "orphaned")
            elif fate is not None and (len(fate.answers) > turn or fate.state == "published"):
                outcomes.append("answered")
            else:
                fate = self.calls.setdefault(key, Fate(night=night, reserved=cost))
                closed = closed or (cap is not None and self.committed(night) + cost > cap)
                outcomes.append("refused" if closed else "taken")
                if not closed:
                    fate.state, fate.reason, fate.holder, fate.night = "leased", "", holder, night
                    fate.reserved, fate.turn = cost, turn
        return outcomes

    def may_end(self, worker: str, fate: Fate) -> bool:
        return fate.state == "leased" and (fate.holder == worker or fate.holder not in self.living)

    def respond(self, worker: str, key: str, kind: str, text: str, cost: int) -> None:
        fate, night = self.calls[key], self.living[worker]
        ended = self.may_end(worker, fate)
        if ended:
            night = fate.night
            fate.end()
        charged = {"paid": cost, "unknown": fate.reserved, "failed": 0}[kind]
        if not ended:
            _add(self.late, night, charged)
        if kind == "paid":
            fate.answers.append((text, cost))
            _add(self.spent, night, cost)
            if fate.state == "planned" or fate.reason.startswith("error:"):
                fate.state, fate.reason = "responded", ""
        elif kind == "unknown":
            self.doubt(night, fate.reserved)
        elif fate.state in ("planned", "responded"):
            fate.state, fate.reason = "rejected", "error:server"

    def doubt(self, night: str, cost: int) -> None:
        _add(self.possible, night, cost)
        _add(self.unknown, night, 1)

    def abandon(self, worker: str, keys: list[str], charged: bool) -> None:
        for key in keys:
            fate = self.calls.get(key)
            if fate is not None and self.may_end(worker, fate):
                fate.end()
                if charged:
                    self.doubt(fate.night, fate.reserved)

    def adopt(self, worker: str, keys: list[str]) -> list[str]:
        orphans = [key for key in keys if key in self.calls and self._orphaned(self.calls[key])]
        for key in orphans:
            self.calls[key].holder = worker
        return orphans

    def settle(self, key: str, state: str) -> None:
        fate = self.calls[key]
        if fate.state != "leased" and (fate.state, state) != ("published", "parsed"):
            fate.state, fate.reason = state, "" if state == "parsed" else "schema"

    def publish(self, keys: list[str]) -> None:
        for key in keys:
            if key in self.calls and self.calls[key].state == "parsed":
                self.calls[key].state = "published"

    def settled(self) -> dict[str, str]:
        return {
            key: fate.state
            for key, fate in self.calls.items()
            if fate.state in ("parsed", "published")
            or (fate.state == "rejected" and fate.answers and not fate.reason.startswith("error:"))
        }

    def failures(self) -> set[str]:
        return {key for key, fate in self.calls.items() if fate.state == "rejected" and not fate.answers}

    def orphans(self) -> set[str]:
        return {key for key, fate in self.calls.items() if self._orphaned(fate)}

    def _orphaned(self, fate: Fate) -> bool:
        return fate.state == "leased" and not self.lives(fate.holder)


def _add(sums: dict[str, int], night: str, value: int) -> None:
    sums[night] = sums.get(night, 0) + value
