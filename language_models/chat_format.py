"""A prompt as a chat completion request, and the body that comes back as a completion (OpenAI API reference)."""

from __future__ import annotations

from collections.abc import Mapping

from language_models.prices import cost_usd, estimate_tokens, prompt_tokens
from schemas.records import JSON, Completion, Prompt
from schemas.run import Llm

FORMATS = ("json_schema", "json_object", "text")  # what an endpoint is asked for, until one is not refused


def request_body(prompt: Prompt, llm: Llm, form: str) -> dict[str, JSON]:
    """The request without its token limit, whose name differs between endpoints. `form` is one of FORMATS."""
    request = {"model": llm.model, "messages": prompt.body()["messages"], "temperature": llm.temperature}
    if form == "json_schema":
        name = "".join(letter if letter.isalnum() else "_" for letter in prompt.recipe)
        schema = {"name": name, "strict": True, "schema": strict_schema(prompt.answer_schema)}
        return {**request, "response_format": {"type": form, "json_schema": schema}}
    return {**request, "response_format": {"type": form}} if form == "json_object" else request


def read_completion(key: str, prompt: Prompt, body: JSON, llm: Llm, latency_s: float) -> Completion:
    """The first choice; tokens are estimated where the endpoint reports none.

    Raises ValueError on a body that is not a chat completion.
    """
    try:
        choice = body["choices"][0]
        refusal, content = choice["message"].get("refusal"), choice["message"].get("content")
        text = str(refusal or content or "")
        usage = body.get("usage") or {}
        given = int(usage.get("prompt_tokens", prompt_tokens(prompt)))
        written = int(usage.get("completion_tokens", estimate_tokens(text)))
        reason = "refusal" if refusal else str(choice.get("finish_reason") or "stop")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return Completion(key, text, reason, given, written, cost_usd(given, written, llm), llm.model, latency_s)


def strict_schema(schema: JSON) -> JSON:
    """The schema in the strict subset: every property required, no others allowed, no defaults or titles."""
    if isinstance(schema, list):
        return [strict_schema(entry) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    strict = {key: strict_schema(value) for key, value in schema.items() if key not in ("default", "title")}
    if "properties" in schema:
        strict["properties"] = {name: strict_schema(value) for name, value in schema["properties"].items()}
        strict |= {"required": list(schema["properties"]), "additionalProperties": False}
    return strict
