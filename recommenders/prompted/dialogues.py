"""How conversational recommendation is judged: by what the conversation has not named before (arXiv 2308.10053, 4).

Many held-out items were mentioned earlier in their conversation: whoever repeats what was said finds those, and seems
to recommend. So samples are judged in two conditions, and beside a baseline that copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Condition = Literal["recommendation", "discussion"]
CONDITIONS: tuple[Condition, ...] = ("recommendation", "discussion")
KS = (1, 5, 10, 20)
Z = 1.96  # standard errors on either side of a 95 % interval


@dataclass(frozen=True, slots=True)
class Turn:
    """What one of the two has said."""

    speaker: Literal["seeker", "recommender"]
    text: str


@dataclass(frozen=True, slots=True)
class Sample:
    """A conversation up to a turn in which an item is named; several items of one turn are samples of their own."""

    turns: tuple[Turn, ...]
    target: str
    mentioned: tuple[str, ...] = ()  # ids that the turns name, oldest first

    @property
    def condition(self) -> Condition:
        return "discussion" if self.target in self.mentioned else "recommendation"


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over samples with its 95 % interval, from the standard error."""

    value: float
    low: float
    high: float
    samples: int


def judge(
    samples: Sequence[Sample], lists: Sequence[Sequence[str]], ks: Sequence[int] = KS
) -> dict[Condition, dict[str, Mean]]:
    """Recall@k, NDCG@k and MRR@k of lists of ids, by condition; one that is shorter than k is not filled up."""
    found: dict[Condition, dict[str, Mean]] = {}
    for condition in CONDITIONS:
        pairs = [(each, ids) for each, ids in zip(samples, lists, strict=True) if each.condition == condition]
        if pairs:
            place = np.array([ids.index(each.target) if each.target in ids else np.inf for each, ids in pairs])
            found[condition] = {name: value for k in ks for name, value in _means(place, k).items()}
    return found


def copied(samples: Sequence[Sample]) -> list[list[str]]:
    """The baseline: what the conversation has named, newest first."""
    return [list(dict.fromkeys(reversed(each.mentioned))) for each in samples]


def table(found: Mapping[str, Mapping[Condition, Mapping[str, Mean]]], ks: Sequence[int] = KS) -> list[str]:
    """Lines for people: recall of each system in each condition, with intervals."""
    return [
        f"{condition}: {name}: {metrics['recall@' + str(ks[0])].samples} samples, "
        + ", ".join(f"R@{k} {_shown(metrics[f'recall@{k}'])}" for k in ks)
        for condition in CONDITIONS
        for name, by_condition in found.items()
        if (metrics := by_condition.get(condition))
    ]


def _means(place: np.ndarray, k: int) -> dict[str, Mean]:
    """`place` [N]: from 0, infinite where the target is not in the list."""
    hit = place < k
    gains = {"recall": np.ones(len(place)), "ndcg": 1 / np.log2(place + 2), "mrr": 1 / (place + 1)}
    return {f"{name}@{k}": _mean(np.where(hit, gain, 0.0)) for name, gain in gains.items()}


def _mean(values: np.ndarray) -> Mean:
    count, mean = len(values), float(values.mean())
    error = float(values.std(ddof=1)) / count**0.5 if count > 1 else 0.0
    return Mean(mean, mean - Z * error, mean + Z * error, count)


def _shown(mean: Mean) -> str:
    return f"{mean.value:.4f} [{mean.low:.4f}, {mean.high:.4f}]"
