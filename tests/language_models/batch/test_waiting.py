"""How a run waits: stop requests, late batches, and several workers on one ledger."""

import multiprocessing
import os
import signal
import threading
import time
from functools import partial

import pytest

from language_models.batch import answer_batches
from language_models.batch.window import deadline, window_s
from language_models.engines.openai_engine import OpenAIEngine
from language_models.ledger import Call, Ledger
from language_models.prices import reserve_usd
from schemas.errors import ConfigError, StopError
from tests.language_models.batch.runs import (
    NIGHT,
    answer,
    answer_and_die,
    assert_all_answered,
    batches_at,
    make_llm,
    questions,
)


def test_a_stop_request_leaves_the_batch_running_and_the_next_run_collects_it(sim, ledger_file):
    sim.change({"batch_delay_s": 1.0})
    llm = make_llm(sim.url)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()
    with pytest.raises(StopError, match=r"1 batches go on .* run the same command again"):
        answer(ledger_file, llm, 5)
    assert batches_at(sim)[0]["status"] in ("validating", "in_progress")
    answer(ledger_file, llm, 5)
    assert sim.stats()["batches_created"] == 1
    assert_all_answered(sim, ledger_file, llm, 5)


def test_no_further_file_is_submitted_after_a_stop_request(sim, ledger_file):
    llm = make_llm(sim.url, batch_requests=2)
    checkpoint = {"create_saved": lambda: os.kill(os.getpid(), signal.SIGTERM)}
    with pytest.raises(StopError):
        answer(ledger_file, llm, 8, lambda name: checkpoint.get(name, lambda: None)())
    assert sim.stats()["batches_created"] == 1


def test_a_late_batch_is_cancelled_and_what_it_had_finished_is_kept(sim, ledger_file):
    sim.change({"batch_delay_s": 2.5})
    llm = make_llm(sim.url, batch_window="1s")
    quicker = {"polled": lambda: sim.change({"batch_delay_s": 0.05})}
    answer(ledger_file, llm, 40, lambda name: quicker.get(name, lambda: None)())
    again, late = batches_at(sim)[:2]
    assert late["status"] == "cancelled"
    assert 0 < late["request_counts"]["completed"] < 40
    assert late["request_counts"]["completed"] + again["request_counts"]["total"] == 40
    assert_all_answered(sim, ledger_file, llm, 40)
    assert sim.stats()["paid"] == 40


def test_lateness_is_counted_from_the_submission_and_not_from_the_start_of_a_process(sim, ledger_file):
    sim.change({"batch_delay_s": 60})
    llm = make_llm(sim.url, batch_window="1s")
    answer_and_die(ledger_file, llm, 5, "create_saved")
    with Ledger(ledger_file, NIGHT) as ledger:
        (batch,) = ledger.batches()
    assert 0 <= time.time() - batch.submitted_at < 1
    time.sleep(1.1)
    sim.change({"batch_delay_s": 0.05})
    with pytest.raises(StopError):
        answer(ledger_file, llm, 5, _stop_at("polled"))
    assert batches_at(sim)[0]["status"] == "cancelling"


def _stop_at(name):
    return lambda reached: os.kill(os.getpid(), signal.SIGTERM) if reached == name else None


def test_a_window_is_a_number_and_a_unit():
    assert [window_s(text) for text in ("90s", "5m", "24h", "2d")] == [90, 300, 86_400, 172_800]
    with pytest.raises(ConfigError, match=r"llm\.batch_window: expected a time such as 24h, found 'tomorrow'"):
        window_s("tomorrow")


def test_a_batch_is_late_an_hour_after_a_window_of_a_day(sim, ledger_file):
    answer(ledger_file, make_llm(sim.url), 1)
    with Ledger(ledger_file, NIGHT) as ledger:
        (batch,) = ledger.batches(open_only=False)
    assert deadline(batch, make_llm(sim.url)) == pytest.approx(batch.submitted_at + 25 * 3600)


def test_two_workers_with_the_same_questions_submit_and_pay_for_each_once(sim, ledger_file):
    llm = make_llm(sim.url, batch_requests=10)
    sim.change({"wrong_schema": 0.2})
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=answer, args=(ledger_file, llm, 60)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert_all_answered(sim, ledger_file, llm, 60)
    assert sim.stats()["paid"] == 60 + sim.stats()["by_fault"]["wrong_schema"]


def test_a_batch_of_a_worker_that_lives_is_left_to_it(sim, ledger_file):
    """The other worker is stopped between its lease and its upload: adopting the batch would make it twice."""
    sim.change({"batch_delay_s": 1.5})
    llm = make_llm(sim.url)
    context = multiprocessing.get_context("fork")
    other = context.Process(target=answer, args=(ledger_file, llm, 5, _pause_at("leased")))
    other.start()
    _until_leased(ledger_file)
    threading.Timer(0.5, os.kill, (other.pid, signal.SIGCONT)).start()
    answer(ledger_file, llm, 5)
    other.join(60)
    assert sim.stats()["batches_created"] == 1
    assert_all_answered(sim, ledger_file, llm, 5)


def _pause_at(name):
    return lambda reached: os.kill(os.getpid(), signal.SIGSTOP) if reached == name else None


def _until_leased(ledger_file):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if ledger_file.exists():
            with Ledger(ledger_file, NIGHT) as ledger:
                if ledger.batches():
                    return
        time.sleep(0.02)
    raise AssertionError("the other worker never leased anything")


def test_what_a_killed_online_run_had_in_flight_is_asked_in_a_batch_and_reported_as_perhaps_paid(sim, ledger_file):
    llm = make_llm(sim.url)
    context = multiprocessing.get_context("fork")
    worker = context.Process(target=_lease_and_die, args=(ledger_file, llm, 3))
    worker.start()
    worker.join(30)
    counts = answer(ledger_file, llm, 5)
    assert (counts.orphaned, counts.asked, sim.stats()["paid"]) == (3, 5, 5)
    with Ledger(ledger_file, NIGHT) as ledger:
        assert ledger.totals().unknown == 3


def _lease_and_die(ledger_file, llm, count):
    engine, ledger = OpenAIEngine(llm), Ledger(ledger_file, NIGHT)
    prompts = [question.prompt for question in questions(count)]
    calls = [
        Call(engine.key(each), each, "openai", llm.model, reserve_usd(each, llm), 9, llm.base_url) for each in prompts
    ]
    ledger.lease(calls)
    os.kill(os.getpid(), signal.SIGKILL)


def test_progress_shows_what_is_in_flight_and_then_what_is_done(sim, ledger_file):
    sim.change({"batch_delay_s": 0.5})
    llm, seen = make_llm(sim.url), []
    with Ledger(ledger_file, NIGHT) as ledger:
        answer_batches(
            partial(questions, 20),
            OpenAIEngine(llm),
            ledger,
            llm,
            progress=lambda counts: seen.append((counts.in_flight, counts.done)),
        )
    assert max(flying for flying, _ in seen) > 10
    assert seen[-1] == (0, 20)
