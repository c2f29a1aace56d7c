"""The batch mode against the simulated endpoint: what comes back, what it costs, and what is asked again."""

import json
import urllib.request

import pytest

from language_models.answering import answer_all
from language_models.batch import answer_batches
from language_models.engines.offline import OfflineEngine
from language_models.engines.openai_engine import OpenAIEngine
from language_models.ledger import Ledger
from language_models.prices import reserve_usd
from schemas.errors import BudgetError, ConfigError, EngineError
from tests.language_models.batch.runs import (
    NIGHT,
    answer,
    assert_all_answered,
    batches_at,
    make_llm,
    questions,
)
from tests.support.simulator import simulator


def totals_of(ledger_file):
    with Ledger(ledger_file, NIGHT) as ledger:
        return ledger.totals()


def newest(sim, count):
    return batches_at(sim)[:count]


def test_every_question_is_answered_in_files_of_the_allowed_size(sim, ledger_file):
    llm = make_llm(sim.url, batch_requests=8)
    counts = answer(ledger_file, llm, 20)
    assert_all_answered(sim, ledger_file, llm, 20)
    assert sim.stats()["batches_created"] == 3
    assert sorted(batch["request_counts"]["total"] for batch in newest(sim, 3)) == [4, 8, 8]
    assert (counts.asked, counts.cached, counts.failed, counts.in_flight) == (20, 0, 0, 0)
    assert (counts.input_tokens, counts.output_tokens) == (sim.stats()["input_tokens"], sim.stats()["output_tokens"])


def test_the_same_questions_again_make_no_batch_and_new_ones_alone_are_sent(sim, ledger_file):
    llm = make_llm(sim.url)
    answer(ledger_file, llm, 10)
    again = answer(ledger_file, llm, 10)
    assert (again.asked, again.cached, again.cost_usd) == (0, 10, 0.0)
    answer(ledger_file, llm, 12)
    assert [batch["request_counts"]["total"] for batch in newest(sim, 2)] == [2, 10]


def test_answers_come_in_another_order_and_are_joined_by_custom_id(sim, ledger_file):
    llm = make_llm(sim.url)
    answer(ledger_file, llm, 40)
    engine = OpenAIEngine(llm)
    with Ledger(ledger_file, NIGHT) as ledger:
        for question in questions(40):
            (answered,) = ledger.answers([engine.key(question.prompt)])[engine.key(question.prompt)]
            assert f"Book {question.prompt.id}" in answered.text
    batch = newest(sim, 1)[0]
    sent, came = (_custom_ids(sim, batch[name]) for name in ("input_file_id", "output_file_id"))
    assert sorted(sent) == sorted(came)
    assert sent != came


def test_duplicate_lines_are_counted_once(sim, ledger_file):
    sim.change({"duplicate_lines": 0.5})
    llm = make_llm(sim.url)
    counts = answer(ledger_file, llm, 40)
    assert len(_custom_ids(sim, newest(sim, 1)[0]["output_file_id"])) > 40
    assert counts.asked == 40
    assert_all_answered(sim, ledger_file, llm, 40)


def test_equal_prompts_are_one_row(sim, ledger_file):
    llm = make_llm(sim.url, batch_requests=4)
    engine = OpenAIEngine(llm)
    with Ledger(ledger_file, NIGHT) as ledger:
        twice = [*questions(6), *questions(6)]
        answer_batches(lambda: iter(twice), engine, ledger, llm)
    assert sim.stats()["paid"] == 6
    assert_all_answered(sim, ledger_file, llm, 6)


def test_rows_that_a_batch_had_no_time_for_are_asked_again_and_finished_ones_are_kept(sim, ledger_file):
    sim.change({"expire_share": 1.0, "most": {"expire_share": 7}})
    llm = make_llm(sim.url)
    answer(ledger_file, llm, 30)
    again, expired = newest(sim, 2)
    assert (expired["status"], expired["request_counts"]["completed"]) == ("expired", 23)
    assert (again["status"], again["request_counts"]["total"]) == ("completed", 7)
    assert_all_answered(sim, ledger_file, llm, 30)
    assert sim.stats()["paid"] == 30


def test_rows_of_the_error_file_cost_nothing_and_are_asked_again_when_it_may_help(sim, ledger_file):
    sim.change({"row_error_share": 1.0, "most": {"row_error_share": 5}})
    llm = make_llm(sim.url)
    counts = answer(ledger_file, llm, 30)
    assert [batch["request_counts"]["total"] for batch in newest(sim, 2)] == [5, 30]
    assert (counts.asked, counts.failed) == (30, 0)
    assert_all_answered(sim, ledger_file, llm, 30)


def test_rows_that_fail_for_good_are_given_up_with_their_class(sim, ledger_file):
    sim.change({"bad_request": 0.2})
    llm = make_llm(sim.url)
    counts = answer(ledger_file, llm, 40)
    refused = 40 - sim.stats()["paid"]
    assert refused > 0
    assert sim.stats()["batches_created"] == 1
    assert (counts.asked, counts.failed, counts.reasons) == (40, refused, {"error:bad_request": refused})
    with Ledger(ledger_file, NIGHT) as ledger:
        keys = [OpenAIEngine(llm).key(question.prompt) for question in questions(40)]
        assert len(ledger.failures(keys)) == refused
        assert ledger.totals().reserved_usd == 0.0


def test_rows_that_always_fail_are_given_up_after_as_many_batches_as_there_are_attempts(sim, ledger_file):
    sim.change({"row_error_share": 1.0})
    llm = make_llm(sim.url, attempts=3)
    counts = answer(ledger_file, llm, 4)
    assert sim.stats()["batches_created"] == 3
    assert (counts.failed, counts.reasons) == (4, {"error:server": 4})


def test_batches_that_always_expire_end_the_run_with_a_reason(sim, ledger_file):
    sim.change({"expire_share": 1.0})
    with pytest.raises(EngineError, match=r"3 times in a row .* \(the last: expired\)"):
        answer(ledger_file, make_llm(sim.url, attempts=3), 4)
    assert totals_of(ledger_file).reserved_usd == 0.0


def test_follow_ups_go_into_a_second_smaller_batch(sim, ledger_file):
    sim.change({"wrong_schema": 0.2, "length": 0.2})
    llm = make_llm(sim.url)
    counts = answer(ledger_file, llm, 60)
    faults = sim.stats()["by_fault"]
    second, first = newest(sim, 2)
    assert first["request_counts"]["total"] == 60
    assert second["request_counts"]["total"] == faults["wrong_schema"] + faults["length"] == counts.follow_ups
    assert counts.asked == 60
    assert_all_answered(sim, ledger_file, llm, 60)


def test_a_batch_costs_half(sim, ledger_file):
    llm = make_llm(sim.url)
    counts = answer(ledger_file, llm, 5)
    full = (counts.input_tokens * 10 + counts.output_tokens * 20) / 1e6
    assert counts.cost_usd == pytest.approx(full / 2)
    assert totals_of(ledger_file).spent_usd == pytest.approx(full / 2)


def test_a_batch_that_was_created_although_the_connection_broke_is_adopted(sim, ledger_file):
    sim.change({"batch_reset": 1.0})
    llm = make_llm(sim.url)
    answer(ledger_file, llm, 5)
    assert sim.stats()["batches_created"] == 1
    assert_all_answered(sim, ledger_file, llm, 5)


def test_a_batch_that_was_not_created_is_created_after_a_look(sim, ledger_file):
    sim.change({"batch_error": 1.0, "most": {"batch_error": 1}})
    llm = make_llm(sim.url)
    answer(ledger_file, llm, 5)
    assert_all_answered(sim, ledger_file, llm, 5)
    assert sim.stats()["batches_created"] == 1


@pytest.mark.parametrize("fault", ["upload_error", "upload_reset", "poll_error", "download_error", "download_reset"])
def test_what_costs_nothing_is_repeated(sim, ledger_file, fault):
    sim.change({fault: 1.0, "most": {fault: 2}})
    llm = make_llm(sim.url)
    answer(ledger_file, llm, 5)
    assert sim.stats()["by_fault"][fault] == 2
    assert_all_answered(sim, ledger_file, llm, 5)


def test_a_batch_that_fails_as_a_whole_ends_the_run_and_frees_its_calls(sim, ledger_file):
    sim.change({"batch_failed": 1.0, "most": {"batch_failed": 1}})
    llm = make_llm(sim.url)
    with pytest.raises(EngineError, match="failed: internal_error: The batch failed by the fault script"):
        answer(ledger_file, llm, 5)
    assert totals_of(ledger_file).reserved_usd == 0.0
    answer(ledger_file, llm, 5)
    assert_all_answered(sim, ledger_file, llm, 5)


def test_the_cap_holds_over_online_and_batch_spending_and_nearly_all_of_it_is_used(sim, ledger_file):
    settings = {"max_cost_usd": 0.05, "max_output_tokens": 150}
    online, llm = make_llm(sim.url, mode="online", **settings), make_llm(sim.url, **settings)
    with Ledger(ledger_file, NIGHT) as ledger:
        answer_all(questions(10), OpenAIEngine(online), ledger, online)
        assert 0 < ledger.totals().spent_usd < 0.05
    with pytest.raises(BudgetError, match="could pass the cap of"):
        answer(ledger_file, llm, 200)
    totals = totals_of(ledger_file)
    largest = max(reserve_usd(question.prompt, llm, batch=True) for question in questions(200))
    assert totals.spent_usd == pytest.approx(sim.stats()["cost_usd"])
    assert 0.05 - largest < totals.spent_usd <= 0.05
    assert (totals.reserved_usd, sim.stats()["paid_twice"]) == (0.0, 0)
    answer(ledger_file, make_llm(sim.url, max_output_tokens=150), 200)
    assert sim.stats()["paid"] == 200


def test_a_response_format_that_is_refused_is_replaced_and_remembered(ledger_file):
    with simulator("--formats", "json_object,text", "--fault", "batch_delay_s=0.1") as sim:
        llm = make_llm(sim.url, usd_per_million_input=0.0, usd_per_million_output=0.0)
        answer(ledger_file, llm, 5)
        assert sim.stats()["batches_created"] == 2
        answer(ledger_file, llm, 8)
        assert sim.stats()["batches_created"] == 3
        assert_all_answered(sim, ledger_file, llm, 8)


def test_the_key_is_in_no_file_no_message_and_no_ledger(tmp_path, monkeypatch):
    key = "sk-very-secret-4711"
    with simulator("--key", key, "--fault", "batch_delay_s=0.1") as sim:
        llm = make_llm(sim.url, usd_per_million_input=0.0, usd_per_million_output=0.0)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0815")
        with pytest.raises(EngineError, match="refused \\(401") as caught:
            answer(tmp_path / "ledger.sqlite", llm, 3)
        monkeypatch.setenv("OPENAI_API_KEY", key)
        answer(tmp_path / "ledger.sqlite", llm, 3)
        assert sim.stats()["batches_created"] == 1
    assert "0815" not in str(caught.value)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert written
    assert b"4711" not in written
    assert b"0815" not in written


def test_an_engine_without_a_batch_api_is_refused(ledger_file):
    llm = make_llm("http://127.0.0.1:9/v1", engine="offline")
    with Ledger(ledger_file, NIGHT) as ledger, pytest.raises(ConfigError, match="offline has no Batch API"):
        answer_batches(lambda: questions(1), OfflineEngine(llm), ledger, llm)


def _custom_ids(sim, file_id):
    with urllib.request.urlopen(f"{sim.url}/files/{file_id}/content") as response:
        return [json.loads(line)["custom_id"] for line in response]
