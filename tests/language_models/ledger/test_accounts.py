"""Everything that the ledger keeps of a call, read back in one piece from either database."""

from dataclasses import replace

import pytest

from language_models.ledger import Ledger
from language_models.ledger import lookups as ledger_lookups
from tests.language_models.ledger.workers import make_answer, make_call


@pytest.fixture
def ledger(place):
    with Ledger(place, "2026-01-01", clock=lambda: 1_000.5) as ledger:
        yield ledger


def test_an_account_has_what_was_sent_and_every_paid_answer_in_order(ledger) -> None:
    ledger.lease([make_call("a")])
    ledger.respond([make_answer("a", reason="length", text="cut o")])
    follow_up = make_call("a", turn=1)
    ledger.lease([replace(follow_up, prompt=replace(follow_up.prompt, correction="Write less."))])
    ledger.respond([make_answer("a", 0.5, text="whole", turn=1)])
    [found] = ledger.accounts(["a"])
    prompt = make_call("a").prompt
    assert (found.key, found.recipe, found.version, found.kind, found.id) == ("a", "rlmrec.item", "1", "item", "a")
    assert (found.system, found.user, found.correction) == (prompt.system, prompt.user, "Write less.")
    assert (found.engine, found.endpoint, found.model) == ("engine", "https://endpoint", "model")
    assert found.answers == ("cut o", "whole")
    assert (found.finish_reason, found.answered_by, found.turns) == ("stop", "model-of-today", 2)
    assert (found.input_tokens, found.output_tokens, found.cost_usd) == (24, 8, 0.75)
    assert (found.asked_at, found.answered_at) == (1_000.5, 1_000.5)


def test_what_the_ledger_does_not_have_is_none_and_unknown_keys_are_absent(ledger) -> None:
    ledger.lease([replace(make_call("a"), endpoint="")])
    ledger.respond([make_answer("a", 0.0, "error:server", "503")])
    [found] = ledger.accounts(["a", "never", "a"])
    assert (found.answers, found.turns, found.cost_usd) == ((), 0, 0.0)
    assert (found.endpoint, found.correction) == (None, None)
    assert (found.finish_reason, found.answered_by, found.answered_at) == (None, None, None)


def test_no_credentials_of_an_endpoint_are_shown(ledger) -> None:
    ledger.lease([replace(make_call("a"), endpoint="https://me:secret@host:8443/v1?api-key=secret#x")])
    assert next(ledger.accounts(["a"])).endpoint == "https://host:8443/v1"


def test_any_number_of_calls_in_batches(ledger, monkeypatch) -> None:
    monkeypatch.setattr(ledger_lookups, "LOOKUP", 3)
    keys = [f"k{n}" for n in range(11)]
    ledger.lease([make_call(key) for key in keys])
    ledger.respond([make_answer(key, text=f"about {key}") for key in keys])
    assert {found.key: found.answers for found in ledger.accounts(keys)} == {key: (f"about {key}",) for key in keys}
