"""The two seams to language models: a chat engine that answers prompts, and a text encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.records import Completion, Prompt


class ChatEngine(Protocol):
    """Answers prompts; completions come back in any order, each carrying the key of its prompt."""

    name: str  # registry name
    model: str  # written to every row

    def key(self, prompt: Prompt) -> str:
        """Content key of the call: endpoint, model, parameters and prompt body."""
        ...

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """One completion per distinct key. A call that failed for good has `finish_reason` `error:<class>`.

        Raises EngineError when no call can succeed (wrong key, no quota, no such address).
        """
        ...


class TextEncoder(Protocol):
    """Turns texts into vectors."""

    name: str  # part of a vector's source
    dim: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[N, dim], rows of unit L2 norm, in the order of `texts`."""
        ...
