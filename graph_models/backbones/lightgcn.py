"""LightGCN: id embeddings, linear propagation, mean over layers (arXiv 2002.02126)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy.sparse import csr_matrix, diags
from scipy.sparse.linalg import svds
from torch import Tensor, nn

from graph_models.backbones.base import Backbone
from graph_models.dataset import GraphDataset
from graph_models.options import Count, Size
from graph_models.propagation import layer_mean

STD = 0.1  # of the first embeddings, as in the paper's code
DENSE = 1_000_000  # entries up to which a matrix is decomposed whole
NOISE = 0.1  # share of it that stays random when the embeddings start from the spectrum


class LightGCN(Backbone):
    """Id embeddings, propagated `layers` times; `score` is the paper's dot or cosine. Zero layers are factorisation.

    `init`: `normal` draws N(0, 0.1^2) as the paper does; `spectral` starts from the leading singular vectors of the
    normalised train matrix at the same scale, with a little noise, and needs several times fewer steps.
    """

    source: ClassVar[str] = "He et al., SIGIR 2020, arXiv 2002.02126"

    def __init__(
        self,
        graph: GraphDataset,
        *,
        layers: Count = 3,
        dim: Size = 64,
        score: Literal["dot", "cosine"] = "dot",
        init: Literal["normal", "spectral"] = "normal",
    ) -> None:
        super().__init__()
        self.layers, self.dim, self.cosine = layers, dim, score == "cosine"
        first = torch.randn(graph.num_users + graph.num_items, dim) * STD
        if init == "spectral":
            first = first * NOISE + spectral(graph, dim)
        self.embedding = nn.Parameter(first)  # [U+I, d]

    def inputs(self) -> Tensor:
        return self.embedding

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_mean(x, graph.adjacency, self.layers)


def spectral(graph: GraphDataset, dim: int) -> Tensor:
    """Singular vectors times the root of their values, scaled to N(0, 0.1^2)'s spread: [U+I, dim].

    Of D_u^-1/2 R D_i^-1/2. A graph with fewer than `dim` + 1 users or items fills the other columns with zeros.
    """
    normalised = _normalised(graph.seen)
    rank = min(dim, min(normalised.shape) - 1)
    if rank < 1:
        return torch.zeros(sum(normalised.shape), dim)
    left, values, right = _leading(normalised, rank)
    both = np.concatenate([left, right.T]) * np.sqrt(values)  # [U+I, rank]
    both *= STD / (both.std() + np.finfo(np.float32).tiny)
    return torch.nn.functional.pad(torch.from_numpy(both.astype(np.float32)), (0, dim - rank))


def _leading(matrix: csr_matrix, rank: int) -> tuple[Any, Any, Any]:
    """The leading singular triplets: left [U, rank], values [rank], right [rank, I].

    Small matrices are decomposed whole: the iteration may meet an invariant subspace there, and then draws at random.
    """
    if matrix.shape[0] * matrix.shape[1] > DENSE:
        left, values, right = svds(matrix, k=rank, v0=np.ones(min(matrix.shape)), solver="arpack")
        return left, values, right
    left, values, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
    return left[:, :rank], values[:rank], right[:rank]


def _normalised(by_user: csr_matrix) -> csr_matrix:
    """D_u^-1/2 R D_i^-1/2 of R [U, I]; rows and columns without an entry stay empty."""
    user, item = np.diff(by_user.indptr), np.bincount(by_user.indices, minlength=by_user.shape[1])
    scales = [diags(1.0 / np.sqrt(np.maximum(degree, 1))) for degree in (user, item)]
    return csr_matrix(scales[0] @ by_user.astype(np.float64) @ scales[1])
