"""Random codes: the control that says nothing of an item, and P5's random indexing."""

from __future__ import annotations

import hashlib
from typing import ClassVar

import numpy as np

from features.tokenizers.base import Codes, Int32, Levels, Seed, TokenInputs, Tokenizer


class RandomCodes(Tokenizer):
    """Codes drawn from an item's id and the seed: the same for an item in whatever company, new items included."""

    source: ClassVar[str] = "Hua et al., SIGIR-AP 2023 (P5 indexing: RID), arXiv 2305.06569; a control"

    def __init__(self, *, levels: Levels = 3, size: Codes = 256, seed: Seed = 0) -> None:
        super().__init__()
        self.levels, self.size, self.seed = levels, size, seed

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.size,) * self.levels

    def encode(self, inputs: TokenInputs) -> Int32:
        drawn = np.array([[self._draw(id, level) for level in range(self.levels)] for id in inputs.ids], dtype=np.int32)
        return drawn.reshape(len(inputs.ids), self.levels)

    def _draw(self, id: str, level: int) -> int:
        told = hashlib.sha256(f"{self.seed} {level} {id}".encode()).digest()
        return int.from_bytes(told[:8], "big") % self.size

    def _fit(self, inputs: TokenInputs) -> None:
        """There is nothing to learn."""
