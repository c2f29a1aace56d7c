"""EASE: the linear item-item model without self-similarity, in closed form (Steck, WWW 2019, arXiv 1905.03375)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix

from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.options import Positive
from recommenders.item_kernel import ItemKernel, Kernel
from schemas.errors import ConfigError

MOST_ITEMS = 40_000  # an inverse of 40,000 x 40,000 needs 13 GB


class EASE(ItemKernel):
    """B = I - P diag(1 / diag(P)), P = (R^T R + l2 I)^-1: the best linear map of users' items with a zero diagonal."""

    name: ClassVar[str] = "ease"
    source: ClassVar[str] = "Steck, WWW 2019, arXiv 1905.03375"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"l2": (20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)}

    def __init__(
        self, *, l2: Annotated[Positive, Field(description="weight of the squared length of the map")] = 200.0
    ) -> None:
        self.l2 = l2

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        del features
        if corpus.num_items > MOST_ITEMS:
            raise ConfigError(
                f"ease: inverts a matrix of {corpus.num_items} x {corpus.num_items} items; "
                f"expected at most {MOST_ITEMS}; use gf_cf or item_knn"
            )
        by_user = csr_matrix(corpus.train.by_user, dtype=np.float32)
        gram = torch.from_numpy((by_user.T @ by_user).toarray())  # [I, I]
        gram.diagonal().add_(self.l2)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(gram))
        weights = -inverse / inverse.diagonal()
        weights.fill_diagonal_(0.0)
        self.serve(corpus, Kernel(np.ascontiguousarray(weights.numpy())))
