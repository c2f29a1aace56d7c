"""P5's independent indexing: every item is one token of its own."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.tokenizers.base import Int32, Int64, TokenInputs
from features.tokenizers.numbered import Numbered


class P5Independent(Numbered):
    """One level with a code for every item, in the order of ids; items share nothing. New items get new codes."""

    source: ClassVar[str] = "Hua et al., SIGIR-AP 2023 (P5 indexing: IID), arXiv 2305.06569"

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.count,)

    def encode(self, inputs: TokenInputs) -> Int32:
        """Codes [N, 1]; -1 of an item that has none yet."""
        return self.numbers(inputs)[:, None].astype(np.int32)

    def unique(self, inputs: TokenInputs, codes: Int32, new: Int64, taken: Int32) -> Int32:
        del inputs
        largest = int(taken[:, 0].max(initial=-1))
        return self.counted_on(codes[new, 0].astype(np.int64), new, largest)[:, None].astype(np.int32)

    def _fit(self, inputs: TokenInputs) -> None:
        self.keep_numbers(inputs, np.arange(len(inputs.ids)))
