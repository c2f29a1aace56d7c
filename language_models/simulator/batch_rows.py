"""The rows of a batch: its input file read and checked, and one line of output or error file per row."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from language_models.simulator.asked import read_request
from language_models.simulator.counting import Counting
from language_models.simulator.drawing import Faults
from language_models.simulator.generating import Model
from language_models.simulator.responses import error_body
from schemas.records import JSON

MOST_ROWS, MOST_BYTES = 50_000, 200_000_000
EXPIRED = "This request could not be executed before the completion window expired."


class BatchInputError(ValueError):
    """The input file as a whole cannot be a batch; `code` and `line` as OpenAI reports them."""

    def __init__(self, code: str, line: int | None, message: str) -> None:
        super().__init__(message)
        self.code, self.line = code, line


@dataclass(frozen=True, slots=True)
class Row:
    """One line of an input file."""

    custom_id: str
    body: JSON


def read_rows(content: bytes, url: str) -> list[Row]:
    """Raises BatchInputError, as OpenAI does, on a line that is no request, a repeated custom_id, or several models."""
    if not content:
        raise BatchInputError("empty_file", None, "The input file is empty.")
    if content.count(b"\n") + content.count(b"\r") > 2 * MOST_ROWS or len(content) > MOST_BYTES:
        raise _too_large()  # before a list of all lines is made
    if len(lines := content.splitlines()) > MOST_ROWS:
        raise _too_large()
    rows: dict[str, Row] = {}
    models: set[str] = set()
    for number, line in enumerate(lines, start=1):
        row = _read_row(line, number, url)
        if row.custom_id in rows:
            raise BatchInputError("duplicate_custom_id", number, f"custom_id {row.custom_id} stands on another line")
        rows[row.custom_id] = row
        models.add(str(row.body.get("model")))
    if len(models) > 1:
        raise BatchInputError("mismatched_model", None, f"expected one model, found {', '.join(sorted(models))}")
    return list(rows.values())


def _too_large() -> BatchInputError:
    return BatchInputError("too_large", None, f"expected at most {MOST_ROWS} requests and {MOST_BYTES} bytes")


def _read_row(line: bytes, number: int, url: str) -> Row:
    try:
        entry = json.loads(line)
        asked, row = (str(entry["method"]), str(entry["url"])), Row(str(entry["custom_id"]), entry["body"])
        row.custom_id.encode()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BatchInputError(
            "invalid_json_line", number, f"expected custom_id, method, url and body: {error}"
        ) from None
    if asked != ("POST", url) or not isinstance(row.body, dict):
        raise BatchInputError("invalid_url", number, f"expected POST {url} with a body, found {' '.join(asked)}")
    return row


class Rows:
    """Answers rows: each is one paid request, as it would be online, without the faults of a connection."""

    def __init__(self, counting: Counting, faults: Faults, model: Model, formats: Sequence[str]) -> None:
        self.counting, self.faults, self.model, self.formats = counting, faults, model, formats
        self._struck_before: Counter[str] = Counter()  # so that a row sent again in another batch is drawn for anew

    def expires(self, row: Row) -> bool:
        return self._struck("expire_share", row)

    def answer(self, id: str, row: Row) -> tuple[list[str], bool]:
        """The lines for a row, one or (a fault) two, and whether they are output, not errors."""
        status, body = self._respond(row)
        response = {"status_code": status, "request_id": f"req_{id}", "body": body}
        line = json.dumps({"id": id, "custom_id": row.custom_id, "response": response, "error": None})
        twice = status == 200 and self._struck("duplicate_lines", row)
        return [line] * (1 + twice), status == 200

    def expired(self, id: str, row: Row) -> str:
        """The line of the error file for a row that was not reached."""
        error = {"code": "batch_expired", "message": EXPIRED}
        return json.dumps({"id": id, "custom_id": row.custom_id, "response": None, "error": error})

    def _respond(self, row: Row) -> tuple[int, JSON]:
        try:
            asked = read_request(row.body)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            return 400, error_body(400, str(error))
        if asked.form not in self.formats:
            return 400, error_body(400, f"response_format of type '{asked.form}' is not supported with this model.")
        if self.model.without_logprobs(asked):
            return 400, error_body(400, "logprobs are not supported with this model.", "unsupported_parameter")
        if self.model.refuses(asked):
            return 400, error_body(400, "The request was rejected by the fault script.", "invalid_value")
        if self._struck("row_error_share", row):
            return 500, error_body(500, "The server had an error while processing your request.")
        answer = self.model.answer(asked)
        self.faults.strike(answer.fault)
        kind = f"batch:{answer.fault}" if answer.fault else "batch"
        self.counting.pay(asked, answer.output_tokens, self.model.cached_tokens(asked), kind)
        return 200, self.model.completion(asked, answer)

    def _struck(self, name: str, row: Row) -> bool:
        struck = self.faults.of_row(name, f"{self._struck_before[row.custom_id]} {row.custom_id}".encode())
        self._struck_before[row.custom_id] += struck
        return struck
