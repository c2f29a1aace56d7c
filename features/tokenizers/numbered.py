"""What P5's numbered ids share: every item has a number of its own, and new items get the next ones."""

from __future__ import annotations

import numpy as np

from features.tokenizers.base import Int32, Int64, TokenInputs, Tokenizer
from features.tokenizers.ties import ranks

UNKNOWN = -1  # the number of an item that `fit` has not seen


class Numbered(Tokenizer):
    """A tokenizer that gives the items of `fit` numbers; one of its codes, or all of them, say an item's number."""

    def keep_numbers(self, inputs: TokenInputs, number: Int64) -> None:
        """Remember the number [N] of every item."""
        self.about["numbers"] = dict(zip(inputs.ids, number.tolist(), strict=True))

    def numbers(self, inputs: TokenInputs) -> Int64:
        """The number of every item, -1 of those that are new: [N]."""
        known = self.about["numbers"]
        return np.array([known.get(id, UNKNOWN) for id in inputs.ids], dtype=np.int64)

    @property
    def count(self) -> int:
        """How many numbers `fit` gave away."""
        return len(self.about["numbers"])

    def counted_on(self, number: Int64, order: Int64, largest_taken: int) -> Int64:
        """Numbers [n] of which the unknown ones were counted on in the order of `order` [n], after all others."""
        unknown = np.flatnonzero(number == UNKNOWN)
        first = max(largest_taken + 1, self.count)
        found = number.copy()
        found[unknown] = first + ranks(order[unknown])
        return found


def first_seen(inputs: TokenInputs) -> Int64:
    """The place [N] of every item when the users' train items are walked user by user, each in time order.

    Items that train does not know follow in the order of ids: nothing of what is held out can show in a place.
    """
    train = inputs.train
    assert train is not None, "checked by fit"
    walk = train.edges[1][np.lexsort((np.arange(len(train)), train.time, train.edges[0]))]
    items, first = np.unique(walk, return_index=True)
    when = np.full(len(inputs.ids), len(walk), dtype=np.int64)
    when[items] = first
    return ranks(when)


def digits(number: Int64, base: int, levels: int) -> Int32:
    """Numbers [n] below base^levels as their digits, the highest first: [n, levels]."""
    powers = base ** np.arange(levels - 1, -1, -1, dtype=np.int64)
    return (number[:, None] // powers % base).astype(np.int32)
