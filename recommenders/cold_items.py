"""Items that train knows nothing of, put where their text says among the item vectors of a model of ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from features.table import FeatureTable
from graph_models.ridge import fit_ridge
from recommenders.base import Float32
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Model

AT_LEAST = 2  # items to fit on


def place_cold_items(
    item: Float32, text: FeatureTable, degree: NDArray[np.int64], spread: float
) -> tuple[Float32, dict[str, Any]]:
    """Give served item vectors [I, d] in which items with text and without train interactions stand where it says.

    A ridge map from text to vectors (its strength by generalised cross-validation) is fitted on items with text and
    train interactions, whose share R2 of the vectors' variance it explains. What it says of another item is the best
    single guess, and nearer to the mean than any real vector by the root of R2: such an item never comes first. So its
    deviation from the mean is divided by R2^(spread / 2): with `spread` 0 it is the guess, with 1 placed items differ
    from each other as much as the others do, and come first as often. Text that says nothing leaves them at the mean.
    No other row changes. The dict says on how many items it was fitted, how many were placed, R2 and `spread`.
    """
    known, cold = np.flatnonzero(text.present & (degree > 0)), np.flatnonzero(text.present & (degree == 0))
    figures = {"fitted_on": len(known), "placed": 0, "explained": 0.0, "spread": spread}
    if len(known) < AT_LEAST or not len(cold):
        return item, figures
    x, y = torch.from_numpy(text.x), torch.from_numpy(item)
    ridge = fit_ridge(x, y, torch.from_numpy(known))
    guessed, guess = (ridge.predict(x, torch.from_numpy(rows)).numpy() for rows in (known, cold))
    mean = item[known].mean(axis=0)
    explained = _variance(guessed, mean) / max(_variance(item[known], mean), np.finfo(np.float64).tiny)
    stretch = explained ** (-spread / 2) if explained > 0 else 0.0
    placed = item.copy()
    placed[cold] = mean + np.float32(stretch) * (guess - mean)
    return placed, figures | {"placed": len(cold), "explained": round(explained, 4)}


def check_cold_items(model: Model, run: Run, places: bool) -> None:
    """Refuse `cold_items` where there is no text, or where the recommender cannot (or need not) place items."""
    where = f"{run.file}: models.{model.name}"
    if model.cold_items == "none":
        return
    if not places:
        raise ConfigError(
            f"{where}.cold_items: {model.recommender} does not place items by text; expected graph with a backbone of"
            " ids, or pure_svd (lore_filter, text_match and alpharec reach new items by text already); remove it"
        )
    if model.features is None or model.features.item is None:
        raise ConfigError(f"{where}.cold_items: needs item text; add features.item or remove it")


def _variance(x: NDArray[np.float32], mean: NDArray[np.float32]) -> float:
    return float(np.square(x - mean, dtype=np.float64).sum())
