"""How far tonight's vectors are from those of the night before: dimension, coverage, and the energy distance.

Energy distance: Szekely and Rizzo, "Energy statistics: A class of statistics based on distances", 2013. Only users and
items of both nights are compared, so that a growing catalogue is no drift.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.measures import Measured

Float32 = NDArray[np.float32]
CUTS = 6  # random cuts of the sample into two halves, over which distances are averaged


def vector_drift(
    now: pl.DataFrame,
    before: pl.DataFrame,
    sizes: tuple[Mapping[str, int], Mapping[str, int]],
    sampled: int,
    least: int,
) -> Measured:
    """One row per kind and source of both nights; both frames have kind, id, source, text_hash and vector.

    other_dimension; coverage_drop: fall of the share of all users or items (`sizes`: by kind, now and before) that have
    a vector; drift: `drift` of at most `sampled` ids, null below `least` of them or where the dimension is another one.
    """
    rows = []
    for (kind, source), old in before.group_by("kind", "source", maintain_order=True):
        mine = now.filter((pl.col("kind") == kind) & (pl.col("source") == source))
        if mine.is_empty():
            continue  # the run asks for it no more
        shares = [each["id"].n_unique() / max(size[str(kind)], 1) for each, size in ((mine, sizes[0]), (old, sizes[1]))]
        x, y = _samples(old, mine, sampled)
        same = x.shape[1] == y.shape[1]
        distance = drift(x, y) if same and len(x) >= max(least, 4) else None
        rows.append((kind, source, not same, shares[1] - shares[0], distance))
    schema = {"kind": pl.String, "source": pl.String, "other_dimension": pl.Boolean}
    schema |= dict.fromkeys(("coverage_drop", "drift"), pl.Float64)
    return Measured(pl.DataFrame(rows, schema=schema, orient="row"), len(rows))


def drift(before: Float32, now: Float32, seed: int = 0) -> float:
    """Energy distance between two nights of the same ids [N, D] over the distance within the night before.

    The ids are cut in two at random, several times: one half of the night before is compared with the other half of
    tonight, and with the other half of the night before. So 1 is no drift for any encoder, and the sample's size says
    how small a drift is seen. Infinite where only tonight's vectors differ at all.
    """
    shift, floor = np.array([_both(before, now, half) for half in _halves(len(before), seed)]).sum(axis=0)
    if floor == 0:
        return 1.0 if shift == 0 else float("inf")
    return float(shift / floor)


def _both(before: Float32, now: Float32, half: NDArray[np.bool_]) -> tuple[float, float]:
    one, within = before[half], _mean_distance(before[half], before[half])
    return tuple(  # type: ignore[return-value]
        max(0.0, 2 * _mean_distance(one, other) - within - _mean_distance(other, other))
        for other in (now[~half], before[~half])
    )


def _halves(count: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    generator = np.random.default_rng(seed)
    for _ in range(CUTS):
        half = np.zeros(count, dtype=bool)
        half[generator.permutation(count)[: count // 2]] = True
        yield half


def _mean_distance(x: Float32, y: Float32) -> float:
    """Mean Euclidean distance of all pairs of rows."""
    squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)[None, :] - 2 * (x @ y.T)
    return float(np.sqrt(np.maximum(squares, 0)).mean(dtype=np.float64))


def _samples(before: pl.DataFrame, now: pl.DataFrame, count: int) -> tuple[Float32, Float32]:
    """Vectors of at most `count` ids of both nights, chosen by hash: [N, D] each, rows of the same id.

    Vectors of another length than most, and those that are not finite, are left out: other rules judge them.
    """
    ids = now.select("id").join(before.select("id"), on="id").unique("id")
    chosen = ids.with_columns(hash=pl.col("id").hash(seed=0)).sort("hash", "id").head(count).select("id")
    frames = [chosen.join(each.unique("id"), on="id", how="left", maintain_order="left") for each in (before, now)]
    tables = [_usable(each["vector"]) for each in frames]
    whole = np.all([[row is not None for row in table] for table in tables], axis=0) if chosen.height else []
    width = [next((len(row) for row in table if row is not None), 0) for table in tables]
    kept = [[row for row, both in zip(table, whole, strict=True) if both] for table in tables]
    return tuple(np.array(rows, dtype=np.float32).reshape(-1, size) for rows, size in zip(kept, width, strict=True))  # type: ignore[return-value]


def _usable(vectors: pl.Series) -> list[Float32 | None]:
    lengths = vectors.list.len().drop_nulls().mode()
    most = int(lengths.min()) if len(lengths) else 0  # type: ignore[arg-type]
    arrays = (None if each is None else each.to_numpy() for each in vectors)
    return [each if each is not None and len(each) == most and np.isfinite(each).all() else None for each in arrays]
