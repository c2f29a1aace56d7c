"""Which items of a history are shown: the latest, or those most similar to the target (ReLLa, arXiv 2308.11131)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

EVENTS_AT_ONCE = 2**15  # vectors that are gathered at the same time, beside those of one history
DECIMALS = 6  # cosines that agree so far are equal: the order of a sum must not decide who is shown


def recent(history: Sequence[int] | Int64, k: int) -> list[int]:
    """The last k rows of a history that is in time order, oldest first; k = 0 gives none."""
    return [int(row) for row in history[max(len(history) - k, 0) :]]


def retrieved(history: Sequence[int] | Int64, target: int, vectors: Float32, k: int) -> list[int]:
    """The k places of a history whose items are nearest to the target, as item rows in chronological order.

    `history`: item rows, oldest first. `vectors`: [I, d] of any length; nearness is the cosine (to six decimals), and
    a zero vector has 0 to everything. The target itself is never among them; of equally near ones the later comes
    first; all where there are no more than k (section 3.2 of the paper, semantic user behaviour retrieval).
    """
    (places,) = retrieved_places([history], [target], vectors, k)
    return [int(history[place]) for place in places]


def retrieved_places(
    histories: Sequence[Sequence[int] | Int64], targets: Sequence[int] | Int64, vectors: Float32, k: int
) -> Iterator[Int64]:
    """For every history and its target the places in the history that `retrieved` shows, ascending.

    Work and memory grow with the lengths of the histories, not with the square of the catalogue.
    """
    assert len(histories) == len(targets), "a target for every history"
    unit, rows = _unit(vectors), [np.asarray(history, dtype=np.int64) for history in histories]
    ends = np.cumsum([0, *map(len, rows)])
    start = 0
    while start < len(rows):
        stop = max(start + 1, int(np.searchsorted(ends, ends[start] + EVENTS_AT_ONCE, side="right")) - 1)
        yield from _places(rows[start:stop], np.asarray(targets[start:stop], dtype=np.int64), unit, k)
        start = stop


def _places(histories: list[Int64], targets: Int64, unit: Float32, k: int) -> Iterator[Int64]:
    """The same of one block: cosines of all its pairs in one product, then a stable sort within each history."""
    lengths = np.array([len(history) for history in histories], dtype=np.int64)
    items = np.concatenate(histories)
    owner = np.repeat(np.arange(len(histories)), lengths)
    starts = np.cumsum(lengths) - lengths
    place = np.arange(len(items)) - starts[owner]
    cosine = np.round(np.einsum("pd,pd->p", unit[items], unit[targets[owner]]), DECIMALS)  # [P]
    shown = items != targets[owner]
    owner, place, cosine = owner[shown], place[shown], cosine[shown]
    order = np.lexsort((-place, -cosine, owner))  # of a history the nearest first, of equal ones the latest
    owner, place = owner[order], place[order]
    first = np.searchsorted(owner, np.arange(len(histories) + 1))
    for row in range(len(histories)):
        yield np.sort(place[first[row] : first[row + 1]][:k])


def _unit(vectors: Float32) -> Float32:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)
