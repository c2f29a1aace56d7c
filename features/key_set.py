"""The content keys that were seen, eight bytes each: a million of them fit where ten thousand strings would."""

from __future__ import annotations

import numpy as np

RECENT = 50_000  # keys held as numbers of Python before they are merged into the sorted ones


class KeySet:
    """Content keys (hexadecimal digests) by their first 64 bits; of a million, two are mixed up once in 10 million."""

    def __init__(self) -> None:
        self._sorted = np.empty(0, dtype=np.uint64)
        self._recent: set[int] = set()

    def add(self, key: str) -> bool:
        """Whether the key is new."""
        number = int(key[:16], 16)
        if number in self._recent or self._holds(np.uint64(number)):
            return False
        self._recent.add(number)
        if len(self._recent) >= RECENT:
            recent = np.fromiter(self._recent, dtype=np.uint64, count=len(self._recent))
            self._sorted = np.sort(np.concatenate([self._sorted, recent]))
            self._recent.clear()
        return True

    def _holds(self, number: np.uint64) -> bool:
        place = int(self._sorted.searchsorted(number))
        return place < len(self._sorted) and bool(self._sorted[place] == number)
