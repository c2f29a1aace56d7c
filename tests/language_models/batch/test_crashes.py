"""R3: a run is killed with kill -9 at each named point of the batch mode, and a fresh process goes on."""

import pytest

from language_models.batch.requests import request_line
from language_models.ledger import Ledger
from tests.language_models.batch.runs import NIGHT, answer, answer_and_die, assert_all_answered, make_llm

ROWS, PER_FILE = 300, 290  # two files; the answers of the first come in two transactions
POINTS = [
    ("judged", 1),
    ("lease", 1),
    ("lease", 2),
    ("leased", 1),
    ("uploaded", 1),
    ("upload_saved", 1),
    ("created", 1),
    ("created", 2),
    ("create_saved", 1),
    ("polled", 1),
    ("poll_saved", 1),
    ("downloaded", 1),
    ("responded", 1),
    ("responded", 2),
    ("rest_settled", 1),
    ("landed", 1),
    ("landed", 2),
]


@pytest.mark.parametrize(("name", "time"), POINTS)
def test_a_run_that_is_killed_is_continued_without_paying_twice(sim, ledger_file, name, time):
    llm = make_llm(sim.url, batch_requests=PER_FILE)
    answer_and_die(ledger_file, llm, ROWS, name, time)
    answer(ledger_file, llm, ROWS)
    assert_all_answered(sim, ledger_file, llm, ROWS)
    assert sim.stats()["batches_created"] == 2
    assert sim.stats()["paid"] == ROWS


@pytest.mark.parametrize("name", ["lease", "leased", "uploaded", "created", "responded", "landed"])
def test_killed_in_the_batch_of_the_follow_ups_it_is_continued_as_well(sim, ledger_file, name):
    sim.change({"wrong_schema": 0.3})
    llm = make_llm(sim.url)
    answer_and_die(ledger_file, llm, 30, name, 2)
    answer(ledger_file, llm, 30)
    assert_all_answered(sim, ledger_file, llm, 30)
    assert sim.stats()["batches_created"] == 2
    assert sim.stats()["paid"] == 30 + sim.stats()["by_fault"]["wrong_schema"]


def test_killed_over_and_over_again_it_comes_to_the_same(sim, ledger_file):
    llm = make_llm(sim.url, batch_requests=PER_FILE)
    for name in dict.fromkeys(name for name, _ in POINTS):
        answer_and_die(ledger_file, llm, ROWS, name)
    answer(ledger_file, llm, ROWS)
    assert_all_answered(sim, ledger_file, llm, ROWS)
    assert sim.stats()["batches_created"] == 2


def test_a_batch_that_is_killed_between_upload_and_record_uses_the_file_that_is_there(sim, ledger_file):
    llm = make_llm(sim.url)
    answer_and_die(ledger_file, llm, 5, "uploaded")
    answer(ledger_file, llm, 5)
    assert sim.stats()["files_uploaded"] == 1


def test_a_file_is_made_again_with_the_same_bytes(sim, ledger_file):
    llm = make_llm(sim.url)
    answer_and_die(ledger_file, llm, 5, "uploaded")
    (first,) = sim.ask("GET", "/v1/files?purpose=batch&limit=1")["data"]
    with Ledger(ledger_file, NIGHT) as ledger:
        (batch,) = ledger.batches()
        lines = b"".join(request_line(call, llm, batch.detail) for call in ledger.leased_by(batch.id))
    assert first["bytes"] == len(lines)
    assert first["filename"] == f"loregraph-{batch.id}.jsonl"


def test_the_calls_of_a_killed_intent_are_free_again_when_the_settings_have_changed(sim, ledger_file):
    answer_and_die(ledger_file, make_llm(sim.url), 5, "leased")
    other = make_llm(sim.url, temperature=0.7)
    answer(ledger_file, other, 5)
    assert_all_answered(sim, ledger_file, other, 5)
    assert sim.stats()["paid"] == 5
