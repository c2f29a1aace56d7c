"""Files and batches through the real client, with the ways in which a batch disappoints."""

from __future__ import annotations

import json
import time

import openai
import pytest

from tests.language_models.simulator.asking import ask, body, client


def lines(number: int, **changes) -> bytes:
    rows = [
        {"custom_id": f"row-{row}", "method": "POST", "url": "/v1/chat/completions", "body": body(f"B{row}", **changes)}
        for row in range(number)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def submit(sim, content: bytes, **metadata: str):
    file = client(sim).files.create(file=("rows.jsonl", content), purpose="batch")
    return client(sim).batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata=metadata
    )


def ended(sim, id: str):
    end = time.monotonic() + 5
    while (batch := client(sim).batches.retrieve(id)).status not in ("completed", "failed", "expired", "cancelled"):
        assert time.monotonic() < end, batch.status
        time.sleep(0.02)
    return batch


def read(sim, file_id: str | None) -> list[dict]:
    return (
        [] if file_id is None else [json.loads(line) for line in client(sim).files.content(file_id).text.splitlines()]
    )


def test_a_batch_is_answered_in_another_order_and_every_row_once(sim):
    batch = submit(sim, lines(30), night="2026-01-01")
    assert batch.status == "validating"
    done = ended(sim, batch.id)
    assert (done.status, done.metadata) == ("completed", {"night": "2026-01-01"})
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (30, 30, 0)
    rows = read(sim, done.output_file_id)
    ids = [row["custom_id"] for row in rows]
    assert sorted(ids) == sorted(f"row-{row}" for row in range(30))
    assert ids != [f"row-{row}" for row in range(30)]
    for row in rows:
        text = row["response"]["body"]["choices"][0]["message"]["content"]
        assert row["custom_id"].replace("row-", "B") in json.loads(text)["summarization"]
    stats = sim.stats()
    assert (stats["paid"], stats["batches_created"], stats["files_uploaded"], stats["served"]) == (30, 1, 1, 0)
    assert stats["cost_usd"] == pytest.approx((stats["input_tokens"] + 10 * stats["output_tokens"]) / 1e6 / 2)


def test_a_row_that_was_paid_online_and_in_a_batch_is_paid_twice(sim):
    ask(sim, "B0")
    ended(sim, submit(sim, lines(2)).id)
    assert (sim.stats()["paid"], sim.stats()["paid_twice"]) == (3, 1)


def test_a_batch_goes_through_its_states_in_order(sim):
    sim.change({"batch_delay_s": 0.6})
    id, seen = submit(sim, lines(20)).id, []
    while not seen or seen[-1] not in ("completed", "expired"):
        status = client(sim).batches.retrieve(id).status
        seen += [status] if [status] != seen[-1:] else []
    assert seen == ["validating", "in_progress", "finalizing", "completed"]


def test_an_expired_batch_keeps_what_was_finished_and_names_the_rest(sim):
    sim.change({"expire_share": 0.4})
    done = ended(sim, submit(sim, lines(50)).id)
    assert done.status == "expired"
    assert done.expired_at is not None
    finished, rest = read(sim, done.output_file_id), read(sim, done.error_file_id)
    assert 10 <= len(rest) <= 30
    assert {row["error"]["code"] for row in rest} == {"batch_expired"}
    assert sorted(row["custom_id"] for row in finished + rest) == sorted(f"row-{row}" for row in range(50))
    assert sim.stats()["paid"] == len(finished) == done.request_counts.completed


def test_rows_that_expired_are_drawn_for_anew_in_the_next_batch(sim):
    sim.change({"expire_share": 0.5})
    first = ended(sim, submit(sim, lines(40)).id)
    late = {row["custom_id"] for row in read(sim, first.error_file_id)}
    rows = [line for line in lines(40).splitlines(keepends=True) if json.loads(line)["custom_id"] in late]
    second = ended(sim, submit(sim, b"".join(rows)).id)
    assert 0 < len(read(sim, second.output_file_id)) < len(late)


def test_rows_that_fail_stand_in_the_error_file_with_their_status_and_cost_nothing(sim):
    sim.change({"row_error_share": 0.3})
    done = ended(sim, submit(sim, lines(50)).id)
    failed = read(sim, done.error_file_id)
    assert done.status == "completed"
    assert {row["response"]["status_code"] for row in failed} == {500}
    assert len(failed) == done.request_counts.failed == 50 - sim.stats()["paid"] > 0


def test_rows_that_are_wrong_or_refused_stand_in_the_error_file_with_400(sim):
    sim.change({"bad_request": 1.0})
    done = ended(sim, submit(sim, lines(2)).id)
    assert done.output_file_id is None
    assert [row["response"]["status_code"] for row in read(sim, done.error_file_id)] == [400, 400]
    sim.change({"bad_request": 0.0})
    done = ended(sim, submit(sim, lines(1, messages=[])).id)
    assert "messages" in read(sim, done.error_file_id)[0]["response"]["body"]["error"]["message"]


def test_answers_have_the_same_faults_in_a_batch_as_online(sim):
    sim.change({"refusal": 1.0})
    done = ended(sim, submit(sim, lines(3)).id)
    messages = [row["response"]["body"]["choices"][0]["message"] for row in read(sim, done.output_file_id)]
    assert all(message["refusal"] and message["content"] is None for message in messages)


def test_duplicate_lines_stand_twice_and_are_paid_once(sim):
    sim.change({"duplicate_lines": 0.4})
    done = ended(sim, submit(sim, lines(30)).id)
    ids = [row["custom_id"] for row in read(sim, done.output_file_id)]
    assert len(set(ids)) == 30 < len(ids)
    assert (sim.stats()["paid"], sim.stats()["paid_twice"]) == (30, 0)


def test_a_batch_whose_creation_was_never_heard_of_is_found_by_its_metadata(sim):
    sim.change({"batch_reset": 1.0, "most": {"batch_reset": 1}})
    with pytest.raises(openai.APIConnectionError):
        submit(sim, lines(2), ours="reset-7")
    mine = [batch for batch in client(sim).batches.list() if (batch.metadata or {}).get("ours") == "reset-7"]
    assert len(mine) == 1
    assert ended(sim, mine[0].id).status == "completed"


def test_a_creation_that_failed_left_no_batch(sim):
    sim.change({"batch_error": 1.0, "most": {"batch_error": 1}})
    with pytest.raises(openai.InternalServerError):
        submit(sim, lines(2))
    assert sim.stats()["batches_created"] == 0
    assert submit(sim, lines(2)).id


def test_an_upload_fails_with_and_without_a_file(sim):
    sim.change({"upload_error": 1.0})
    with pytest.raises(openai.InternalServerError):
        submit(sim, lines(1))
    assert sim.stats()["files_uploaded"] == 0
    sim.faults({"upload_reset": 1.0})
    with pytest.raises(openai.APIConnectionError):
        client(sim).files.create(file=("heard-of-never.jsonl", lines(1)), purpose="batch")
    assert "heard-of-never.jsonl" in [file.filename for file in client(sim).files.list(purpose="batch")]


def test_looks_and_downloads_fail_by_script(sim):
    done = ended(sim, submit(sim, lines(5)).id)
    sim.change({"poll_error": 1.0, "download_error": 1.0})
    with pytest.raises(openai.InternalServerError):
        client(sim).batches.retrieve(done.id)
    with pytest.raises(openai.InternalServerError):
        client(sim).files.content(done.output_file_id)
    sim.faults({"download_reset": 1.0, "most": {"download_reset": 1}})
    with pytest.raises(openai.APIConnectionError):
        client(sim).files.content(done.output_file_id)
    assert len(read(sim, done.output_file_id)) == 5


def test_a_cancelled_batch_keeps_what_was_answered(sim):
    sim.change({"batch_delay_s": 4.0})
    id = submit(sim, lines(40)).id
    while client(sim).batches.retrieve(id).request_counts.completed < 2:
        time.sleep(0.02)
    assert client(sim).batches.cancel(id).status == "cancelling"
    done = ended(sim, id)
    assert done.status == "cancelled"
    assert 2 <= len(read(sim, done.output_file_id)) == sim.stats()["paid"] < 40
    with pytest.raises(openai.ConflictError):
        client(sim).batches.cancel(id)


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (lines(1) + lines(1), "duplicate_custom_id", 2),
        (lines(1) + b"{not json\n", "invalid_json_line", 2),
        (lines(1).replace(b"/v1/chat/completions", b"/v1/embeddings"), "invalid_url", 1),
        (lines(2, model="m").replace(b'"model": "m"', b'"model": "n"', 1), "mismatched_model", None),
        (b"", "empty_file", None),
    ],
)
def test_a_file_that_is_no_batch_fails_by_code_and_line(sim, content, code, line):
    failed = ended(sim, submit(sim, content).id)
    assert failed.status == "failed"
    assert (failed.errors.data[0].code, failed.errors.data[0].line) == (code, line)
    assert sim.stats()["paid"] == 0


def test_a_batch_of_no_file_or_another_endpoint_is_refused(sim):
    for file, endpoint in (("file-none", "/v1/chat/completions"), (None, "/v1/embeddings")):
        file = file or client(sim).files.create(file=("f", b"x"), purpose="batch").id
        with pytest.raises(openai.BadRequestError):
            client(sim).batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h")


def test_files_are_listed_read_and_deleted(sim):
    content = "Prompts · été\n".encode()
    file = client(sim).files.create(file=("notes.jsonl", content), purpose="batch")
    assert (file.bytes, file.filename, file.purpose) == (len(content), "notes.jsonl", "batch")
    assert client(sim).files.list(limit=1).data[0].id == file.id  # newest first
    assert client(sim).files.retrieve(file.id).id == file.id
    assert client(sim).files.content(file.id).content == content
    assert client(sim).files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client(sim).files.content(file.id)


def test_batches_are_listed_newest_first_over_several_pages(sim):
    ids = [submit(sim, lines(1)).id for _ in range(5)]
    listed = [batch.id for batch in client(sim).batches.list(limit=2)]  # the client turns the pages
    assert listed[:5] == ids[::-1]
    assert len(listed) == len(set(listed))
