"""What a chat request asks, and the hashes that it is counted and drawn by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from language_models.simulator.schema_size import check_schema
from language_models.simulator.tokens import count_tokens
from schemas.records import JSON, canonical

MOST_LIKELIEST = 20
MOST_TOKENS = 1_000_000  # of an answer
CAPS = ("max_completion_tokens", "max_tokens")
TOKENS_PER_MESSAGE = 4  # role and separators that a chat endpoint puts around a message


@dataclass(slots=True)
class Asked:
    """A chat request. The hashes are raw sha256 digests of 32 bytes."""

    model: str
    system: str
    user: str  # the first user message
    follow_up: bool  # there is more than one user message
    form: str  # text, json_object or json_schema
    schema: Mapping[str, JSON] | None
    schema_text: str  # canonical JSON, "null" for none
    cap: int | None  # output tokens at most
    likeliest: int | None  # how many likeliest tokens are to come with their log-probabilities; None for neither
    request: bytes  # of model, messages, schema, cap and likeliest: equal requests have equal answers
    message: bytes  # of the first user message
    question: bytes  # of model, system message and first user message: the same for every follow-up
    input_tokens: int


def request_id(body: Mapping[str, JSON]) -> str:
    """What /stats counts a request by: sha256 of canonical JSON of [model, messages, schema, output tokens at most].

    A request for log-probabilities has `top_logprobs` behind these.
    """
    return read_request(body).request.hex()


def read_request(body: Mapping[str, JSON]) -> Asked:
    """Raises ValueError or TypeError naming what is missing or wrong."""
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not isinstance(messages, list) or not messages:
        raise ValueError("model (a text) and messages (a list that is not empty) are required")
    form, schema = _format(body.get("response_format"))
    cap = next((body[name] for name in CAPS if body.get(name) is not None), None)
    if cap is not None and (not isinstance(cap, int) or cap < 1):
        raise ValueError(f"max_completion_tokens: expected a whole number of at least 1, found {str(cap)[:40]}")
    if cap is not None and cap > MOST_TOKENS:
        raise ValueError(f"max_completion_tokens: expected at most {MOST_TOKENS}, found {cap}")
    if body.get("n") not in (None, 1):
        raise ValueError(f"n: expected 1, the simulator gives one choice, found {str(body['n'])[:40]}")
    likeliest = _likeliest(body)
    texts = [(str(message.get("role")), _text(message)) for message in messages]
    system = "\n".join(text for role, text in texts if role in ("system", "developer"))
    users = [text for role, text in texts if role == "user"]
    if not users:
        raise ValueError("messages: expected one with the role user, found none")
    schema_text = canonical(schema)
    if schema:
        check_schema(schema_text)
    whole = f"[{canonical(model)},{canonical(messages)},{schema_text},{canonical(cap)}"
    whole += "]" if likeliest is None else f",{likeliest}]"
    message = sha256(users[0].encode()).digest()
    tokens = sum(_count(text) if role == "system" else count_tokens(text) for role, text in texts)
    return Asked(
        model=model,
        system=system,
        user=users[0],
        follow_up=len(users) > 1,
        form=form,
        schema=schema,
        schema_text=schema_text,
        cap=cap,
        likeliest=likeliest,
        request=sha256(whole.encode()).digest(),
        message=message,
        question=sha256(f"{model}\0{system}\0".encode() + message).digest(),
        input_tokens=tokens + (_count(schema_text) if schema else 0) + TOKENS_PER_MESSAGE * len(texts),
    )


def _likeliest(body: Mapping[str, JSON]) -> int | None:
    wanted, most = body.get("logprobs"), body.get("top_logprobs")
    if wanted not in (None, True, False):
        raise ValueError(f"logprobs: expected true or false, found {wanted!r}")
    if most is not None and not wanted:
        raise ValueError("top_logprobs: logprobs must be true where it is given")
    if most is not None and (not isinstance(most, int) or not 0 <= most <= MOST_LIKELIEST):
        raise ValueError(f"top_logprobs: expected a whole number from 0 to {MOST_LIKELIEST}, found {most!r}")
    return (most or 0) if wanted else None


def _format(wanted: JSON) -> tuple[str, Mapping[str, JSON] | None]:
    form = "text" if wanted is None else str(wanted.get("type"))
    if form not in ("text", "json_object", "json_schema"):
        raise ValueError(f"response_format.type: expected text, json_object or json_schema, found {form!r}")
    if form != "json_schema":
        return form, None
    schema = (wanted.get("json_schema") or {}).get("schema")
    if not isinstance(schema, Mapping):
        raise TypeError("response_format.json_schema.schema: expected a JSON schema")
    return form, schema


def _text(message: Mapping[str, JSON]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


@lru_cache(maxsize=1024)
def _count(text: str) -> int:
    return count_tokens(text)
