"""/v1/batches: validating, in_progress, finalizing, then completed, expired, failed or cancelled."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from aiohttp import web

from language_models.simulator.batch_rows import BatchInputError, Row, Rows, read_rows
from language_models.simulator.counting import Counting
from language_models.simulator.drawing import Faults
from language_models.simulator.filing import Files
from language_models.simulator.responses import cut_off, page, read_metadata, read_object, refuse, reply
from schemas.records import JSON

URL = "/v1/chat/completions"
WINDOW_S = 24 * 3600
PAGE = 20
STEPS = 20  # parts that a batch's rows are answered in, spread over its time
VALIDATED, ANSWERED = 0.1, 0.9  # of a batch's time
AT = {"in_progress", "finalizing", "completed", "expired", "failed", "cancelling", "cancelled"}
ENDED = ("completed", "expired", "failed", "cancelled")


@dataclass(slots=True)
class Batch:
    """A batch; `number` is its place in the order of creation."""

    number: int
    file_id: str
    window: str
    metadata: Mapping[str, str] | None
    status: str = "validating"
    times: dict[str, int] = field(default_factory=lambda: {"created": int(time.time())})  # status -> unix seconds
    total: int = 0
    completed: int = 0
    failed: int = 0
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: list[JSON] = field(default_factory=list)

    @property
    def id(self) -> str:
        return f"batch_{self.number:06d}"

    def become(self, status: str) -> None:
        self.status, self.times[status] = status, int(time.time())

    def to_json(self) -> JSON:
        return {
            "id": self.id,
            "object": "batch",
            "endpoint": URL,
            "errors": {"object": "list", "data": self.errors} if self.errors else None,
            "input_file_id": self.file_id,
            "completion_window": self.window,
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.times["created"],
            "expires_at": self.times["created"] + WINDOW_S,
            **{f"{status}_at": self.times.get(status) for status in sorted(AT)},
            "request_counts": {"total": self.total, "completed": self.completed, "failed": self.failed},
            "metadata": self.metadata,
        }


class Batches:
    """Batches by id, oldest first; each is worked on by a task until it has ended."""

    def __init__(self, counting: Counting, faults: Faults, files: Files, rows: Rows) -> None:
        self.counting, self.faults, self.files, self.rows = counting, faults, files, rows
        self.kept: dict[str, Batch] = {}
        self._numbers, self._lines = itertools.count(1), itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def create(self, request: web.Request) -> web.Response:
        """POST /v1/batches."""
        body = await read_object(request)
        fault = self.faults.of_event("batch_error", "batch_reset")
        if fault == "batch_error":
            return refuse(500, "The server had an error while processing your request.")
        if body.get("input_file_id") not in self.files.kept:
            return refuse(400, f"input_file_id: no such file: {body.get('input_file_id')}", "invalid_value")
        if body.get("endpoint") != URL:
            return refuse(400, f"endpoint: expected {URL}, found {body.get('endpoint')}", "invalid_value")
        if len(self.kept) >= self.files.most:
            return refuse(429, "no room for another batch; start the endpoint anew (--max-files)", "storage_limit")
        batch = self._begin(body)
        return cut_off(request) if fault else reply(batch.to_json())

    async def show_all(self, request: web.Request) -> web.Response:
        """GET /v1/batches?limit=20&after=ID, newest first."""
        return page(request, {batch.id: batch.to_json() for batch in reversed(self.kept.values())}, PAGE)

    async def get(self, request: web.Request) -> web.Response:
        """GET /v1/batches/{id}."""
        if self.faults.of_event("poll_error"):
            return refuse(500, "The server had an error while processing your request.")
        batch = self.kept.get(request.match_info["id"])
        return reply(batch.to_json()) if batch else _missing(request)

    async def cancel(self, request: web.Request) -> web.Response:
        """POST /v1/batches/{id}/cancel: what is answered by then is kept, and paid."""
        batch = self.kept.get(request.match_info["id"])
        if batch is None:
            return _missing(request)
        if batch.status in ENDED:
            return refuse(409, f"Cannot cancel a batch with status '{batch.status}'.")
        batch.become("cancelling")
        return reply(batch.to_json())

    def _begin(self, body: JSON) -> Batch:
        window = str(body.get("completion_window", "24h"))
        batch = Batch(next(self._numbers), body["input_file_id"], window, read_metadata(body))
        self.kept[batch.id] = batch
        self.counting.batches_created += 1
        task = asyncio.create_task(self._work(batch, self.files.kept[batch.file_id].content))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return batch

    async def _work(self, batch: Batch, content: bytes) -> None:
        began, delay = time.monotonic(), self.faults.script.batch_delay_s
        await _until(began + VALIDATED * delay)
        try:
            rows = self._validated(content)
        except BatchInputError as error:
            batch.errors.append({"code": error.code, "line": error.line, "message": str(error), "param": None})
            batch.become("failed")
            return
        late = {row.custom_id: row for row in rows if self.rows.expires(row)}
        batch.total = len(rows)
        if batch.status == "validating":
            batch.become("in_progress")
        output, errors = await self._answer(batch, [row for row in rows if row.custom_id not in late], began, delay)
        errors += [self.rows.expired(self._id(), row) for row in late.values()]
        if batch.status != "cancelling":
            batch.become("finalizing")
            await _until(began + delay)
        self._end(batch, output, errors, "expired" if late else "completed")

    def _validated(self, content: bytes) -> list[Row]:
        if self.faults.of_event("batch_failed"):
            raise BatchInputError("internal_error", None, "The batch failed by the fault script.")
        return read_rows(content, URL)

    async def _answer(self, batch: Batch, rows: list[Row], began: float, delay: float) -> tuple[list[str], list[str]]:
        """Lines of the output and of the error file, until all rows are answered or the batch is cancelled."""
        output: list[str] = []
        errors: list[str] = []
        for number, row in enumerate(rows):
            if number % max(1, len(rows) // STEPS) == 0:
                await _until(began + delay * (VALIDATED + (ANSWERED - VALIDATED) * number / len(rows)))
            if batch.status == "cancelling":
                break
            lines, fine = self.rows.answer(self._id(), row)
            (output if fine else errors).extend(lines)
            batch.completed, batch.failed = batch.completed + fine, batch.failed + (not fine)
            if number % 16 == 15:
                await asyncio.sleep(0)  # chat requests go on being served
        return output, errors

    def _end(self, batch: Batch, output: list[str], errors: list[str], status: str) -> None:
        order = random.Random(f"{self.faults.script.seed} {batch.number}")
        order.shuffle(output)
        batch.output_file_id = self._written(batch, "output", output)
        batch.error_file_id = self._written(batch, "error", errors)
        batch.become("cancelled" if batch.status == "cancelling" else status)

    def _written(self, batch: Batch, kind: str, lines: list[str]) -> str | None:
        if not lines:
            return None
        content = "".join(f"{line}\n" for line in lines).encode()
        return self.files.add(f"{batch.id}_{kind}.jsonl", "batch_output", content).id

    def _id(self) -> str:
        return f"batch_req_{next(self._lines):08d}"


def _missing(request: web.Request) -> web.Response:
    return refuse(404, f"No batch found with id '{request.match_info['id']}'.", "not_found")


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))
