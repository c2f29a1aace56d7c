"""POST /v1/embeddings: unit vectors hashed from words, so that texts with common words lie near each other."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
from aiohttp import web

from language_models.simulator.counting import Counting
from language_models.simulator.responses import refuse, reply
from language_models.simulator.tokens import count_tokens
from schemas.records import JSON

Vector = np.ndarray[tuple[int], np.dtype[np.float32]]
DIMENSIONS, MOST_DIMENSIONS = 1536, 4096


class Embeddings:
    """The embeddings endpoint."""

    def __init__(self, counting: Counting) -> None:
        self.counting = counting

    async def create(self, request: web.Request) -> web.Response:
        """Vectors as floats or, with `encoding_format` base64, as little-endian float32."""
        body = await request.json()
        given, dimensions = body.get("input"), body.get("dimensions", DIMENSIONS)
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) and text for text in texts):
            return refuse(400, "input: expected a text or a list of texts that are not empty")
        if not isinstance(dimensions, int) or not 1 <= dimensions <= MOST_DIMENSIONS:
            return refuse(400, f"dimensions: expected a whole number up to {MOST_DIMENSIONS}, found {dimensions!r}")
        encode: Callable[[Vector], JSON] = (
            _base64 if body.get("encoding_format") == "base64" else lambda vector: vector.tolist()
        )
        tokens = sum(count_tokens(text) for text in texts)
        self.counting.embed(tokens)
        data = [
            {"object": "embedding", "index": index, "embedding": encode(embed(text, dimensions))}
            for index, text in enumerate(texts)
        ]
        return reply({"object": "list", "data": data, "model": body.get("model"), "usage": _usage(tokens)})


def embed(text: str, dimensions: int) -> Vector:
    """The sum of the words' own random vectors, of length 1: float32 [dimensions]."""
    vector = np.zeros(dimensions, np.float32)
    for word in re.findall(r"\w+", text.lower()) or [text]:
        seed = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "big")
        vector += np.random.default_rng(seed).standard_normal(dimensions, np.float32)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _base64(vector: Vector) -> str:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()


def _usage(tokens: int) -> JSON:
    return {"prompt_tokens": tokens, "total_tokens": tokens}
