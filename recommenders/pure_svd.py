"""PureSVD: the leading singular vectors of the train matrix, no training (Cremonesi, Koren and Turrin, RecSys 2010)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.backbones.ids import spectral
from graph_models.curve import Progress
from graph_models.dataset import make_dataset
from graph_models.options import Size
from recommenders.base import InnerProduct
from recommenders.cold_items import place_cold_items
from schemas.run import Run
from schemas.sections import Model


class PureSVD(InnerProduct):
    """Scores are D_u^-1/2 R D_i^-1/2 at rank `dim`; users without train interactions get popular items.

    The rank is at most a quarter of the smaller side: near full rank nothing is left to recommend but train itself.
    It knows the train part alone, so what it ranks first may be shown in a prompt.
    """

    name: ClassVar[str] = "pure_svd"
    source: ClassVar[str] = "Cremonesi et al., RecSys 2010; normalised as in LightGCN"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"dim": (32, 64, 128, 256)}
    seeded: ClassVar[bool] = False
    places_cold_items: ClassVar[bool] = True
    cold_spread: float | None = None  # how items without train interactions are placed by text; None: they are not

    def __init__(
        self,
        *,
        dim: Annotated[
            Size, Field(description="singular vectors that are kept, at most a quarter of the smaller side")
        ] = 64,
    ) -> None:
        self.dim = dim
        self.report: dict[str, Any] = {}

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        made = super().make(model, run, seed, folder, progress)
        made.cold_spread = model.cold_spread if model.cold_items == "text" else None
        return made

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        rank = max(1, min(self.dim, min(corpus.num_users, corpus.num_items) // 4))
        both = spectral(make_dataset(corpus.train), rank).numpy()
        user, item = both[: corpus.num_users], both[corpus.num_users :]
        if self.cold_spread is not None and features.item is not None:
            placed = place_cold_items(item, features.item, corpus.train.item_degree, self.cold_spread)
            item, self.report = placed[0], {"cold_items": placed[1]}
        self._serve(corpus, user, item, has_vector=corpus.train.user_degree > 0)
