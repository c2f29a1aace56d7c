"""A look at a ledger from outside: the same figures as its workers see, and nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from language_models.ledger import Ledger, Totals
from language_models.ledger.peek import peek
from schemas.errors import StoreError
from tests.language_models.ledger.workers import make_answer, make_call


def test_money_and_calls_in_flight_are_seen_while_a_worker_is_at_it(place: str) -> None:
    with Ledger(place, "2026-01-01") as ledger:
        ledger.lease([make_call("a"), make_call("b")])
        ledger.respond([make_answer("a")])
        seen = peek(place, "2026-01-01")
        assert seen is not None
        assert (seen.totals, seen.in_flight) == (ledger.totals(), 1)
        assert seen.totals == Totals(spent_usd=0.25, reserved_usd=0.5)
        assert peek(place, "2026-01-02") == (Totals(), 0)


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path, postgres) -> None:
    assert peek(tmp_path / "ledger.sqlite", "2026-01-01") is None
    assert list(tmp_path.iterdir()) == []
    assert peek(postgres.empty(), "2026-01-01") is None


def test_what_is_no_ledger_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("not a database, although it is long enough to be taken for one" * 20)
    with pytest.raises(StoreError, match=r"ledger\.sqlite: the ledger cannot be looked at"):
        peek(tmp_path / "ledger.sqlite", "2026-01-01")


def test_a_password_is_not_told() -> None:
    with pytest.raises(StoreError) as error:
        peek("postgresql://someone:secret-word@127.0.0.1:1/none", "2026-01-01")
    assert "secret-word" not in str(error.value)
