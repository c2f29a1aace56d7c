"""What every encoder does around its model: the prefix, windows of long texts, their mean, and the counts."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from language_models.protocols import Encoded
from schemas.errors import ConfigError
from schemas.sections import Encoder

Vectors = NDArray[np.float32]
FIRST_LOOK = 64  # words, or letters of a long one, that are tried first for a window


@dataclass(frozen=True, slots=True)
class Window:
    """A text as a model gets it, with its prefix: a whole one, or a piece of a long one."""

    text: str
    tokens: int  # all that the text has, with prefix and special tokens
    of: int  # row of the text that it is part of


@dataclass(frozen=True, slots=True)
class Reading:
    """Unit vectors of windows, float32 [W, dim], and what they took."""

    vectors: Vectors
    tokens: int
    cost_usd: float = 0.0


class WindowModel(Protocol):
    """A model that reads windows; of one with more tokens than `limit` it reads the beginning."""

    prefix: str

    @property
    def dim(self) -> int: ...

    @property
    def limit(self) -> int | None: ...

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, those counted in that the model puts around it."""
        ...

    def read(self, windows: Sequence[Window]) -> Reading: ...


class WindowEncoder:
    """A `TextEncoder` over any model. A long text is cut, or is the mean of its windows weighted by their tokens."""

    def __init__(self, name: str, config: Encoder, model: WindowModel) -> None:
        """Raises ConfigError where the prefix leaves no room for a text."""
        self.name, self.done = name, Encoded()
        self._chunk, self._model = config.long == "chunk", model
        self._around = model.counts([model.prefix])[0]
        if model.limit is not None and self._around >= model.limit:
            raise ConfigError(
                f"encoder.max_tokens: expected more than the {self._around} tokens of prefix {model.prefix!r} and of "
                f"what the model puts around a text, found {model.limit}"
            )

    @property
    def dim(self) -> int:
        return self._model.dim

    @property
    def limit(self) -> int | None:
        return self._model.limit

    def encode(self, texts: Sequence[str]) -> Vectors:
        """[N, dim], rows of unit L2 norm, in the order of `texts`."""
        if not texts:
            return np.zeros((0, self.dim), np.float32)
        prefixed = [self._model.prefix + text for text in texts]
        counts = self._model.counts(prefixed)
        whole = [Window(text, tokens, row) for row, (text, tokens) in enumerate(zip(prefixed, counts, strict=True))]
        windows = [part for window in whole for part in self._parts(window)] if self._chunk else whole
        reading = self._model.read(windows)
        truncated = 0 if self._chunk else sum(self._is_long(tokens) for tokens in counts)
        self.done += Encoded(len(texts), truncated, reading.tokens, reading.cost_usd)
        if len(windows) == len(texts):
            return reading.vectors
        weights = [max(1, window.tokens - self._around) for window in windows]
        return mean_of_windows(reading.vectors, [window.of for window in windows], weights, len(texts))

    def warm_up(self) -> None:
        self._model.read([Window(self._model.prefix or "a", self._around, 0)])

    def _parts(self, window: Window) -> list[Window]:
        """Windows that fit, each with the prefix, as every text that the model was trained on."""
        if not self._is_long(window.tokens):
            return [window]
        prefix = self._model.prefix
        pieces = cut(window.text.removeprefix(prefix), lambda piece: not self._is_long(self._count(prefix + piece)))
        return [Window(prefix + piece, self._count(prefix + piece), window.of) for piece in pieces]

    def _count(self, text: str) -> int:
        return self._model.counts([text])[0]

    def _is_long(self, tokens: int) -> bool:
        return self.limit is not None and tokens > self.limit


def mean_of_windows(vectors: Vectors, of: Sequence[int], weights: Sequence[float], count: int) -> Vectors:
    """Weighted sums [count, dim] of the windows [W, dim] of each text, scaled to unit L2 norm."""
    sums = np.zeros((count, vectors.shape[1]))
    np.add.at(sums, np.asarray(of), np.asarray(weights)[:, None] * vectors)
    return unit(sums)


def unit(vectors: NDArray[np.floating]) -> Vectors:
    """Rows scaled to unit L2 norm, float32."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def cut(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Pieces that fit, in order, each of as many words as there is room for; a word without room for it is cut too.

    Put together they are the text, but for white space where it was cut.
    """
    words = [match.span() for match in re.finditer(r"\S+", text)]
    pieces, first = list[str](), 0
    while first < len(words):
        start, end = words[first]
        count = _most(len(words) - first, lambda size: fits(text[start : words[first + size - 1][1]]))  # noqa: B023
        if count:
            end, first = words[first + count - 1][1], first + count
        else:
            end = start + max(1, _most(end - start, lambda size: fits(text[start : start + size])))  # noqa: B023
            words[first] = end, words[first][1]
            first += end == words[first][1]
        pieces.append(text[start:end])
    return pieces


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """The largest size up to `limit` that fits, or 0; looks no further than twice as far as it has to."""
    most = FIRST_LOOK
    while most < limit and fits(most):
        most *= 2
    return bisect_left(range(1, min(most, limit) + 1), True, key=lambda size: not fits(size))
