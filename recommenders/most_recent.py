"""What others took next: a first-order Markov chain on a user's most recent item, without any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix, diags

from features.corpus import Corpus, Part
from features.table import FeatureSet
from graph_models.options import Power, Size
from recommenders.histories import Histories
from recommenders.item_kernel import Kernel, compact
from recommenders.sequential.recent_items import Recent, RecentItems


class MostRecent(RecentItems):
    """K_ij counts how often j came within `window` places after i in train, nearer ones more, over degree_j^power.

    A sequential model that does not beat it has learned nothing from longer histories.
    """

    name: ClassVar[str] = "most_recent"
    source: ClassVar[str] = "first-order Markov chain (Rendle et al., WWW 2010), counted, not learned"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"window": (1, 2, 4, 8), "power": (0.0, 0.3, 0.5), "recent": (1, 3)}

    def __init__(
        self,
        *,
        window: Annotated[Size, Field(description="places after an item that are counted")] = 3,
        power: Annotated[Power, Field(description="counts are divided by an item's users to this power")] = 0.3,
        recent: Recent = 1,
    ) -> None:
        self.window, self.power, self.recent = window, power, recent

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        del features
        kernel = transitions(corpus.train, self.window)
        popular = np.maximum(corpus.train.item_degree, 1).astype(np.float32) ** np.float32(-self.power)
        self.serve_recent(corpus, Kernel(compact(csr_matrix(kernel @ diags(popular)))), self.recent)


def transitions(train: Part, window: Annotated[int, Field(gt=0)]) -> csr_matrix:
    """How often item j came after item i, one for the next place, 1/2 for the one after it: float32 [I, I]."""
    histories = Histories.of(train)
    user = np.repeat(np.arange(train.num_users), histories.length)
    total = csr_matrix((train.num_items, train.num_items), dtype=np.float32)
    for step in range(1, window + 1):
        same = user[:-step] == user[step:]
        pairs = histories.item[:-step][same], histories.item[step:][same]
        weight = np.full(len(pairs[0]), 1 / step, dtype=np.float32)
        total += csr_matrix((weight, pairs), shape=total.shape)
    total.setdiag(0)
    total.eliminate_zeros()
    return total
