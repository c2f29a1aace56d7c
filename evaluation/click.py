"""Judging click probabilities: ROC-AUC, log-loss, AUC within users, and paired bootstrap over users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from schemas.errors import DataError

Float64 = NDArray[np.float64]
WEIGHTS_AT_ONCE = 2**22  # bounds memory: 32 MiB of sample weights
SMALLEST = 1e-7  # probability that log-loss still believes: one sure mistake must not decide a mean


@dataclass(frozen=True)
class Clicks:
    """What was predicted for the samples of one part, and what happened."""

    user: NDArray[np.int64]  # [n] rows
    label: NDArray[np.float32]  # [n] 0 or 1
    probability: NDArray[np.float32]  # [n]


@dataclass(frozen=True)
class Resampled:
    """AUC and log-loss of one model, mean over its seeds: as they are, and of R resamples of the users."""

    samples: Clicks  # of the first seed
    measured: Float64  # [2]
    drawn: Float64  # [2, R], NaN where a draw has no AUC
    users: int


@dataclass(frozen=True)
class Difference:
    """Candidate minus baseline of one metric, mean over seeds, with a 95 % percentile interval over users."""

    metric: str
    difference: float
    low: float
    high: float
    users: int


def auc(label: NDArray[np.float32], score: NDArray[np.float32]) -> float:
    """The chance that a click scores above a non-click, ties counting half (Mann-Whitney).

    `label` [n] 0 or 1, `score` [n]. Raises DataError where only one of the two classes is there.
    """
    if not 0 < label.sum() < len(label):
        raise DataError(f"auc: expected clicks and non-clicks, found {label.sum():.0f} clicks in {len(label)} samples")
    return float(weighted_auc(label, score, np.ones((1, len(label))))[0])


def weighted_auc(label: NDArray[np.float32], score: NDArray[np.float32], weight: Float64) -> Float64:
    """AUC under each of R weightings `weight` [R, n] of the samples: [R], NaN where a weighting has one class only."""
    order = np.argsort(score, kind="stable")
    ranked = score[order]
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])  # where a group of equal scores begins
    weight, click = weight[:, order], label[order] > 0
    clicks = np.add.reduceat(weight * click, first, axis=1)  # [R, G]
    others = np.add.reduceat(weight * ~click, first, axis=1)
    below = np.cumsum(others, axis=1) - others
    pairs = clicks.sum(axis=1) * others.sum(axis=1)
    wins = (clicks * (below + others / 2)).sum(axis=1)
    return np.asarray(np.divide(wins, pairs, out=np.full(len(weight), np.nan), where=pairs > 0))


def log_loss(label: NDArray[np.float32], probability: NDArray[np.float32]) -> float:
    """Mean negative log-likelihood in nats of labels [n] under click probabilities [n]."""
    return float(_losses(label, probability).mean())


def gauc(clicks: Clicks) -> float | None:
    """Mean of the users' own AUCs by their samples (Zhou et al. 2018); None where no user has both classes."""
    order = np.argsort(clicks.user, kind="stable")
    bounds = np.flatnonzero(np.diff(clicks.user[order])) + 1
    total = weight = 0.0
    for rows in np.split(order, bounds):
        label = clicks.label[rows]
        if 0 < label.sum() < len(label):
            total += len(rows) * auc(label, clicks.probability[rows])
            weight += len(rows)
    return total / weight if weight else None


def measure(clicks: Clicks) -> dict[str, float]:
    """Give auc, log_loss and, where a user has both classes, gauc. Raises DataError as `auc` does."""
    found = {"auc": auc(clicks.label, clicks.probability), "log_loss": log_loss(clicks.label, clicks.probability)}
    within = gauc(clicks)
    return found if within is None else {**found, "gauc": within}


def resample(seeds: Sequence[Clicks], resamples: int, seed: int = 0) -> Resampled:
    """Draw the users of a model's samples with replacement; the draws depend on the users and `seed` alone.

    `seeds`: what the model predicted with each of its seeds. Raises DataError where their samples differ.
    """
    first = seeds[0]
    if not all(_same(first, each) for each in seeds):
        raise DataError("click models: expected the same samples with every seed, found others")
    names, user = np.unique(first.user, return_inverse=True)
    rng, chunk, drawn = np.random.default_rng(seed), max(1, WEIGHTS_AT_ONCE // len(user)), []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        draws = rng.integers(len(names), size=(rows, len(names))) + np.arange(rows)[:, None] * len(names)
        counts = np.bincount(draws.ravel(), minlength=rows * len(names)).reshape(rows, -1)
        drawn.append(_means(seeds, counts[:, user].astype(np.float64)))
    measured = _means(seeds, np.ones((1, len(user))))[:, 0]
    return Resampled(first, measured, np.concatenate(drawn, axis=1), len(names))


def compare_clicks(candidate: Resampled, baseline: Resampled) -> list[Difference]:
    """Differences of auc and log_loss between two models whose users were resampled by the same draws.

    A draw without a click, or with nothing else, has no AUC and is left out. Raises DataError where the samples differ.
    """
    if not _same(candidate.samples, baseline.samples) or candidate.drawn.shape != baseline.drawn.shape:
        raise DataError("click models: expected the same samples and draws for both models, found others")
    found = candidate.measured - baseline.measured
    low, high = np.nanquantile(candidate.drawn - baseline.drawn, [0.025, 0.975], axis=1)
    return [
        Difference(metric, float(found[row]), float(low[row]), float(high[row]), baseline.users)
        for row, metric in enumerate(("auc", "log_loss"))
    ]


def _same(one: Clicks, other: Clicks) -> bool:
    return np.array_equal(one.user, other.user) and np.array_equal(one.label, other.label)


def _means(seeds: Sequence[Clicks], weight: Float64) -> Float64:
    """AUC and log-loss under R weightings [R, n], mean over seeds: [2, R]."""
    values = []
    for each in seeds:
        areas = weighted_auc(each.label, each.probability, weight)
        values.append(np.stack([areas, weight @ _losses(each.label, each.probability) / weight.sum(axis=1)]))
    return np.asarray(np.mean(values, axis=0))


def _losses(label: NDArray[np.float32], probability: NDArray[np.float32]) -> Float64:
    chance = np.clip(probability.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return -np.where(label > 0, np.log(chance), np.log1p(-chance))
