"""The lines of a request file, and what the lines that come back for them say (OpenAI API reference: batch)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryFile, gettempdir
from typing import IO

from language_models.batch.states import PATH
from language_models.chat_format import concerns_format, output_limit, request_body
from language_models.ledger import Call
from schemas.errors import StoreError
from schemas.records import JSON
from schemas.sections import Llm

NOT_REACHED = ("batch_expired", "batch_cancelled")  # error codes of rows that the provider had no time for
BY_STATUS = {408: "timeout", 409: "conflict", 429: "rate_limit"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an output or error file: a body to read, or why there is none."""

    custom_id: str
    body: JSON = None  # of a chat completion
    reason: str = ""  # error class of a row that failed, unpaid
    detail: str = ""
    reached: bool = True  # false: the batch ended before the row's turn


def custom_id(call: Call) -> str:
    """What a row is joined by: the call's key and turn."""
    return f"{call.key}-{call.prompt.turn}"


def request_line(call: Call, llm: Llm, form: str) -> bytes:
    """One line of a request file: the same bytes for the same call. ASCII, so that a line ends where we end it."""
    body = {**request_body(call.prompt, llm, form), **output_limit(call.prompt, llm, call.endpoint)}
    request = {"custom_id": custom_id(call), "method": "POST", "url": PATH, "body": body}
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


def read_line(line: bytes) -> Line | None:
    """What a line says; None for one that is torn or of another form."""
    try:
        entry = json.loads(line)
        name, response, error = str(entry["custom_id"]), entry.get("response") or {}, entry.get("error")
        status = int(response.get("status_code", 0))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if error or status != 200:
        return _failed(name, status, error or (response.get("body") or {}).get("error"))
    return Line(name, body=response.get("body"))


@contextmanager
def scratch() -> Iterator[IO[bytes]]:
    """A file without a name, gone when the block ends however it ends: what is in it is users' texts."""
    try:
        with TemporaryFile() as file:
            yield file
    except OSError as error:
        raise StoreError(
            f"{gettempdir()}: a temporary file cannot be written ({error.strerror}); free some space or set TMPDIR; "
            "nothing is lost, run again"
        ) from error


def write_lines(lines: Iterable[bytes], file: IO[bytes]) -> int:
    """Write the lines and return the size of the file in bytes."""
    file.writelines(lines)
    file.flush()
    return file.tell()


def _failed(name: str, status: int, error: JSON) -> Line:
    code = error.get("code") if isinstance(error, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    detail = str(said or "")
    if code in NOT_REACHED:
        return Line(name, reason=str(code), detail=detail, reached=False)
    return Line(name, reason=_class(status, code, detail), detail=f"{status}: {detail}" if status else detail)


def _class(status: int, code: JSON, detail: str) -> str:
    if status in BY_STATUS or status >= 500:
        return BY_STATUS.get(status, "server")
    if status in (400, 422) and concerns_format(detail):
        return "response_format"
    return "bad_request" if status >= 400 else str(code or "no_response")
