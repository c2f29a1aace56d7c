"""What providers have been seen to do, and what they might."""

import json
import logging
import time
import traceback
from dataclasses import replace

import pytest

from language_models.batch import answer_batches
from language_models.batch.desk import BatchDesk
from language_models.engines.openai_engine import OpenAIEngine
from language_models.ledger import Ledger
from schemas.errors import EngineError
from tests.language_models.batch.runs import NIGHT, answer, answer_and_die, make_llm, questions
from tests.language_models.batch.scripted_provider import End, answered, lines, provider
from tests.support.prompts import make_question

LINE_SEPARATORS = "one\u2028two\u2029three\u0085four\x0bfive"


def answers_of(ledger_file, llm, count):
    engine = OpenAIEngine(llm)
    with Ledger(ledger_file, NIGHT) as ledger:
        found = ledger.answers(engine.key(question.prompt) for question in questions(count))
        return [each.text for answers in found.values() for each in answers], ledger.totals()


def test_letters_that_other_software_breaks_lines_at_stay_inside_their_answers(ledger_file):
    text = json.dumps({"summarization": LINE_SEPARATORS}, ensure_ascii=False)
    with provider(lambda rows: End(output=lines([answered(row, text) for row in rows]))) as served:
        llm = make_llm(served.url)
        answer(ledger_file, llm, 3)
        assert LINE_SEPARATORS[:15] in answers_of(ledger_file, llm, 3)[0][0]
        assert len(served.batches) == 1


def test_a_request_file_is_ascii_whatever_the_prompts_hold(ledger_file):
    with provider(lambda rows: End(output=lines([answered(row) for row in rows]))) as served:
        llm = make_llm(served.url)
        with Ledger(ledger_file, NIGHT) as ledger:
            odd = [make_question("b1", f'{{"title": "{LINE_SEPARATORS} 本"}}')]
            answer_batches(lambda: iter(odd), OpenAIEngine(llm), ledger, llm)
        (content,) = (served.contents[batch["input_file_id"]] for batch in served.batches.values())
        assert content.isascii()
        assert len(content.splitlines()) == 1
        assert LINE_SEPARATORS in json.loads(content)["body"]["messages"][1]["content"]


def test_lines_that_belong_to_no_call_and_torn_ones_are_reported_and_cost_nothing(ledger_file, caplog):
    stranger = {"custom_id": f"{'0' * 64}-0"}

    def script(rows):
        return End(output=lines([answered(row) for row in [*rows, stranger]]) + b'{"custom_id": "torn')

    with provider(script) as served, caplog.at_level(logging.WARNING):
        llm = make_llm(served.url)
        answer(ledger_file, llm, 4)
        texts, totals = answers_of(ledger_file, llm, 4)
    assert len(texts) == 4
    assert totals.spent_usd == pytest.approx(4 * (100 * 10 + 20 * 20) / 2e6)
    assert "2 lines belong to no call of ours or cannot be read" in caplog.text
    with Ledger(ledger_file, NIGHT) as ledger:
        (batch,) = ledger.batches(open_only=False)
    assert batch.detail == "completed, 2 lines that belong to no call"


def test_a_row_that_a_completed_batch_forgot_is_asked_again(ledger_file):
    with provider(lambda rows: End(output=lines([answered(row) for row in rows[1:] or rows]))) as served:
        llm = make_llm(served.url)
        counts = answer(ledger_file, llm, 3)
        assert len(served.batches) == 2
    assert (counts.asked, counts.failed) == (3, 0)


def test_a_row_that_every_batch_forgets_is_given_up_with_its_class(ledger_file):
    with provider(lambda rows: End(output=b"")) as served:
        counts = answer(ledger_file, make_llm(served.url, attempts=2), 3)
        assert len(served.batches) == 2
    assert counts.reasons == {"error:no_line": 3}


def test_a_paid_answer_of_no_known_form_counts_as_perhaps_paid(ledger_file):
    rounds = []

    def script(rows):
        rounds.append(len(rows))
        entries = [answered(row) for row in rows]
        if len(rounds) == 1:
            entries[0]["response"]["body"] = {"choices": []}
        return End(output=lines(entries))

    with provider(script) as served:
        llm = make_llm(served.url)
        counts = answer(ledger_file, llm, 3)
        _, totals = answers_of(ledger_file, llm, 3)
    assert rounds == [3, 1]
    assert (counts.unknown, totals.unknown) == (1, 1)
    assert totals.possible_usd > 0


def test_too_much_in_the_queue_of_the_account_is_a_reason_to_try_again_and_not_to_stop(ledger_file):
    full = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached."}]
    tries = []

    def script(rows):
        tries.append(len(rows))
        return End("failed", problems=full) if len(tries) < 3 else End(output=lines([answered(row) for row in rows]))

    with provider(script) as served:
        counts = answer(ledger_file, make_llm(served.url), 3)
    assert (tries, counts.asked) == ([3, 3, 3], 3)


def test_a_batch_is_found_by_its_metadata_behind_a_hundred_others(ledger_file):
    with provider(lambda rows: End(output=lines([answered(row) for row in rows]))) as served:
        llm = make_llm(served.url)
        answer_and_die(ledger_file, llm, 3, "created")
        for _ in range(250):
            served.add_batch("file-of-others", {"project": "another"}, time.time() + 5)
        before = len(served.batches)
        answer(ledger_file, llm, 3)
        assert len(served.batches) == before


def test_the_search_ends_where_the_list_is_older_than_the_batch(ledger_file):
    with provider(lambda rows: End(output=lines([answered(row) for row in rows]))) as served:
        llm = make_llm(served.url)
        for _ in range(500):
            served.add_batch("file-of-others", None, time.time() - 86_400)
        answer_and_die(ledger_file, llm, 3, "upload_saved")
        served.lists.clear()
        answer(ledger_file, llm, 3)
        assert len([path for path in served.lists if "/batches" in path]) == 1


def test_a_batch_that_the_provider_has_lost_is_an_error_as_long_as_it_may_come_back(ledger_file):
    with provider(lambda rows: End(output=lines([answered(row) for row in rows]))) as served:
        llm = make_llm(served.url)
        answer_and_die(ledger_file, llm, 3, "create_saved")
        served.batches.clear()
        with pytest.raises(EngineError, match=r"look at batch batch-\d+: refused \(404"):
            answer(ledger_file, llm, 3)
        with Ledger(ledger_file, NIGHT) as ledger:
            (batch,) = ledger.batches()
            ledger.save_batch(replace(batch, submitted_at=batch.submitted_at - 2 * 86_400))
        counts = answer(ledger_file, llm, 3)
    assert (counts.asked, counts.orphaned) == (3, 3)
    with Ledger(ledger_file, NIGHT) as ledger:
        assert ledger.totals().unknown == 3


def test_a_key_that_a_provider_repeats_is_not_passed_on(ledger_file, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-4711")
    with provider(lambda rows: End(output=b"")) as served:
        served.wrong_key = True
        with pytest.raises(EngineError, match=r"Incorrect API key provided: Bearer \*\*\*.*llm\.key_env") as caught:
            answer(ledger_file, make_llm(served.url), 1)
    assert "4711" not in "".join(traceback.format_exception(caught.value))


def test_the_batches_of_another_model_are_left_alone(ledger_file):
    with provider(lambda rows: End(output=lines([answered(row) for row in rows]))) as served:
        answer_and_die(ledger_file, make_llm(served.url), 3, "create_saved")
        other = make_llm(served.url, model="another")
        with Ledger(ledger_file, NIGHT) as ledger, BatchDesk(OpenAIEngine(other), ledger, other) as desk:
            assert desk.open() == []
            assert len(ledger.batches()) == 1
