"""Paired bootstrap over users: how sure we are that one model is better than another (Efron and Tibshirani, 1993)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import Scores
from schemas.errors import DataError

Float64 = NDArray[np.float64]
Pair = tuple[str, str]  # candidate, baseline
DRAWS_AT_ONCE = 2**21  # bounds memory: 16 MiB of indices


@dataclass(frozen=True)
class Interval:
    """Candidate minus baseline of one metric, in the metric's unit, with a percentile interval, of 95 % by default."""

    difference: float
    low: float
    high: float
    p: float  # two-sided: twice the smaller tail of the resampled differences at zero, never exactly 0
    lift: float | None  # difference / baseline; None where the baseline is zero
    lift_low: float | None
    lift_high: float | None
    users: int


def mean_over_seeds(scores: Sequence[Scores]) -> Scores:
    """Per-user metrics averaged over the seeds of one model. Raises DataError where the users differ."""
    if any(not np.array_equal(other.user, scores[0].user) for other in scores):
        raise DataError("scores: expected the same users for every seed, found different ones")
    values = {name: np.mean([each.values[name] for each in scores], axis=0) for name in scores[0].values}
    return Scores(scores[0].user, values)


def compare(
    candidate: Scores,
    baseline: Scores,
    resamples: int,
    seed: int = 0,
    draws_at_once: int = DRAWS_AT_ONCE,
    confidence: float = 0.95,
) -> dict[str, Interval]:
    """Give an interval for every metric that both have; the users are resampled once for all metrics.

    Raises DataError where the two were judged on different users or on nobody.
    """
    both, pair = {"candidate": candidate, "baseline": baseline}, ("candidate", "baseline")
    return compare_many(both, [pair], resamples, seed, draws_at_once, confidence)[pair]


def compare_many(
    scores: Mapping[str, Scores],
    pairs: Sequence[Pair],
    resamples: int,
    seed: int = 0,
    draws_at_once: int = DRAWS_AT_ONCE,
    confidence: float = 0.95,
) -> dict[Pair, dict[str, Interval]]:
    """Give an interval for every pair (candidate, baseline) of named scores and every metric that all have.

    The users are resampled once for all names and metrics; memory is bounded by `draws_at_once` whatever their number.
    Raises DataError where not all were judged on the same users, or on nobody.
    """
    first = next(iter(scores.values()))
    for other in scores.values():
        if not np.array_equal(other.user, first.user) or not len(first.user):
            raise DataError(f"scores: expected the same users, found {len(other.user)} and {len(first.user)}")
    metrics = [name for name in first.values if all(name in each.values for each in scores.values())]
    columns = {key: place for place, key in enumerate((name, metric) for name in scores for metric in metrics)}
    flat = np.stack([scores[name].values[metric] for name, metric in columns], axis=1)  # [n, K]
    means, resampled = flat.mean(axis=0), _resample(flat, resamples, seed, draws_at_once)

    def interval(pair: Pair, metric: str) -> Interval:
        one, other = (columns[name, metric] for name in pair)
        drawn = resampled[:, [one, other]]
        return _interval(float(means[one]), float(means[other]), drawn, len(flat), confidence)

    return {pair: {metric: interval(pair, metric) for metric in metrics} for pair in pairs}


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjustment of the p-values of one family: a reject at level a keeps the family's error below a.

    Holm, Scandinavian Journal of Statistics 6, 1979. The smallest of m values is multiplied by m, the next by m - 1 and
    so on; none is smaller than one before it, or above 1.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted, highest = [1.0] * len(p_values), 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * float(p_values[index])))
        adjusted[index] = highest
    return adjusted


def smallest_p(resamples: int) -> float:
    """The smallest p-value that so many resamples can give."""
    return 2 / (resamples + 1)


def _resample(flat: Float64, resamples: int, seed: int, draws_at_once: int) -> Float64:
    """Means of resampled users, flat [n, K]: [R, K]. A resample is a row of counts: all columns share one product."""
    rng, users = np.random.default_rng(seed), len(flat)
    chunk = max(1, draws_at_once // users)
    means = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        draws = rng.integers(users, size=(rows, users)) + np.arange(rows)[:, None] * users
        counts = np.bincount(draws.ravel(), minlength=rows * users).reshape(rows, users)
        means.append(counts @ flat / users)
    return np.concatenate(means)


def _interval(candidate: float, baseline: float, resampled: Float64, users: int, confidence: float) -> Interval:
    """`resampled`: [R, 2] candidate and baseline means."""
    differences, tails = resampled[:, 0] - resampled[:, 1], _tails(confidence)
    low, high = np.quantile(differences, tails)
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    p = min(1.0, smallest_p(len(differences)) * (int(tail) + 1))
    lifts = _lifts(candidate, baseline, resampled, tails)
    return Interval(candidate - baseline, float(low), float(high), p, *lifts, users)


def _tails(confidence: float) -> tuple[float, float]:
    """The two quantiles of an interval; exactly .025 and .975 at 95 %."""
    tail = round((1 - confidence) / 2, 12)
    return tail, 1 - tail


def _lifts(
    candidate: float, baseline: float, resampled: Float64, tails: tuple[float, float]
) -> tuple[float | None, float | None, float | None]:
    valid = resampled[resampled[:, 1] > 0]
    if baseline <= 0 or not len(valid):
        return None, None, None
    low, high = np.quantile(valid[:, 0] / valid[:, 1] - 1, tails)
    return candidate / baseline - 1, float(low), float(high)
