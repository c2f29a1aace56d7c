"""How healthy codes are: used, evenly, without ties, and alike where items are alike."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.quantiser import usage
from features.tokenizers.base import Float32, Int32, Int64
from features.tokenizers.ties import groups, tied

NEIGHBOURS = 10
SAMPLED = 2000  # items whose neighbours are looked up


@dataclass(frozen=True)
class TokenReport:
    """What the codes of N items are like; L levels without the one that tells ties apart."""

    items: int
    without_vector: int  # items that have no text vector and are coded all the same
    sizes: tuple[int, ...]  # [L'] of the published codes
    collisions: float  # share of items whose codes another item had too
    collisions_left: float  # the same of the published codes: 0
    largest_tie: int  # items of the most frequent tuple before ties were told apart
    distinct: int  # tuples before that
    used: tuple[float, ...]  # [L] share of a level's codes that some item has
    perplexity: tuple[float, ...]  # [L] so many equally frequent codes
    largest_first: float  # share of items with the most frequent first code
    purity: tuple[float, ...] | None  # [L] share of an item's 10 nearest in text that share its first 1..L codes
    collaborative: tuple[float | None, ...] | None  # [L] mean cosine in train among items that share 1..L codes
    collaborative_any: float | None  # the same among all items

    def to_json(self) -> dict[str, Any]:
        return {name: list(each) if isinstance(each, tuple) else each for name, each in asdict(self).items()}

    def line(self) -> str:
        """The same in one readable line."""
        used, perplexity = (
            " ".join(f"{100 * each:.0f} %" for each in self.used),
            " ".join(f"{each:.0f}" for each in self.perplexity),
        )
        said = f"used {used}, perplexity {perplexity}, collisions {100 * self.collisions:.1f} %"
        said += f" (largest {self.largest_tie})"
        if self.purity is not None:
            said += f", neighbours with the same codes {' '.join(f'{100 * each:.0f} %' for each in self.purity)}"
        return said


def report_codes(
    raw: Int32,
    codes: Int32,
    sizes: tuple[int, ...],
    x: Float32,
    present: NDArray[np.bool_],
    collaborative: Float32 | None = None,
) -> TokenReport:
    """Describe codes [N, L] of a tokenizer and what was published of them [N, L'] with `sizes` [L'].

    `x` [N, D] and `present` [N]: text vectors, D = 0 where there are none; `collaborative` [N, d]: made of train.
    """
    first = codes[:, : raw.shape[1]]
    levels = [_level(code, size) for code, size in zip(first.T, sizes, strict=False)]
    counts = np.bincount(groups(raw), minlength=1)
    return TokenReport(
        items=len(raw),
        without_vector=int((~present).sum()) if x.shape[1] else 0,
        sizes=sizes,
        collisions=float(tied(raw).mean()),
        collisions_left=float(tied(codes).mean()),
        largest_tie=int(counts.max()),
        distinct=len(counts),
        used=tuple(used for used, _ in levels),
        perplexity=tuple(perplexity for _, perplexity in levels),
        largest_first=_largest_first(codes),
        purity=neighbour_purity(first, x, present) if x.shape[1] and present.sum() > 1 else None,
        collaborative=None if collaborative is None else _similarities(first, collaborative),
        collaborative_any=None if collaborative is None else similarity(np.zeros(len(raw), np.int64), collaborative),
    )


def neighbour_purity(codes: Int32, x: Float32, present: NDArray[np.bool_]) -> tuple[float, ...]:
    """Share of an item's 10 nearest by cosine that share its first 1..L codes: [L], mean over 2,000 items at most."""
    rows = np.flatnonzero(present)
    unit = x[rows] / np.maximum(np.linalg.norm(x[rows], axis=1, keepdims=True), 1e-12)
    asked = np.unique(np.linspace(0, len(rows) - 1, min(SAMPLED, len(rows))).astype(np.int64))
    near = _nearest(unit, asked, min(NEIGHBOURS, len(rows) - 1))
    same = np.cumprod(codes[rows[near]] == codes[rows[asked]][:, None], axis=2)  # [asked, 10, L]
    return tuple(float(each) for each in same.mean(axis=(0, 1)))


def similarity(group: Int64, vectors: Float32) -> float | None:
    """Mean cosine of an item's vector with those of its group, over items that have such company; None where none has.

    Items whose vector is zero are left out.
    """
    length = np.linalg.norm(vectors, axis=1)
    unit, group = vectors[length > 0] / length[length > 0, None], group[length > 0]
    if not len(unit):
        return None
    total, size = np.zeros((group.max() + 1, vectors.shape[1])), np.bincount(group)
    np.add.at(total, group, unit)
    company = size[group] > 1
    if not company.any():
        return None
    inside = np.einsum("nd,nd->n", unit, total[group]) - 1
    return float((inside[company] / (size[group][company] - 1)).mean())


def _similarities(codes: Int32, vectors: Float32) -> tuple[float | None, ...]:
    return tuple(similarity(groups(codes[:, : level + 1]), vectors) for level in range(codes.shape[1]))


def _level(code: Int32, size: int) -> tuple[float, float]:
    """Used share and perplexity of one level; a tuple that has ended before it does not count."""
    found = usage(code[code >= 0][:, None].astype(np.int16 if size <= 2**15 else np.int32), (size,))
    return found.used[0], found.perplexity[0]


def _largest_first(codes: Int32) -> float:
    return float(np.bincount(codes[:, 0]).max() / len(codes))


def _nearest(unit: Float32, asked: Int64, count: int) -> Int64:
    """The `count` nearest other rows of some rows of unit vectors [N, D]: [asked, count]."""
    found = np.empty((len(asked), count), dtype=np.int64)
    for start in range(0, len(asked), 256):
        rows = asked[start : start + 256]
        score = unit[rows] @ unit.T
        score[np.arange(len(rows)), rows] = -np.inf
        found[start : start + 256] = np.argsort(-score, axis=1, kind="stable")[:, :count]
    return found
