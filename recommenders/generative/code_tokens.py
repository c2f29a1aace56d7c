"""Items as tokens: codes that end with a code of their own where they are shorter, and the tokens of a history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.codes import END, ItemCodes

Int64 = NDArray[np.int64]
PAD = 0  # padding of the encoder, and the beginning in the decoder
SEPARATOR = 1  # after each item, where it is wanted
CODES = 2  # the first code of the first level


@dataclass(frozen=True)
class CodeTokens:
    """Codes of which no tuple begins another, and their tokens, which say the level too."""

    codes: Int64  # [I, L]; -1 after the end
    sizes: tuple[int, ...]  # [L] codes of each level, with that for the end
    token: Int64  # [I + 1, L or L + 1] tokens of every item, and nothing but PAD in the last row

    @classmethod
    def of(cls, items: ItemCodes, separator: bool) -> CodeTokens:
        """Give a tuple that is shorter than the longest one code more: the last of its level."""
        codes, sizes = items.codes.astype(np.int64), list(items.sizes)
        length = (codes != END).sum(axis=1)
        for level in range(1, codes.shape[1]):
            if (ended := length == level).any():
                codes[ended, level] = sizes[level]
                sizes[level] += 1
        offset = CODES + np.concatenate([[0], np.cumsum(sizes)])[:-1]
        token = np.where(codes == END, PAD, codes + offset)
        if separator:
            token = np.column_stack([token, np.full(len(token), SEPARATOR)])
        return cls(codes, tuple(sizes), np.vstack([token, np.full(token.shape[1], PAD)]).astype(np.int64))

    def history(self, item: Int64, whole: bool) -> Int64:
        """Tokens of items [B, m] padded with I, on the left: [B, n, 1], or [B, m, L] with `whole` items as they are.

        One item's come after another's; n is the length of the longest history.
        """
        token = self.token[item]
        if whole:
            return token
        token = token.reshape(len(item), -1)
        real = token != PAD
        order = np.argsort(real, axis=1, kind="stable")
        longest = max(int(real.sum(axis=1).max(initial=0)), 1)
        return np.take_along_axis(token, order, axis=1)[:, -longest:, None]
