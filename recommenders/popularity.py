"""The floor of all floors: the items with most train interactions, the same for everyone."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from features.corpus import Corpus
from features.table import FeatureSet
from recommenders.base import InnerProduct


class Popularity(InnerProduct):
    """Items by number of train interactions, ties in index order. The score is 1 - rank / I."""

    name: ClassVar[str] = "popularity"
    source: ClassVar[str] = "count of train interactions"
    seeded: ClassVar[bool] = False
    compares: ClassVar[Literal["vectors", "kernel"] | None] = None

    def __init__(self) -> None:
        pass

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        del features
        nobody = np.zeros((corpus.num_users, 0), np.float32), np.zeros((corpus.num_items, 0), np.float32)
        self._serve(corpus, *nobody, has_vector=np.zeros(corpus.num_users, dtype=bool))
