"""Paired bootstrap over users: how sure we are that one model is better than another (Efron and Tibshirani, 1993)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.metrics import Scores
from schemas.errors import DataError

Float64 = NDArray[np.float64]
DRAWS_AT_ONCE = 2**21  # bounds memory: 16 MiB of indices


@dataclass(frozen=True)
class Interval:
    """Candidate minus baseline of one metric, in the metric's unit, with a 95 % percentile interval."""

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
    candidate: Scores, baseline: Scores, resamples: int, seed: int = 0, draws_at_once: int = DRAWS_AT_ONCE
) -> dict[str, Interval]:
    """Give an interval for every metric that both have; the users are resampled once for all metrics.

    Raises DataError where the two were judged on different users or on nobody.
    """
    if not np.array_equal(candidate.user, baseline.user) or not len(baseline.user):
        raise DataError(f"scores: expected the same users, found {len(candidate.user)} and {len(baseline.user)}")
    names = [name for name in baseline.values if name in candidate.values]
    both = np.stack([_columns(scores.values, names) for scores in (candidate, baseline)])  # [2, n, M]
    return dict(zip(names, _intervals(both, _resample(both, resamples, seed, draws_at_once)), strict=True))


def _columns(values: Mapping[str, Float64], names: list[str]) -> Float64:
    return np.stack([values[name] for name in names], axis=1)  # [n, M]


def _resample(both: Float64, resamples: int, seed: int, draws_at_once: int) -> Float64:
    """Means of resampled users: [R, 2, M]. A resample is a row of counts, so that all metrics share one product."""
    rng, users = np.random.default_rng(seed), both.shape[1]
    flat = both.transpose(1, 0, 2).reshape(users, -1)  # [n, 2 M]
    chunk = max(1, draws_at_once // users)
    means = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        draws = rng.integers(users, size=(rows, users)) + np.arange(rows)[:, None] * users
        counts = np.bincount(draws.ravel(), minlength=rows * users).reshape(rows, users)
        means.append(counts @ flat / users)
    return np.concatenate(means).reshape(resamples, 2, -1)


def _intervals(both: Float64, resampled: Float64) -> Iterator[Interval]:
    for metric in range(both.shape[2]):
        candidate, baseline = both[:, :, metric].mean(axis=1)
        yield _interval(float(candidate), float(baseline), resampled[:, :, metric], both.shape[1])


def _interval(candidate: float, baseline: float, resampled: Float64, users: int) -> Interval:
    """`resampled`: [R, 2] candidate and baseline means."""
    differences = resampled[:, 0] - resampled[:, 1]
    low, high = np.quantile(differences, [0.025, 0.975])
    tail = min((differences <= 0).sum(), (differences >= 0).sum())
    p = min(1.0, 2 * (int(tail) + 1) / (len(differences) + 1))
    lifts = _lifts(candidate, baseline, resampled)
    return Interval(candidate - baseline, float(low), float(high), p, *lifts, users)


def _lifts(candidate: float, baseline: float, resampled: Float64) -> tuple[float | None, float | None, float | None]:
    valid = resampled[resampled[:, 1] > 0]
    if baseline <= 0 or not len(valid):
        return None, None, None
    low, high = np.quantile(valid[:, 0] / valid[:, 1] - 1, [0.025, 0.975])
    return candidate / baseline - 1, float(low), float(high)
