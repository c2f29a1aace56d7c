"""The requests that the simulator's tests make."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from functools import cache

import openai

from tests.support.simulator import Simulator

SCHEMA = {
    "type": "object",
    "properties": {"summarization": {"type": "string"}, "reasoning": {"type": "string"}},
    "required": ["summarization", "reasoning"],
    "additionalProperties": False,
}
STRICT = {"type": "json_schema", "json_schema": {"name": "profile", "strict": True, "schema": SCHEMA}}


@cache
def client(sim: Simulator) -> openai.OpenAI:
    return openai.OpenAI(base_url=sim.url, api_key="any", max_retries=0, timeout=5)


def body(title: str, **changes) -> dict:
    messages = [
        {"role": "system", "content": "Describe who would like it. Answer in JSON."},
        {"role": "user", "content": json.dumps({"title": title, "genre": "Novel", "author": "A. Writer"})},
    ]
    return {"model": "m", "messages": messages, "response_format": STRICT, "max_completion_tokens": 300, **changes}


def ask(sim: Simulator, title: str, **changes):
    return client(sim).chat.completions.create(**body(title, **changes))


def post(sim: Simulator, request: dict, timeout: float = 5.0, **headers: str) -> tuple[int, dict, str]:
    """Status, headers and text of a chat request without a client library; raises OSError on a reset."""
    named = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent = urllib.request.Request(sim.url + "/chat/completions", json.dumps(request).encode(), named)
    try:
        with urllib.request.urlopen(sent, timeout=timeout) as response:
            return response.status, dict(response.headers), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()
