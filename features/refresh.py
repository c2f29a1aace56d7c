"""How much of a user's history recipes see: up to the last point of refresh, which the history alone decides.

What is shown of a history never depends on earlier nights, so that backfills in any order agree. The mean text of a
history is the mean of hashed, L2-normalised bags of words (Weinberger et al., ICML 2009) of its items' attributes.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.corpus import attributes
from schemas.records import Subject
from schemas.sections import Refresh

WIDTH = 2**14  # buckets that words are hashed into
WORD = re.compile(r"\w\w+")

Bag = tuple[NDArray[np.int64], NDArray[np.float64]]  # distinct buckets and their weights, of unit length or empty
NOTHING: Bag = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))


def shown_length(history: Sequence[str], rule: Refresh, bags: Mapping[str, Bag] | None = None) -> int:
    """How many events (item ids, oldest first) are shown; `bags` by item id are needed where the rule has a drift.

    At least 1 of a history that is not empty, never fewer for a longer one, and decided by the events up to there.
    """
    if not history:
        return 0
    if rule.drift is None:
        return 1 + (len(history) - 1) // rule.events * rule.events
    return _drifted(history, rule.events, rule.drift, bags or {})


def refreshed(subjects: Iterable[Subject], rule: Refresh, bags: Mapping[str, Bag] | None = None) -> Iterator[Subject]:
    """Every user with the events, reviews and upstream texts that are shown of him."""
    for subject in subjects:
        length = shown_length([event.id for event in subject.history], rule, bags)
        yield subject if length == len(subject.history) else _cut(subject, length)


def bags_of_words(items: pl.DataFrame) -> dict[str, Bag]:
    """A bag per item (`id` and text columns) of the words of its attributes; an item without a word is left out."""
    bags = (_bag(" ".join(values.values())) for values in attributes(items))
    return {id: bag for id, bag in zip(items["id"].to_list(), bags, strict=True) if len(bag[0])}


def _bag(text: str) -> Bag:
    buckets = [zlib.crc32(word.encode()) % WIDTH for word in WORD.findall(text.lower())]
    distinct, counts = np.unique(np.array(buckets, dtype=np.int64), return_counts=True)
    return distinct, counts / max(float(np.linalg.norm(counts)), 1.0)


def _drifted(history: Sequence[str], events: int, drift: float, bags: Mapping[str, Bag]) -> int:
    """Walks along the history; sums stand for means, whose cosine is the same. O(words of the history)."""
    shown, now, then = 0, np.zeros(WIDTH), np.zeros(WIDTH)
    square, product, then_square = 0.0, 0.0, 0.0  # now.now, now.then, then.then
    for length, id in enumerate(history, start=1):
        at, weight = bags.get(id, NOTHING)
        square += float(2 * now[at] @ weight + weight @ weight)
        product += float(then[at] @ weight)
        now[at] += weight
        if shown == 0 or length - shown >= events or _distance(square, product, then_square) > drift:
            shown, then, product, then_square = length, now.copy(), square, square
    return shown


def _distance(square: float, product: float, then_square: float) -> float:
    """1 - cosine; 1 where words have come to a history that had none, 0 as long as there are none."""
    if not square or not then_square:
        return 1.0 if square else 0.0
    return 1 - product / math.sqrt(square * then_square)


def _cut(subject: Subject, length: int) -> Subject:
    history = subject.history[:length]
    ids = {event.id for event in history}
    return replace(
        subject,
        history=history,
        reviews=tuple(event.review for event in history if event.review),
        profiles={id: text for id, text in subject.profiles.items() if id in ids},
    )
