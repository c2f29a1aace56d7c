"""GF-CF: a linear and an ideal low-pass filter of the interaction graph, in closed form (arXiv 2108.07567)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from features.corpus import Corpus, Part
from features.table import FeatureSet
from graph_models.options import Size
from graph_models.spectrum import singular_vectors
from recommenders.item_kernel import Float32, ItemKernel, Kernel, compact
from recommenders.item_knn import InPower, OutPower, UserPower, co_occurrence

Weight = Annotated[float, Field(ge=0)]
Alpha = Annotated[Weight, Field(description="weight of the low-pass part; 0: none")]
Rank = Annotated[Size, Field(description="singular vectors that the low-pass part keeps")]
SPACE: Mapping[str, Sequence[Any]] = {
    "user_power": (0.3, 0.5, 0.7),
    "in_power": (0.3, 0.5),
    "out_power": (0.1, 0.2, 0.3, 0.5),
    "alpha": (0.0, 0.1, 0.3, 0.5),
}


class GFCF(ItemKernel):
    """K = R~^T R~ + alpha D^-1/2 V V^T D^1/2, R~ = D_u^-1/2 R D_i^-1/2, V its `rank` leading right singular vectors.

    The powers of the linear part are options; 1, 1/2 and 1/2 (user, in, out) are the published filter, with rank 256.
    """

    name: ClassVar[str] = "gf_cf"
    source: ClassVar[str] = "Shen et al., CIKM 2021, arXiv 2108.07567"
    space: ClassVar[Mapping[str, Sequence[Any]]] = SPACE

    def __init__(
        self,
        *,
        user_power: UserPower = 0.5,
        in_power: InPower = 0.5,
        out_power: OutPower = 0.5,
        alpha: Alpha = 0.3,
        rank: Rank = 64,
    ) -> None:
        self.powers, self.alpha, self.rank = (user_power, in_power, out_power), alpha, rank

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        del features
        linear = co_occurrence(corpus.train, *self.powers)
        self.serve(corpus, Kernel(compact(linear), low_pass(corpus.train, self.rank, self.alpha)))


def low_pass(train: Part, rank: int, alpha: float) -> tuple[tuple[Float32, Float32], ...]:
    """The ideal low-pass filter alpha D^-1/2 V V^T D^1/2 as a low-rank part; none where alpha is 0."""
    rank = min(rank, min(train.num_users, train.num_items) // 4)
    if not alpha or rank < 1:
        return ()
    _, _, right = singular_vectors(train.by_user, rank)  # [rank, I]
    root = np.sqrt(np.maximum(train.item_degree, 1)).astype(np.float32)
    basis = right.astype(np.float32)
    return ((np.float32(alpha) * (basis / root).T, basis * root),)
