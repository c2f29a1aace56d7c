"""Embeddings of any OpenAI-compatible endpoint (OpenAI API reference: create embeddings)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlparse

import numpy as np
import openai

from language_models.chat_format import OPENAI_URL
from language_models.encoders.windows import Reading, Vectors, Window, cut, unit
from language_models.engines.openai_engine import LOOPBACK
from language_models.tokens import calibrated, estimate_tokens
from schemas.errors import BudgetError, ConfigError, EngineError
from schemas.records import JSON
from schemas.secrets import has_user, masked
from schemas.sections import Encoder

RETRIES = 6  # after 0.5, 1, 2, 4, 8, 8 s, or when the endpoint says
TIMEOUT_S = 120.0
# OpenAI takes 8,192 tokens of a text and 300,000 of a request; an estimate may be a quarter too low
TEXT_TOKENS, REQUEST_TOKENS = 6_000, 200_000
AROUND = 8  # tokens that an endpoint's model may put around a text
DETAIL = 200  # characters of what came that are shown
ADVICE = {
    400: "correct encoder.name and encoder.dimensions; where a text is too long, lower encoder.max_tokens",
    401: "set the environment variable that encoder.key_env names to a key of this endpoint",
    402: "the account has no credit",
    404: "correct encoder.base_url and encoder.name",
    429: "the quota is used up, or requests come too fast; run again later",
}


@dataclass(frozen=True, slots=True)
class Request:
    """Texts that are sent together."""

    texts: list[str]
    tokens: int  # estimated

    @property
    def most(self) -> int:
        """Tokens that they cannot exceed: one of a byte-level vocabulary stands for at least one byte."""
        return sum(len(text.encode()) + AROUND for text in self.texts)


class EndpointModel:
    """Texts are counted by estimate, as no endpoint tells its tokenizer; what they cost is counted by `usage`."""

    def __init__(self, config: Encoder, retries: int = RETRIES) -> None:
        """`retries` follow 408, 409, 429, 5xx, a timeout or a lost connection. Raises EngineError without a key."""
        self.endpoint = (config.base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL).rstrip("/")
        if has_user(self.endpoint):  # errors and tables say which endpoint it was
            raise ConfigError("encoder.base_url: has a user or a password in it; leave them out, the key is key_env's")
        self.prefix, self.limit = config.full_prefix, config.max_tokens or TEXT_TOKENS
        self.dim = config.dimensions or 0
        self._config, self._spent = config, 0.0
        self._known = (0, 0)  # tokens estimated and counted so far
        self._client = openai.OpenAI(
            api_key=self._key(), base_url=self.endpoint, timeout=TIMEOUT_S, max_retries=retries
        )

    def counts(self, texts: Sequence[str]) -> list[int]:
        return [estimate_tokens(text) for text in texts]

    def read(self, windows: Sequence[Window]) -> Reading:
        """Raises BudgetError before the first request where all of them could pass the cap, so none is paid in vain."""
        requests = list(self._requests([self._sent(window) for window in windows]))
        self._reserve(requests)
        spent, counted = self._spent, self._known[1]
        vectors = np.concatenate([self._ask(request) for request in requests])
        return Reading(vectors, self._known[1] - counted, self._spent - spent)

    def _sent(self, window: Window) -> str:
        """The beginning that is read. Endpoints refuse an empty text; a space stands for it."""
        text = window.text
        if window.tokens > self.limit:
            text = cut(text, lambda piece: estimate_tokens(piece) <= self.limit)[0]
        return text or " "

    def _requests(self, texts: Sequence[str]) -> Iterator[Request]:
        """As many texts together as `encoder.batch_size` and the endpoint's limit of tokens allow."""
        together, tokens = list[str](), 0
        for text in texts:
            more = estimate_tokens(text)
            if together and (len(together) == self._config.batch_size or tokens + more > REQUEST_TOKENS):
                yield Request(together, tokens)
                together, tokens = [], 0
            together.append(text)
            tokens += more
        yield Request(together, tokens)

    # ---- money

    def _usd(self, tokens: int) -> float:
        return tokens * (self._config.usd_per_million or 0.0) / 1e6

    def _reserve(self, requests: Sequence[Request]) -> None:
        """Room for what all are expected to take, and for the most that the largest of them can."""
        largest = max(requests, key=lambda request: request.most)
        others = sum(request.tokens for request in requests) - largest.tokens
        self._check(calibrated(others, self._known) + largest.most)

    def _check(self, tokens: int) -> None:
        cap, after = self._config.max_cost_usd, self._spent + self._usd(tokens)
        if cap is not None and after > cap:
            raise BudgetError(
                f"encoder.max_cost_usd: ${self._spent:.6f} of ${cap:.6f} is spent, and what comes next could take it "
                f"to ${after:.6f}; all vectors written so far are kept, and a run with a higher cap goes on from there"
            )

    def _pay(self, request: Request, answer: JSON) -> None:
        usage = answer.get("usage") or {}
        counted = usage.get("total_tokens") or usage.get("prompt_tokens")
        tokens = counted if isinstance(counted, int) else request.tokens
        self._known = self._known[0] + request.tokens, self._known[1] + tokens
        self._spent += self._usd(tokens)

    # ---- one request

    def _ask(self, request: Request) -> Vectors:
        """Unit vectors [B, dim] in the order of the request's texts."""
        self._check(request.most)  # no estimate is a bound, and a cap holds
        body = self._post(request.texts)
        try:
            answer = json.loads(body)
            rows = {entry["index"]: _floats(entry["embedding"]) for entry in answer["data"]}
        except (ValueError, KeyError, TypeError):
            found = body[:DETAIL].decode(errors="replace")
            raise self._error(f"expected a list of embeddings, found {found!r}; correct encoder.base_url") from None
        self._pay(request, answer)
        return self._checked(rows, len(answer["data"]), len(request.texts))

    def _checked(self, rows: dict[int, Vectors], found: int, count: int) -> Vectors:
        if found != count or sorted(rows) != list(range(count)):
            raise self._error(f"expected an embedding for each of {count} texts, found {found} for {sorted(rows)}")
        self.dim = self.dim or len(rows[0])
        if widths := {len(row) for row in rows.values()} - {self.dim}:
            raise self._error(f"expected {self.dim} dimensions (encoder.dimensions), found {min(widths)}")
        vectors = np.stack([rows[index] for index in range(count)])  # [B, dim]
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise self._error("expected finite embeddings that are not all zero, found others")
        return unit(vectors)

    def _post(self, texts: list[str]) -> bytes:
        dimensions = openai.omit if self._config.dimensions is None else self._config.dimensions
        try:
            response = self._client.embeddings.with_raw_response.create(
                model=self._config.name, input=texts, encoding_format="base64", dimensions=dimensions
            )
            return response.http_response.content
        except openai.APIStatusError as error:
            advice = ADVICE.get(error.status_code, ADVICE[401] if error.status_code == 403 else "run again later")
            detail = f"{error.status_code}: {error.message[:DETAIL]}; {advice}"
        except openai.OpenAIError as error:
            detail = f"{type(error).__name__}: {error}; correct encoder.base_url, or run again later"
        raise self._error(detail)

    def _error(self, detail: str) -> EngineError:
        """Without the key, which some endpoints echo."""
        said = masked(detail, (self._client.api_key,))
        return EngineError(f"{self.endpoint}: model {self._config.name}: {said}; all vectors written so far are kept")

    def _key(self) -> str:
        key = os.environ.get(self._config.key_env, "").strip()
        if not key and urlparse(self.endpoint).hostname not in LOOPBACK:
            raise EngineError(
                f"{self.endpoint}: no key; set the environment variable {self._config.key_env} (encoder.key_env)"
            )
        return key or "none-needed-on-loopback"


def _floats(embedding: JSON) -> Vectors:
    """One vector, from base64 of little-endian float32 or from a list of numbers."""
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").astype(np.float32)
    row = np.asarray(embedding, np.float32)
    if row.ndim != 1:
        raise ValueError("expected a list of numbers")
    return row
