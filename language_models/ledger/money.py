"""The money of each night and the calibration of token estimates: running sums, kept in the same transactions."""

from __future__ import annotations

from collections import defaultdict

from language_models.ledger.database import Database
from language_models.ledger.types import Totals

PICO = 1_000_000_000_000  # whole picodollars: sums are exact in any order
ADD = """
INSERT INTO budget (night, spent, possible, reserved, unknown) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (night) DO UPDATE SET spent = budget.spent + excluded.spent,
  possible = budget.possible + excluded.possible, reserved = budget.reserved + excluded.reserved,
  unknown = budget.unknown + excluded.unknown
"""
CALIBRATE = """
INSERT INTO calibration (model, recipe, estimated, counted) VALUES (?, ?, ?, ?)
ON CONFLICT (model, recipe) DO UPDATE SET estimated = calibration.estimated + excluded.estimated,
  counted = calibration.counted + excluded.counted
"""
SPENT, POSSIBLE, RESERVED, UNKNOWN = range(4)


def pico(usd: float) -> int:
    """US dollars in picodollars, rounded."""
    return round(usd * PICO)


class Money:
    """What one transaction adds to the sums; `write` puts it into the database."""

    def __init__(self) -> None:
        self._nights: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._tokens: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])

    def spend(self, night: str, usd: float) -> None:
        self._nights[night][SPENT] += pico(usd)

    def reserve(self, night: str, usd: float) -> None:
        self._nights[night][RESERVED] += pico(usd)

    def free(self, night: str, usd: float) -> None:
        self._nights[night][RESERVED] -= pico(usd)

    def doubt(self, night: str, usd: float) -> None:
        """A call that may have been paid."""
        self._nights[night][POSSIBLE] += pico(usd)
        self._nights[night][UNKNOWN] += 1

    def calibrate(self, model: str, recipe: str, estimated: int, counted: int) -> None:
        sums = self._tokens[model, recipe]
        sums[0] += estimated
        sums[1] += counted

    def write(self, database: Database) -> None:
        database.executemany(ADD, [(night, *sums) for night, sums in sorted(self._nights.items()) if any(sums)])
        database.executemany(CALIBRATE, [(*about, *sums) for about, sums in sorted(self._tokens.items())])


def committed(database: Database, night: str) -> int:
    """Picodollars of the night that count towards its cap: spent, possibly spent, and reserved."""
    rows = database.query("SELECT spent + possible + reserved FROM budget WHERE night = ?", (night,))
    return int(rows[0][0]) if rows else 0


def totals(database: Database, night: str) -> Totals:
    """The sums of a night in US dollars."""
    rows = database.query("SELECT spent, possible, reserved, unknown FROM budget WHERE night = ?", (night,))
    if not rows:
        return Totals()
    spent, possible, reserved, unknown = rows[0]
    return Totals(spent / PICO, possible / PICO, reserved / PICO, unknown)


def calibration(database: Database, model: str, recipe: str) -> tuple[int, int] | None:
    """Estimated and counted input tokens of all first answers."""
    rows = database.query("SELECT estimated, counted FROM calibration WHERE model = ? AND recipe = ?", (model, recipe))
    return (int(rows[0][0]), int(rows[0][1])) if rows else None
