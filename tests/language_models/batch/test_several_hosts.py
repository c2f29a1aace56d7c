"""The batch mode on a ledger that several hosts share."""

import multiprocessing

import pytest

from tests.language_models.batch.runs import answer, answer_and_die, assert_all_answered, make_llm
from tests.support.postgres import postgres_server


@pytest.fixture(scope="module")
def server():
    with postgres_server() as running:
        yield running


@pytest.mark.parametrize("name", ["leased", "uploaded", "created", "responded", "rest_settled"])
def test_a_killed_run_is_continued_on_a_shared_ledger(sim, server, name):
    place, llm = server.empty(), make_llm(sim.url)
    answer_and_die(place, llm, 20, name)
    answer(place, llm, 20)
    assert_all_answered(sim, place, llm, 20)
    assert (sim.stats()["batches_created"], sim.stats()["paid"]) == (1, 20)


def test_three_workers_submit_and_pay_for_each_question_once(sim, server):
    place, llm = server.empty(), make_llm(sim.url, batch_requests=10)
    sim.change({"wrong_schema": 0.2})
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=answer, args=(place, llm, 60)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert_all_answered(sim, place, llm, 60)
    assert sim.stats()["paid"] == 60 + sim.stats()["by_fault"]["wrong_schema"]
