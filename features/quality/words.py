"""Texts as words: every word is a 64-bit number, a column of texts is one flat array of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
import pyarrow.compute as pc
from numpy.typing import NDArray

UInt64 = NDArray[np.uint64]
Int64 = NDArray[np.int64]
CHUNK = 10_000  # texts split into words at a time
_ALONE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"  # written without spaces: a letter each
_WORD = rf"[{_ALONE}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{_ALONE}]]+(?:['’][[\p{{L}}\p{{M}}]--[{_ALONE}]]+)*"


@dataclass(frozen=True)
class Words:
    """The words of [T] texts: text t has `hashes[starts[t]:starts[t + 1]]`. Case does not matter."""

    hashes: UInt64  # [W]
    named: NDArray[np.bool_]  # [W] the word has a capital or a digit in it
    starts: Int64  # [T + 1]

    @cached_property
    def counts(self) -> Int64:
        """[T] words of each text."""
        return np.diff(self.starts)


def split_words(texts: pl.Series) -> Iterator[Words]:
    """The words of the texts, up to 10,000 texts at a time; null is a text without words.

    A word's number is the same in every process and on every machine.
    """
    known: dict[str, tuple[int, bool]] = {}
    for start in range(0, len(texts), CHUNK):
        lists = texts.slice(start, CHUNK).fill_null("").str.extract_all(_WORD)
        starts = np.concatenate([[0], np.cumsum(lists.list.len().to_numpy().astype(np.int64))])
        encoded = pc.dictionary_encode(lists.explode(empty_as_null=False).to_arrow())
        codes = encoded.indices.to_numpy(zero_copy_only=False)
        found = [_hashed(word, known) for word in encoded.dictionary.to_pylist()]
        hashes = np.array([number for number, _ in found], dtype=np.uint64)
        named = np.array([has_name for _, has_name in found], dtype=bool)
        yield Words(hashes[codes], named[codes], starts)


def _hashed(word: str, known: dict[str, tuple[int, bool]]) -> tuple[int, bool]:
    if word not in known:
        number = int.from_bytes(hashlib.blake2b(word.lower().encode(), digest_size=8).digest(), "little")
        known[word] = number, any(letter.isupper() or letter.isdigit() for letter in word)
    return known[word]
