"""The LSH control: on which side of random planes a text vector lies (TIGER's ablation)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from features.tokenizers.base import Int32, Levels, Seed, TokenInputs, Tokenizer

Bits = Annotated[int, Field(gt=0, le=15, description="planes of a level, which has 2 to that power codes")]


class Lsh(Tokenizer):
    """c_l = sum_b 2^b [(x - mean) p_(l,b) > 0] with random planes p: what codes are without being learned."""

    source: ClassVar[str] = "Rajput et al., NeurIPS 2023 (TIGER), section 4.2; Charikar, STOC 2002"
    reads_text: ClassVar[bool] = True

    def __init__(self, *, levels: Levels = 4, bits: Bits = 8, seed: Seed = 0) -> None:
        super().__init__()
        self.levels, self.bits, self.seed = levels, bits, seed

    @property
    def sizes(self) -> tuple[int, ...]:
        return (2**self.bits,) * self.levels

    def encode(self, inputs: TokenInputs) -> Int32:
        x = np.where(inputs.present[:, None], inputs.x, self.arrays["mean"]) - self.arrays["mean"]
        side = np.einsum("nd,dp->np", x, self.arrays["planes"]) > 0  # a row's sums do not depend on the other rows
        side = side.reshape(len(x), self.levels, self.bits)
        return np.asarray((side * 2 ** np.arange(self.bits)).sum(axis=2), dtype=np.int32)

    def _fit(self, inputs: TokenInputs) -> None:
        x = inputs.x[inputs.present]
        planes = np.random.default_rng(self.seed).standard_normal((x.shape[1], self.levels * self.bits))
        self.arrays = {
            "mean": x.mean(axis=0, dtype=np.float64).astype(np.float32),
            "planes": planes.astype(np.float32),
        }
