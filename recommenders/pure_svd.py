"""PureSVD: the leading singular vectors of the train matrix, no training (Cremonesi, Koren and Turrin, RecSys 2010)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.backbones.lightgcn import spectral
from graph_models.dataset import make_dataset
from graph_models.options import Size
from recommenders.base import InnerProduct


class PureSVD(InnerProduct):
    """Scores are D_u^-1/2 R D_i^-1/2 at rank `dim`; users without train interactions get popular items.

    The rank is at most a quarter of the smaller side: near full rank nothing is left to recommend but train itself.
    It knows the train part alone, so what it ranks first may be shown in a prompt.
    """

    name: ClassVar[str] = "pure_svd"
    source: ClassVar[str] = "Cremonesi et al., RecSys 2010; normalised as in LightGCN"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"dim": (32, 64, 128, 256)}
    seeded: ClassVar[bool] = False

    def __init__(self, *, dim: Size = 64) -> None:
        self.dim = dim

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        del features
        rank = max(1, min(self.dim, min(corpus.num_users, corpus.num_items) // 4))
        both = spectral(make_dataset(corpus.train), rank).numpy()
        user, item = both[: corpus.num_users], both[corpus.num_users :]
        self._serve(corpus, user, item, has_vector=corpus.train.user_degree > 0)
