"""The seams to language models: a chat engine that answers prompts, its online form, and a text encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schemas.records import Completion, Prompt


class ChatEngine(Protocol):
    """Answers prompts; completions come back in any order, each carrying the key and turn of its prompt."""

    name: str  # registry name
    model: str  # written to every row

    def key(self, prompt: Prompt) -> str:
        """Content key of the call: endpoint, model, parameters and prompt body; equal for every turn of a prompt."""
        ...

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """One completion per distinct key and turn.

        `finish_reason` is `error:<class>` where a call failed for good and `unknown:<class>` where it was sent and no
        answer came. Raises EngineError when no call can succeed (wrong key, no quota, no such address).
        """
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """One attempt that brought a completion, and what the endpoint said of its limits."""

    completion: Completion
    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case x-ratelimit-* and retry-after*


class ChatConnection(Protocol):
    """An open connection pool to one endpoint and model, inside a running event loop."""

    format: str | None  # the response format that the endpoint takes, once known; may be set before the first call

    async def send(self, prompt: Prompt) -> Reply:
        """One attempt, never repeated. Raises language_models.faults.Failure with the fault that it met."""
        ...

    async def recover(self, prompt: Prompt) -> Completion | None:
        """The stored answer of a turn that was sent before, where the endpoint keeps them (`llm.recovery`); no cost."""
        ...


@runtime_checkable
class OnlineEngine(Protocol):
    """A chat engine whose calls are made one by one over a network, so that a scheduler can pace them."""

    name: str
    model: str
    endpoint: str  # the namespace of its keys

    def key(self, prompt: Prompt) -> str: ...

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]: ...

    def connect(self) -> AbstractAsyncContextManager[ChatConnection]: ...


@dataclass(frozen=True, slots=True)
class Encoded:
    """What an encoder has done so far."""

    texts: int = 0
    truncated: int = 0  # texts of which the end was not read
    tokens: int = 0  # read; as an endpoint counted them, where it did
    cost_usd: float = 0.0

    def __add__(self, more: Encoded) -> Encoded:
        return Encoded(
            self.texts + more.texts,
            self.truncated + more.truncated,
            self.tokens + more.tokens,
            self.cost_usd + more.cost_usd,
        )


class TextEncoder(Protocol):
    """Turns texts into vectors."""

    name: str  # of the model

    @property
    def dim(self) -> int:
        """Width of the vectors; 0 where an endpoint has not said it yet."""
        ...

    @property
    def limit(self) -> int | None:
        """Tokens of a text, or of a window of it, that are read at most; None for any number."""
        ...

    @property
    def done(self) -> Encoded:
        """The sum over all calls of `encode` that returned."""
        ...

    def warm_up(self) -> None:
        """Read one text that is not counted, so that no set-up is left; an endpoint would be paid for it."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[N, dim], rows of unit L2 norm, in the order of `texts`.

        Raises EngineError where an endpoint cannot be used, and BudgetError before a request that could pass the cap.
        """
        ...
