"""Items whose texts are nearest to those of a user's most recent items, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field

from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.options import Positive, Size
from recommenders.item_kernel import Kernel, compact
from recommenders.sequential.recent_items import Recent, RecentItems
from recommenders.text_kernel import text_kernel
from schemas.errors import ConfigError, DataError
from schemas.run import Run
from schemas.sections import Model


class TextKNN(RecentItems):
    """K_ij = cos(x_i, x_j)^power of the `neighbours` nearest texts, summed over the last `recent` items."""

    name: ClassVar[str] = "text_knn"
    source: ClassVar[str] = "nearest texts of the most recent items, untrained"
    reads_text: ClassVar[bool] = True
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "neighbours": (50, 200),
        "power": (1.0, 4.0),
        "recent": (1, 3, 10),
    }

    def __init__(
        self,
        *,
        neighbours: Annotated[Size, Field(description="nearest texts kept of every item")] = 100,
        power: Annotated[Positive, Field(description="cosines are taken to this power")] = 1.0,
        recent: Recent = 3,
    ) -> None:
        self.neighbours, self.power, self.recent = neighbours, power, recent

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        super().check(model, run)
        if model.features is None or model.features.item is None:
            raise ConfigError(f"{run.file}: models.{model.name}: text_knn reads text; add [models.features]")

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        if features.item is None:
            raise DataError("text_knn: features: expected item text, found none")
        kernel = text_kernel(features.item, self.power, self.neighbours, normalise=False)
        self.serve_recent(corpus, Kernel(compact(kernel)), self.recent)
