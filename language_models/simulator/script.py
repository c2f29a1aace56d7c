"""The script of a rehearsal: which faults strike how often, what the limits are, and how long an answer takes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.errors import ConfigError, unknown_name

TRANSPORT = (  # of one attempt; at most one strikes
    "rate_limit_after",
    "rate_limit",
    "server_error",
    "reset_before",
    "hang",
    "invalid_body",
    "reset",
    "hang_paid",
)
PAID = ("reset", "hang_paid")  # the model has answered before they strike
ANSWER = ("truncated_json", "wrong_schema", "length", "refusal", "content_filter", "bad_request")  # of one question
ROW = "row_error_share", "expire_share"  # of one row of a batch


def _share(description: str) -> Any:
    return Field(0.0, ge=0, le=1, description=description)


class Script(BaseModel):
    """Probabilities, limits and times. Draws are hashes of `seed`, so a run can be repeated whatever its order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, description="of every draw")
    rate_limit_after: float = _share("429 with Retry-After; probability per attempt, not paid")
    rate_limit: float = _share("429 without Retry-After; per attempt, not paid")
    retry_after_s: float = Field(1.0, ge=0, description="what Retry-After says, in seconds")
    server_error: float = _share("500, 502 or 503; per attempt, not paid")
    reset_before: float = _share("connection reset before the model answers; per attempt, not paid")
    hang: float = _share("no answer for hang_s; per attempt, not paid")
    invalid_body: float = _share("200 with HTML; per attempt, not paid")
    reset: float = _share("connection reset after the model has answered; per attempt, paid")
    hang_paid: float = _share("the model has answered, and the answer never comes; per attempt, paid")
    hang_s: float = Field(600.0, ge=0, description="how long a hang lasts before the connection is reset, in seconds")
    truncated_json: float = _share("the JSON breaks off though finish_reason is stop; per question")
    wrong_schema: float = _share("JSON that does not fit the schema; per question")
    length: float = _share("the answer does not fit, until more tokens are allowed; per question")
    refusal: float = _share("message.refusal is set; per question")
    content_filter: float = _share("finish_reason content_filter; per question")
    bad_request: float = _share("400; per question, not paid")
    again: float = _share("probability that such an answer meets the follow-up question as well")
    insufficient_quota_after: int | None = Field(None, ge=0, description="429 insufficient_quota after so many answers")
    unauthorized_after: int | None = Field(None, ge=0, description="401 after so many answers")
    upload_error: float = _share("500 for a file upload")
    upload_reset: float = _share("the file is kept, and the connection reset")
    batch_error: float = _share("500 for the creation of a batch; there is no batch")
    batch_reset: float = _share("the batch is created, and the connection reset")
    batch_failed: float = _share("a batch fails as a whole while it is validated")
    poll_error: float = _share("500 for a look at a batch")
    download_error: float = _share("500 for a download")
    download_reset: float = _share("a download breaks off in the middle")
    batch_delay_s: float = Field(0.2, ge=0, description="from the creation of a batch to its end, in seconds")
    expire_share: float = _share("rows that are unfinished when the batch expires; with any, it expires")
    row_error_share: float = _share("rows of a batch that end in the error file with status 500")
    duplicate_lines: float = _share("rows that stand twice in the output of a batch")
    store_delay_s: float = Field(0.0, ge=0, description="until a stored completion can be listed, in seconds")
    most: Mapping[str, int] = Field({}, description="fault -> how often it strikes at most")
    rpm: int | None = Field(None, gt=0, description="requests per minute, with x-ratelimit headers")
    tpm: int | None = Field(None, gt=0, description="tokens per minute, with x-ratelimit headers")
    burst_s: float = Field(60.0, gt=0, description="the buckets of rpm and tpm hold the quota of so many seconds")
    hidden_rpm: int | None = Field(None, gt=0, description="requests per minute above which a bare 429 comes")
    hidden_capacity: int | None = Field(None, ge=0, description="requests in flight above which a bare 429 comes")
    capacity: Sequence[tuple[float, int]] = Field((), description="[[second, hidden capacity from then on], ...]")
    latency: float = Field(0.0, ge=0, description="mean time to an answer, in seconds")
    latency_spread: float = Field(0.0, ge=0, description="sigma of the lognormal latency; 0 is constant")
    tokens_per_second: float | None = Field(None, gt=0, description="adds output tokens over this rate")
    logprobs: Literal["given", "ignored", "refused"] = Field(
        "given", description="log-probabilities of a one-token answer; ignored: null in their place; refused: 400"
    )
    position_bias: float = _share(
        "a ranking is the order shown and the first option is the likeliest, whatever they are; per question"
    )
    cached_share: float = _share("share of the prompt tokens that usage reports as cached")

    @model_validator(mode="after")
    def at_most_one(self) -> Script:
        """Faults that exclude each other have probabilities that add up to at most 1, and `most` names faults."""
        for names in (TRANSPORT, ANSWER):
            if (total := sum(getattr(self, name) for name in names)) > 1 + 1e-9:
                raise ValueError(f"{' + '.join(names)}: expected at most 1 in all, found {total:g}")
        for name in self.most:
            if name not in FAULTS:
                raise ValueError(unknown_name("most", name, FAULTS))
        return self


FAULTS = tuple(name for name, field in Script.model_fields.items() if field.annotation is float and field.default == 0)


def read_script(file: Path | None, lines: Sequence[str], values: Mapping[str, Any]) -> Script:
    """The script of a TOML file, changed by `name=value` lines, changed by values.

    Raises ConfigError naming the file, the key and the nearest valid key.
    """
    raw = _toml(str(file), _read(file)) if file is not None else {}
    for line in lines:
        raw |= _toml(f"--fault {line}", line.encode())
    return make_script({**raw, **values}, str(file) if file is not None else "faults")


def make_script(raw: Mapping[str, Any], where: str = "faults") -> Script:
    """Raises ConfigError where a key or a value is not one of a script."""
    for name in raw:
        if name not in Script.model_fields:
            raise ConfigError(unknown_name(where, name, Script.model_fields))
    try:
        return Script.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(explained(where, error)) from None


def explained(where: str, error: ValidationError) -> str:
    """A line per wrong value: where it stands, what was expected and what came."""
    return "\n".join(f"{where}: {_explain(entry)}" for entry in error.errors())


def _explain(entry: Mapping[str, Any]) -> str:
    message = str(entry["msg"]).removeprefix("Value error, ")
    place = ".".join(str(part) for part in entry["loc"])
    return f"{place}: {message}, found {entry['input']!r}" if place else message


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"{file}: cannot be read as a fault script: {reason}; it has lines like reset = 0.01"
        ) from None


def _toml(where: str, text: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: expected TOML such as rate_limit = 0.05: {error}") from None
