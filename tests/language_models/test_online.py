"""Asking over a network: a real endpoint in its own process, real kills, and what the ledger and the endpoint say."""

import json
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial

import pytest

from features.recipes.reading import parse
from features.recipes.rlmrec_item import Answer
from language_models.answering import answer_all
from language_models.engines import make_engine
from language_models.judging import Question
from language_models.ledger import Ledger
from schemas.errors import BudgetError, EngineError, StoreError
from schemas.sections import Llm
from tests.support.prompts import make_prompt, make_question
from tests.support.simulator import simulator

PRICES = {"usd_per_million_input": 1.0, "usd_per_million_output": 4.0}
CHARGED = ("--price-input", "1", "--price-output", "4")


def llm_at(sim, **changes):
    base = {"engine": "openai", "model": "simulated", "base_url": sim.url, "timeout_s": 5.0, "concurrency": 32}
    return Llm.model_validate({**base, **changes})


def ask(sim, path, count, counts=None, **changes):
    llm = llm_at(sim, **changes)
    with Ledger(path) as ledger:
        return answer_all([make_question(str(n)) for n in range(count)], make_engine(llm), ledger, llm, counts)


@contextmanager
def asker(sim, path, count, **changes):
    """The same in a process of its own."""
    changes = {"concurrency": 16, **changes}
    command = [sys.executable, "-m", "tests.support.asker", str(path), sim.url, str(count), json.dumps(changes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until_paid(sim, count):
    deadline = time.monotonic() + 30
    while sim.stats()["paid"] < count:
        assert time.monotonic() < deadline, "the asker does not get on"
        time.sleep(0.01)


def states(path, count, engine):
    keys = [engine.key(make_prompt(str(n))) for n in range(count)]
    with Ledger(path) as ledger:
        return ledger.settled(keys), ledger.answers(keys), ledger.totals()


def test_every_question_is_answered_once_and_not_again(tmp_path):
    with simulator("--latency", "0.01") as sim:
        first = ask(sim, tmp_path / "l", 300)
        second = ask(sim, tmp_path / "l", 300)
        stats = sim.stats()
    assert (first.asked, first.cached, second.asked, second.cached) == (300, 0, 0, 300)
    assert (stats["requests"], stats["paid_twice"]) == (300, 0)
    assert first.input_tokens == stats["input_tokens"]
    assert stats["max_in_flight"] <= 32


def test_faults_that_cost_nothing_are_repeated_until_every_row_has_an_answer(tmp_path):
    faults = ["rate_limit=0.05", "rate_limit_after=0.05", "server_error=0.05", "retry_after_s=0.05"]
    with simulator(*(f"--fault={fault}" for fault in faults)) as sim:
        counts = ask(sim, tmp_path / "l", 400)
        stats = sim.stats()
    assert (counts.asked, counts.failed, counts.rejected) == (400, 0, 0)
    assert counts.retried == stats["requests"] - 400 > 20
    assert stats["paid"] == 400


def test_what_cannot_be_read_is_asked_again_and_a_second_time_rejected(tmp_path):
    with simulator("--fault=wrong_schema=0.3", "--fault=again=0.5", "--fault=length=0.2", "--fault=refusal=0.1") as sim:
        llm = llm_at(sim)
        engine = make_engine(llm)
        questions = [Question(make_prompt(str(n)), partial(parse, model=Answer)) for n in range(200)]
        with Ledger(tmp_path / "l") as ledger:
            counts = answer_all(questions, engine, ledger, llm)
        stats = sim.stats()
    settled, answers, _ = states(tmp_path / "l", 200, engine)
    assert len(settled) == 200
    assert counts.reasons.keys() <= {"schema", "no_json", "refusal", "truncated"}
    assert counts.rejected == sum(state == "rejected" for state in settled.values()) > 10
    assert counts.follow_ups == sum(len(said) - 1 for said in answers.values()) > 60
    assert stats["paid"] == 200 + counts.follow_ups


def test_a_reset_after_sending_is_counted_as_perhaps_paid(tmp_path):
    with simulator("--fault=reset=0.1", *CHARGED) as sim:
        counts = ask(sim, tmp_path / "l", 200, **PRICES)
        stats = sim.stats()
        _, _, totals = states(tmp_path / "l", 200, make_engine(llm_at(sim)))
    assert counts.asked == 200
    assert counts.unknown == totals.unknown == stats["by_fault"]["reset"] > 5
    assert stats["cost_usd"] <= totals.spent_usd + totals.possible_usd
    assert stats["cost_usd"] > totals.spent_usd


@pytest.mark.parametrize(("recovery", "option"), [("idempotency", ["--idempotency"]), ("stored", [])])
def test_with_recovery_nothing_is_paid_twice(tmp_path, recovery, option):
    with simulator("--fault=reset=0.1", *option) as sim:
        counts = ask(sim, tmp_path / "l", 200, recovery=recovery)
        stats = sim.stats()
    assert counts.asked == 200
    assert stats["by_fault"]["reset"] > 5
    assert (stats["paid"], stats["paid_twice"]) == (200, 0)


@pytest.mark.parametrize(("recovery", "option"), [("none", []), ("idempotency", ["--idempotency"]), ("stored", [])])
def test_a_killed_process_pays_again_only_for_what_was_in_flight(tmp_path, recovery, option):
    with simulator("--latency", "0.05", *option) as sim:
        with asker(sim, tmp_path / "l", 400, recovery=recovery) as process:
            until_paid(sim, 150)
            process.send_signal(signal.SIGKILL)
            process.wait()
        with Ledger(tmp_path / "l") as ledger:
            in_flight = len(ledger.orphans())
        counts = ask(sim, tmp_path / "l", 400, recovery=recovery)
        stats = sim.stats()
        settled, _, totals = states(tmp_path / "l", 400, make_engine(llm_at(sim)))
    assert len(settled) == 400
    assert 0 < in_flight <= 16 + 16
    again = stats["paid"] - 400
    if recovery == "none":
        assert again <= in_flight == counts.orphaned == totals.unknown
    else:
        assert (again, stats["paid_twice"]) == (0, 0)
    if recovery == "stored":
        assert counts.recovered > 0


def test_two_processes_on_one_ledger_send_nothing_twice(tmp_path):
    with simulator("--latency", "0.02") as sim:
        with asker(sim, tmp_path / "l", 400) as one, asker(sim, tmp_path / "l", 400) as other:
            asked = [json.loads(process.communicate(timeout=60)[0])["asked"] for process in (one, other)]
        stats = sim.stats()
    assert sum(asked) == stats["requests"] == 400
    assert stats["paid_twice"] == 0


def test_sigterm_drains_what_is_in_flight_and_stops(tmp_path):
    with simulator("--latency", "0.2") as sim:
        with asker(sim, tmp_path / "l", 2000) as process:
            until_paid(sim, 40)
            process.terminate()
            _, said = process.communicate(timeout=20)
        paid = sim.stats()["paid"]
        _, answers, totals = states(tmp_path / "l", 2000, make_engine(llm_at(sim)))
        assert process.returncode == 1
        assert "run the same command again to go on" in said
        assert "Traceback" not in said
        assert len(answers) == paid < 2000, "everything that was paid is in the ledger"
        assert totals.reserved_usd == 0.0
        with Ledger(tmp_path / "l") as ledger:
            assert ledger.orphans() == []


def test_the_cap_holds_with_many_calls_in_flight_and_is_used(tmp_path):
    with simulator("--latency", "0.02", *CHARGED) as sim:
        whole = ask(sim, tmp_path / "whole", 100, **PRICES)
        cap = whole.cost_usd * 10 * 0.5
        sim.reset()
        with pytest.raises(BudgetError, match="--max-cost"):
            ask(sim, tmp_path / "l", 1000, max_cost_usd=cap, concurrency=128, max_output_tokens=200, **PRICES)
        spent = sim.stats()["cost_usd"]
    assert 0.9 * cap <= spent <= cap


@pytest.mark.parametrize(
    ("fault", "said"), [("insufficient_quota_after=20", "quota"), ("unauthorized_after=20", "key")]
)
def test_an_endpoint_that_refuses_for_good_ends_the_run_and_keeps_the_answers(tmp_path, fault, said):
    with simulator(f"--fault={fault}", "--latency", "0.01") as sim:
        with pytest.raises(EngineError, match=said):
            ask(sim, tmp_path / "l", 200, concurrency=4)
        _, answers, totals = states(tmp_path / "l", 200, make_engine(llm_at(sim)))
        assert len(answers) == sim.stats()["paid"] >= 20
        assert totals.reserved_usd == 0.0
        sim.faults({})
        assert ask(sim, tmp_path / "l", 200).asked == 200 - len(answers)


def test_the_response_format_that_an_endpoint_takes_is_remembered(tmp_path):
    with simulator("--formats", "text") as sim:
        ask(sim, tmp_path / "l", 20)
        refused = sim.stats()["by_status"]["400"]
        ask(sim, tmp_path / "l", 40)
        assert sim.stats()["by_status"]["400"] == refused > 0


def test_a_full_disk_ends_the_run_with_a_clear_error(tmp_path):
    script = """
import resource, sys
from tests.support import asker
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, 600_000))
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
asker.main()
"""
    with simulator() as sim:
        command = [sys.executable, "-c", script, str(tmp_path / "l"), sim.url, "4000"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == StoreError.exit_code
    assert "free some disk space and run again; every answer so far is kept" in done.stderr
    assert "Traceback" not in done.stderr


def test_memory_and_leases_are_bounded_by_the_calls_in_flight(tmp_path):
    drawn = []

    def questions():
        for n in range(3000):
            drawn.append(n)
            yield make_question(str(n))

    with simulator("--latency", "0.02") as sim:
        llm = llm_at(sim)
        ahead = []
        with Ledger(tmp_path / "l") as ledger:
            answer_all(questions(), make_engine(llm), ledger, llm, progress=lambda c: ahead.append(len(drawn) - c.done))
    assert len(ahead) > 3
    assert max(ahead) <= 1100
