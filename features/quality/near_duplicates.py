"""Texts that are one generic text with other names filled in: word shingles, MinHash (Broder, 1997) and LSH.

Names, titles and numbers are what such texts differ in, so words with a capital or a digit are left out before two
texts are compared. Time and memory grow linearly with the number of texts: a bucket of n texts gives 2n pairs, not n^2.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from features.quality.words import Int64, UInt64, Words, split_words

BANDS, ROWS = 20, 6  # texts that share 0.8 of their shingles meet in a band with probability 0.998, 0.7 of them: 0.92
SEED = 20_240_229  # of the hash functions: the same clusters every night
FEWEST_WORDS = 8  # that must be left without names; else a text is compared with its names
TEXTS_AT_ONCE = 1000  # hashed at a time
PAIRS_AT_ONCE = 200_000  # compared at a time

Signatures = NDArray[np.uint32]  # [T, BANDS * ROWS]


@dataclass(frozen=True)
class Clusters:
    """Which texts are nearly equal: `of` is [T], the cluster's number, largest first, or -1 for a text by itself."""

    of: Int64
    texts: int  # those that have words, so that they could be compared

    @property
    def sizes(self) -> Int64:
        """[C] texts of each cluster, from large to small."""
        return np.bincount(self.of[self.of >= 0])

    @property
    def share(self) -> float:
        """Texts in any cluster, of those that have words."""
        return float((self.of >= 0).sum()) / self.texts if self.texts else 0.0

    @property
    def largest_share(self) -> float:
        """Texts in the largest cluster, of those that have words."""
        return float(self.sizes[0]) / self.texts if self.texts and len(self.sizes) else 0.0


def near_duplicates(texts: pl.Series, similarity: float = 0.8) -> Clusters:
    """Group texts of which at least `similarity` of the two-word shingles are the same (Jaccard, estimated).

    A cluster holds together by its pairs: its first and its last text may be less alike. Equal texts are in a cluster
    too; texts without any word are in none.
    """
    signatures, has_words = _signatures(split_words(texts))
    label = np.arange(len(texts))
    rows = np.flatnonzero(has_words)
    if len(rows) > 1:
        label[rows] = rows[_components(signatures[rows], similarity)]
    return Clusters(_by_size(label), len(rows))


def _signatures(chunks: Iterable[Words]) -> tuple[Signatures, NDArray[np.bool_]]:
    """[T, 120] the least hash of each text's shingles under 120 hash functions, and [T] whether it has any."""
    factors, offsets = _hash_functions()
    signatures = [np.zeros((0, BANDS * ROWS), dtype=np.uint32)]
    has_words = [np.zeros(0, dtype=bool)]
    for words in chunks:
        for shingles, starts in _shingles(words):
            some = np.diff(starts) > 0
            least = np.full((len(some), BANDS * ROWS), np.iinfo(np.uint32).max, dtype=np.uint32)
            for column, (factor, offset) in enumerate(zip(factors, offsets, strict=True)):
                hashed = ((shingles * factor + offset) >> np.uint64(32)).astype(np.uint32)
                least[some, column] = np.minimum.reduceat(hashed, starts[:-1][some]) if some.any() else 0
            signatures.append(least)
            has_words.append(some)
    return np.concatenate(signatures), np.concatenate(has_words)


def _hash_functions() -> tuple[UInt64, UInt64]:
    """Factors (odd) and offsets of multiply-shift hashing (Dietzfelbinger et al., 1997)."""
    random = np.random.default_rng(SEED)
    factors, offsets = random.integers(0, 2**64, size=(2, BANDS * ROWS), dtype=np.uint64)
    return factors | np.uint64(1), offsets


def _shingles(words: Words) -> Iterator[tuple[UInt64, Int64]]:
    """Two neighbouring words each, the last one with nothing; [S] and [T + 1] as in `Words`, some texts at a time."""
    kept = _without_names(words)
    for first in range(0, len(kept.counts), TEXTS_AT_ONCE):
        starts = kept.starts[first : first + TEXTS_AT_ONCE + 1]
        mine = kept.hashes[starts[0] : starts[-1]]
        following = np.append(mine[1:], np.uint64(0))
        ends = (starts[1:] - starts[0] - 1)[np.diff(starts) > 0]
        following[ends] = 0
        yield _mixed(mine * np.uint64(0x9E3779B97F4A7C15) + following), starts - starts[0]


def _without_names(words: Words) -> Words:
    text = np.repeat(np.arange(len(words.counts)), words.counts)
    left = np.bincount(text[~words.named], minlength=len(words.counts))
    kept = ~words.named | (left < FEWEST_WORDS)[text]
    counts = np.bincount(text[kept], minlength=len(words.counts))
    return Words(words.hashes[kept], words.named[kept], np.concatenate([[0], np.cumsum(counts)]))


def _mixed(values: UInt64) -> UInt64:
    """Bits of a number spread over all of it (the finaliser of splitmix64)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _components(signatures: Signatures, similarity: float) -> Int64:
    """[N] the lowest row of each row's connected component, over pairs that meet in a band and are similar."""
    pairs = [_similar(signatures, candidates, similarity) for candidates in _candidates(signatures)]
    left, right = np.concatenate(pairs, axis=1)
    size = len(signatures)
    graph = coo_matrix((np.ones(len(left), dtype=bool), (left, right)), shape=(size, size))
    labels: Int64 = connected_components(graph, directed=False)[1]
    lowest: Int64 = np.full(labels.max() + 1, size, dtype=np.int64)
    np.minimum.at(lowest, labels, np.arange(size))
    return lowest[labels]


def _candidates(signatures: Signatures) -> Iterator[Int64]:
    """[2, P] per band: every row of a bucket with the bucket's first row and with its next one."""
    for band in range(BANDS):
        mine = np.ascontiguousarray(signatures[:, band * ROWS : (band + 1) * ROWS]).view(f"V{4 * ROWS}").ravel()
        bucket = np.unique(mine, return_inverse=True)[1].ravel()
        order = np.argsort(bucket, kind="stable")
        first = np.flatnonzero(np.diff(bucket[order], prepend=-1))
        firsts = order[np.repeat(first, np.diff(np.append(first, len(order))))]
        same = np.diff(bucket[order]) == 0
        nexts = np.stack([order[:-1][same], order[1:][same]])
        yield np.concatenate([np.stack([firsts, order])[:, firsts != order], nexts], axis=1)


def _similar(signatures: Signatures, pairs: Int64, similarity: float) -> Int64:
    """[2, P'] the pairs whose signatures agree in at least that share of places."""
    kept = [np.zeros((2, 0), dtype=np.int64)]
    for start in range(0, pairs.shape[1], PAIRS_AT_ONCE):
        some = pairs[:, start : start + PAIRS_AT_ONCE]
        alike = (signatures[some[0]] == signatures[some[1]]).mean(axis=1) >= similarity
        kept.append(some[:, alike])
    return np.concatenate(kept, axis=1)


def _by_size(label: Int64) -> Int64:
    """[T] clusters of at least two rows by number, largest first (of equal ones that with the lowest row); else -1."""
    names, of, sizes = np.unique(label, return_inverse=True, return_counts=True)
    order = np.lexsort((names, -sizes))
    number = np.full(len(names), -1, dtype=np.int64)
    large = order[sizes[order] > 1]
    number[large] = np.arange(len(large))
    return number[of.ravel()]
