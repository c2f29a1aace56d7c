"""POST /v1/embeddings: unit vectors hashed from words, so that texts with common words lie near each other.

The script's faults of an attempt (429, 5xx, resets, hangs, HTML) strike here as they strike a chat request.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b, sha256

import numpy as np
from aiohttp import web

from language_models.simulator.chat import HTML, LOOK_S, retry_after
from language_models.simulator.counting import Counting
from language_models.simulator.drawing import Faults
from language_models.simulator.responses import cut_off, read_object, refuse, reply
from language_models.simulator.script import PAID
from language_models.simulator.tokens import count_tokens
from schemas.records import JSON

Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
DIMENSIONS, MOST_DIMENSIONS = 1536, 4096
MOST_TEXTS, TEXT_TOKENS, REQUEST_TOKENS = 2048, 8192, 300_000  # of a request, as OpenAI's embedding models


class Embeddings:
    """The embeddings endpoint."""

    def __init__(self, counting: Counting, faults: Faults) -> None:
        self.counting, self.faults = counting, faults
        self.attempts: Counter[bytes] = Counter()  # by request

    async def create(self, request: web.Request) -> web.Response:
        """Vectors as floats or, with `encoding_format` base64, as little-endian float32."""
        raw = await request.read()
        body = await read_object(request)
        given, dimensions = body.get("input"), body.get("dimensions", DIMENSIONS)
        texts = [given] if isinstance(given, str) else given
        if (wrong := _wrong(texts, dimensions)) is not None:
            return refuse(400, wrong)
        fault = self._fault(digest := sha256(raw).digest())
        if fault is not None and fault not in PAID:
            return await self._fail(request, digest, fault)
        tokens = sum(map(count_tokens, texts))
        self.counting.embed(tokens)
        if fault is not None:
            return await self._lose(request, fault)
        return reply(_answer(body, texts, dimensions, tokens))

    def _fault(self, digest: bytes) -> str | None:
        self.attempts[digest] += 1
        return self.faults.of_attempt(digest, self.attempts[digest])

    async def _fail(self, request: web.Request, digest: bytes, fault: str) -> web.Response:
        """A fault that strikes before the model is asked."""
        if fault in ("hang", "reset_before"):
            return await self._lose(request, fault)
        if fault == "invalid_body":
            return web.Response(text=HTML, content_type="text/html")
        if fault == "server_error":
            return refuse(self.faults.status(digest), "The server had an error while processing your request.")
        headers = retry_after(self.faults.script.retry_after_s) if fault == "rate_limit_after" else {}
        return refuse(429, "Rate limit reached.", "rate_limit_exceeded", headers)

    async def _lose(self, request: web.Request, fault: str) -> web.Response:
        """Reset the connection: at once, or after a hang that the client may end."""
        end = time.monotonic() + (self.faults.script.hang_s if fault.startswith("hang") else 0.0)
        while time.monotonic() < end and request.transport is not None and not request.transport.is_closing():
            await asyncio.sleep(min(LOOK_S, max(0.0, end - time.monotonic())))
        return cut_off(request)


def embed(text: str, dimensions: int) -> Vector:
    """The sum of the words' own random vectors, of length 1: float32 [dimensions]."""
    vector = np.zeros(dimensions, np.float32)
    for word in re.findall(r"\w+", text.lower()) or [text]:
        seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
        vector += np.random.default_rng(seed).standard_normal(dimensions, np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _wrong(texts: JSON, dimensions: JSON) -> str | None:
    """What the endpoint refuses, with what it expects; None for a good request."""
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
        return "input: expected a text or a list of texts that are not empty"
    if not isinstance(dimensions, int) or not 1 <= dimensions <= MOST_DIMENSIONS:
        return f"dimensions: expected a whole number up to {MOST_DIMENSIONS}, found {dimensions!r}"
    if len(texts) > MOST_TEXTS:
        return f"input: expected at most {MOST_TEXTS} texts, found {len(texts)}"
    counts = [count_tokens(text) for text in texts]
    if max(counts) > TEXT_TOKENS or sum(counts) > REQUEST_TOKENS:
        return (
            f"input: expected at most {TEXT_TOKENS} tokens of a text and {REQUEST_TOKENS} of a request, "
            f"found {max(counts)} and {sum(counts)}"
        )
    return None


def _answer(body: JSON, texts: Sequence[str], dimensions: int, tokens: int) -> JSON:
    encode: Callable[[Vector], JSON] = (
        _base64 if body.get("encoding_format") == "base64" else lambda vector: vector.tolist()
    )
    data = [
        {"object": "embedding", "index": index, "embedding": encode(embed(text, dimensions))}
        for index, text in enumerate(texts)
    ]
    return {"object": "list", "data": data, "model": body.get("model"), "usage": _usage(tokens)}


def _base64(vector: Vector) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _usage(tokens: int) -> JSON:
    return {"prompt_tokens": tokens, "total_tokens": tokens}
