"""A click model of a run file: built for a corpus's samples, trained on validation, asked for probabilities."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.table import FeatureSet
from graph_models.checkpoint import Checkpoint
from graph_models.device import find_device, seeded
from recommenders.click.fields import Fields, with_codes
from recommenders.click.samples import ClickData, Samples
from recommenders.click.tower import Inputs, Tower, on_device
from recommenders.click.trainer import ClickEpoch, best_of, probabilities, train
from schemas.errors import StoreError
from schemas.records import canonical, sha256
from schemas.sections import ClickModel, ClickTraining


class Predictor:
    """One click model, one seed. `fit` learns from train and chooses an epoch on valid; `predict` gives chances.

    After `fit`: `history`, the curve, and `best`, its best epoch. With a `folder` a stopped training goes on and a
    finished one is read.
    """

    def __init__(
        self,
        tower: type[Tower],
        model: ClickModel,
        settings: ClickTraining,
        seed: int = 0,
        device: str = "auto",
        folder: Path | None = None,
        progress: Callable[[ClickEpoch], None] | None = None,
    ) -> None:
        self.make, self.model, self.settings, self.seed = tower, model, settings, seed
        self.device, self.folder, self.progress = find_device(device), folder, progress
        self.history: list[ClickEpoch] = []
        self.tower: Tower | None = None

    @property
    def best(self) -> ClickEpoch:
        """The epoch whose weights predict."""
        return best_of(self.history)

    def fit(self, data: ClickData, fields: Fields, features: FeatureSet) -> None:
        """Learn. `features` has no text for a model without any. Raises ConfigError on texts that do not fit."""
        with seeded(self.seed):
            fields = with_codes(fields, features.codes)
            make: Any = self.make  # options were checked by name
            inputs = Inputs(fields, data.ratings, features)
            tower: Tower = make(inputs, self.settings.dropout, **self.model.options).to(self.device)
        learn, valid = on_device(data.train, self.device), on_device(data.valid, self.device)
        checkpoint = self._checkpoint(data, fields, features)
        self.history = train(tower, learn, valid, self.settings, self.seed, checkpoint, self.progress)
        self.tower = tower

    def predict(self, samples: Samples) -> NDArray[np.float32]:
        """Chances [n] that samples are clicked, whatever their labels. Raises StoreError before `fit`."""
        if self.tower is None:
            raise StoreError(f"{self.model.name}: not fitted")
        blind = replace(samples, label=np.zeros(len(samples), dtype=np.float32))
        return probabilities(self.tower, on_device(blind, self.device))

    def _checkpoint(self, data: ClickData, fields: Fields, features: FeatureSet) -> Checkpoint | None:
        """Named after everything that decides the curve; the model's name does not."""
        if self.folder is None:
            return None
        decides = {
            "data": data.fingerprint(),
            "fields": [[each.name, _hash(each.ids)] for each in (*fields.item, *fields.user)],
            "texts": [[_hash(each.x), _hash(each.present)] for each in (features.user, features.item) if each],
            "model": [self.model.model, self.model.options],
            "training": self.settings.model_dump(),
            "seed": self.seed,
        }
        key = sha256(canonical(decides))
        return Checkpoint(self.folder / f"{key[:16]}.safetensors", key)


def _hash(array: NDArray[np.generic]) -> str:
    return hashlib.sha256(f"{array.shape} {array.dtype}".encode() + array.tobytes()).hexdigest()
