"""The text floor: how near an item's text vector is to those of the user's train items, without any training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from features.corpus import Corpus
from features.table import FeatureSet, FeatureTable, mean_of_items
from recommenders.base import Float32, InnerProduct, popularity
from schemas.errors import ConfigError, DataError
from schemas.run import Run
from schemas.sections import Model

BELOW_ALL = -4.0  # a cosine is at least -1


class TextMatch(InnerProduct):
    """Cosine of the user's and the item's text vector.

    `user` is the mean of the train items' vectors, or `profile`: the user table, and the mean where it has no row.
    Items without text come after all others, by popularity. Users without any text get popular items.
    """

    name: ClassVar[str] = "text_match"
    source: ClassVar[str] = "nearest text vectors, untrained"
    seeded: ClassVar[bool] = False
    reads_text: ClassVar[bool] = True

    def __init__(
        self,
        *,
        user: Annotated[
            Literal["mean", "profile"],
            Field(description="what stands for a user: the mean of his items' texts, or his own text"),
        ] = "mean",
    ) -> None:
        self.user_text = user

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        super().check(model, run)
        if model.features is None or model.features.item is None:
            raise ConfigError(f"{run.file}: models.{model.name}: text_match reads text; add [models.features]")

    @property
    def learned(self) -> int:
        return super().learned - 1  # nor the one that puts items without text last

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        item = features.item
        if item is None:
            raise DataError("text_match: features: expected item text, found none")
        user = mean_of_items(item, corpus.served)
        if self.user_text == "profile" and features.user is not None:
            user = _prefer(features.user, user)
        last = np.where(item.present, 0.0, BELOW_ALL + popularity(corpus.train.item_degree))
        vectors = np.column_stack([_unit(user.x), user.present]), np.column_stack([_unit(item.x), last])
        self._serve(corpus, *vectors, has_vector=user.present)


def _prefer(first: FeatureTable, second: FeatureTable) -> FeatureTable:
    x = np.where(first.present[:, None], first.x, second.x)
    return FeatureTable(first.kind, x, first.present | second.present, f"{first.source} or {second.source}")


def _unit(x: Float32) -> Float32:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1), dtype=np.float32)
