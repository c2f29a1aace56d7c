"""P5's sequential indexing: items that are read one after the other have consecutive numbers."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from features.tokenizers.base import Int32, Int64, Size, TokenInputs
from features.tokenizers.numbered import Numbered, digits, first_seen
from schemas.errors import DataError

ROOM = 4  # times the catalogue that it was fitted to: for new items


class P5Sequential(Numbered):
    """An item's number is its place when users' train items are walked user by user; its codes are the digits.

    Consecutive numbers share all but their last digits. `size` is the base of the digits: T5 reads two decimal ones at
    a time. Items that are only in valid and test follow in the order of ids. (P5 itself took the order of the whole
    sequences, and so knew the next item.)
    """

    source: ClassVar[str] = "Hua et al., SIGIR-AP 2023 (P5 indexing: SID), arXiv 2305.06569"
    reads_train: ClassVar[bool] = True

    def __init__(self, *, size: Annotated[Size, Field(description="base of the digits")] = 100) -> None:
        super().__init__()
        self.size = size

    @property
    def sizes(self) -> tuple[int, ...]:
        return (self.size,) * int(self.about["levels"])

    def encode(self, inputs: TokenInputs) -> Int32:
        """Codes [N, L]; -1 throughout of an item that has no number yet."""
        number = self.numbers(inputs)
        return np.where(number[:, None] < 0, -1, digits(number, self.size, len(self.sizes))).astype(np.int32)

    def unique(self, inputs: TokenInputs, codes: Int32, new: Int64, taken: Int32) -> Int32:
        del codes  # digits of what `numbers` says
        powers = self.size ** np.arange(len(self.sizes) - 1, -1, -1, dtype=np.int64)
        largest = int((taken[:, : len(powers)] @ powers).max(initial=-1))
        number = self.counted_on(self.numbers(inputs)[new], first_seen(inputs)[new], largest)
        if number.max(initial=0) >= self.size ** len(powers):
            raise DataError(
                f"p5_sequential: more than {self.size ** len(powers):,} items; set refit = true for a night"
            )
        return digits(number, self.size, len(powers))

    def _fit(self, inputs: TokenInputs) -> None:
        self.keep_numbers(inputs, first_seen(inputs))
        levels = 1
        while self.size**levels < ROOM * len(inputs.ids):
            levels += 1
        self.about["levels"] = levels
