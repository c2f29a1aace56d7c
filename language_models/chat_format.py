"""A prompt as a chat completion request, and the body that comes back as a completion (OpenAI API reference)."""

from __future__ import annotations

from collections.abc import Mapping

from language_models.first_token import FirstToken
from language_models.prices import cost_usd
from language_models.tokens import estimate_tokens, prompt_tokens
from schemas.records import JSON, Completion, Prompt
from schemas.sections import Llm

OPENAI_URL = "https://api.openai.com/v1"
FORMAT_WORDS = ("response_format", "response format", "json_schema", "json_object", "schema", "structured", "grammar")
LOOSE = ("default", "title", "minLength", "maxLength")  # keywords that strict schemas may not have
FORMATS = ("json_schema", "json_object", "text")  # what an endpoint is asked for, until one is not refused


def format_fact(endpoint: str, model: str) -> str:
    """Under which name the ledger remembers the format that a model at an endpoint takes."""
    return f"response format of {endpoint} {model}"


def request_body(prompt: Prompt, llm: Llm, form: str) -> dict[str, JSON]:
    """The request without its token limit, whose name differs between endpoints. `form` is one of FORMATS."""
    request = {"model": llm.model, "messages": prompt.messages(), "temperature": llm.temperature}
    return request | likeliest(prompt) | response_format(prompt, form)


def likeliest(prompt: Prompt) -> dict[str, JSON]:
    """The part of the request that asks for log-probabilities; empty where a whole answer is wanted."""
    return {"logprobs": True, "top_logprobs": prompt.first_token} if prompt.first_token else {}


def response_format(prompt: Prompt, form: str) -> dict[str, JSON]:
    """The part of the request that says how to answer; the same for all prompts of a recipe. One token has no form."""
    if prompt.first_token:
        return {}
    if form == "json_schema":
        name = "".join(letter if letter.isalnum() else "_" for letter in prompt.recipe)[:64]
        schema = {"name": name, "strict": True, "schema": strict_schema(prompt.answer_schema)}
        return {"response_format": {"type": form, "json_schema": schema}}
    return {"response_format": {"type": form}} if form == "json_object" else {}


def output_limit(prompt: Prompt, llm: Llm, url: str) -> dict[str, int]:
    """How long the answer may be (`Prompt.most_output` of `llm.max_output_tokens`), named as the endpoint names it."""
    name = "max_completion_tokens" if url == OPENAI_URL else "max_tokens"  # others know the older name
    return {name: prompt.most_output(llm.max_output_tokens)}


def concerns_format(message: str) -> bool:
    """Whether the text of a 400 or 422 is about the response format and not about this prompt."""
    lower = message.lower()
    return any(word in lower for word in FORMAT_WORDS)


def concerns_likeliest(message: str) -> bool:
    """Whether the text of a refusal is about log-probabilities, which some models do not give."""
    return "logprob" in message.lower()


def read_completion(
    key: str, prompt: Prompt, body: JSON, llm: Llm, latency_s: float, batch: bool = False
) -> Completion:
    """The first choice; tokens are estimated where the endpoint reports none. `batch`: paid at batch rates.

    Raises ValueError on a body that is not a chat completion.
    """
    try:
        choice = body["choices"][0]
        refusal, content = choice["message"].get("refusal"), choice["message"].get("content")
        text = str(refusal or content or "")
        usage = body.get("usage") or {}
        given = _count(usage, "prompt_tokens")
        written = _count(usage, "completion_tokens")
        cached = min(_count(usage.get("prompt_tokens_details") or {}, "cached_tokens") or 0, given or 0)
        reason = "refusal" if refusal else str(choice.get("finish_reason") or "stop")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None
    given = prompt_tokens(prompt) if given is None else given
    written = estimate_tokens(text) if written is None else written
    if prompt.first_token and reason in ("stop", "length"):
        text, reason = _first_token(choice, text).to_text(), "stop"
    cost = cost_usd(input_tokens=given, output_tokens=written, llm=llm, cached_tokens=cached, batch=batch)
    return Completion(key, text, reason, given, written, cost, llm.model, latency_s, cached, prompt.turn)


def _first_token(choice: JSON, text: str) -> FirstToken:
    """The written token and the likeliest ones; none of these where the endpoint says nothing, or nothing readable."""
    try:
        written = choice["logprobs"]["content"][0]
        entries = [*(written.get("top_logprobs") or ()), written]
        told = {str(entry["token"]): float(entry["logprob"]) for entry in entries}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        told = {}
    return FirstToken.of_tokens(text, told.items())


def _count(usage: JSON, name: str) -> int | None:
    """A count of tokens, None where the endpoint reports none."""
    count = usage.get(name)
    return None if count is None else int(count)


def strict_schema(schema: JSON) -> JSON:
    """The schema in the strict subset: every property required, no others allowed, no defaults, titles or lengths."""
    if isinstance(schema, list):
        return [strict_schema(entry) for entry in schema]
    if not isinstance(schema, Mapping):
        return schema
    strict = {key: strict_schema(value) for key, value in schema.items() if key not in LOOSE}
    if "properties" in schema:
        strict["properties"] = {name: strict_schema(value) for name, value in schema["properties"].items()}
        strict |= {"required": list(schema["properties"]), "additionalProperties": False}
    return strict
