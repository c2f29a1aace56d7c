"""Item-based nearest neighbours: items that the same users have (Deshpande and Karypis, TOIS 2004)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix, diags, vstack

from features.corpus import Corpus, Part
from features.table import FeatureSet
from graph_models.options import Count, Power
from recommenders.item_kernel import ItemKernel, Kernel, compact

ITEMS_AT_ONCE = 4096

UserPower = Annotated[Power, Field(description="a user counts by his number of items to minus this power")]
InPower = Annotated[Power, Field(description="the same of the item that a user has, by its number of users")]
OutPower = Annotated[Power, Field(description="the same of the item that is scored: larger favours rare items")]


class ItemKNN(ItemKernel):
    """K_ij = d_i^-in_power d_j^-out_power sum_u d_u^-user_power r_ui r_uj, the `neighbours` largest of every row.

    Degrees are those of train. Powers of one half at both items give the cosine; `neighbours` 0 keeps all.
    """

    name: ClassVar[str] = "item_knn"
    source: ClassVar[str] = "Deshpande and Karypis, TOIS 2004"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "user_power": (0.3, 0.5, 0.7),
        "in_power": (0.3, 0.5),
        "out_power": (0.1, 0.2, 0.3, 0.5),
        "neighbours": (0, 50, 200),
    }

    def __init__(
        self,
        *,
        user_power: UserPower = 0.5,
        in_power: InPower = 0.5,
        out_power: OutPower = 0.5,
        neighbours: Annotated[Count, Field(description="items kept of every row; 0: all")] = 0,
    ) -> None:
        self.powers, self.neighbours = (user_power, in_power, out_power), neighbours

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        del features
        self.serve(corpus, Kernel(compact(co_occurrence(corpus.train, *self.powers, self.neighbours))))


def co_occurrence(train: Part, user_power: float, in_power: float, out_power: float, neighbours: int = 0) -> csr_matrix:
    """The kernel of `ItemKNN`: float32 [I, I], a block of items at a time; the diagonal is left out."""
    by_user = csr_matrix(train.by_user, dtype=np.float32)
    user, item = (np.maximum(degree, 1).astype(np.float32) for degree in (train.user_degree, train.item_degree))
    left = csr_matrix(diags(item**-in_power) @ by_user.T @ diags(user**-user_power))  # [I, U]
    right = csr_matrix(by_user @ diags(item**-out_power))  # [U, I]
    blocks = []
    for start in range(0, train.num_items, ITEMS_AT_ONCE):
        block = csr_matrix(left[start : start + ITEMS_AT_ONCE] @ right)
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        block.data[block.indices == rows + start] = 0.0
        block.eliminate_zeros()
        blocks.append(largest(block, neighbours) if neighbours else block)
    return csr_matrix(vstack(blocks), dtype=np.float32)


def largest(matrix: csr_matrix, k: int) -> csr_matrix:
    """The k largest entries of every row; of equal ones those that come first."""
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, row))
    rank = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], np.diff(matrix.indptr))
    kept = order[rank < k]
    return csr_matrix((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
