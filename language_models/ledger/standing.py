"""Where a call stands: its row in `states`, which the rules of the ledger change and one statement writes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter

from language_models.ledger.database import Database
from language_models.ledger.types import State

COLUMNS = """
SELECT states.number, key, state, reason, night, holder, reserved_usd, input_tokens, paid, attempts, turn, template,
  states.id, templates.model, recipe, kind
FROM states JOIN templates ON templates.number = states.template WHERE key IN
"""
UPDATE = """
UPDATE states SET state = ?, reason = ?, night = ?, holder = ?, reserved_usd = ?, input_tokens = ?, paid = ?,
  attempts = ?, turn = ?, template = ? WHERE number = ?
"""
WRITTEN = attrgetter(
    "state", "reason", "night", "holder", "reserved_usd", "input_tokens", "paid", "attempts", "turn", "template",
    "number",
)  # fmt: skip


@dataclass(slots=True)
class Standing:
    """One call. `reserved_usd` counts in the budget while it is leased; `paid` is the number of its answers."""

    number: int
    key: str
    state: State
    reason: str
    night: str
    holder: str | None  # who has it leased: a worker, or a batch
    reserved_usd: float
    input_tokens: int
    paid: int
    attempts: int
    turn: int
    template: int
    id: str
    model: str
    recipe: str
    kind: str

    @property
    def leased(self) -> bool:
        return self.state == "leased"

    def free(self) -> None:
        """End the lease; the call is again what it was before, as far as answers go."""
        self.state, self.holder = "responded" if self.paid else "planned", None


def standings(database: Database, keys: Iterable[str]) -> dict[str, Standing]:
    """The known calls among `keys`."""
    return {row[1]: Standing(*row) for row in database.lookup(COLUMNS, dict.fromkeys(keys))}


def write(database: Database, changed: Iterable[Standing]) -> None:
    """Write back what the rules have changed."""
    database.executemany(UPDATE, [WRITTEN(call) for call in changed])
