"""LightGCN: id embeddings, linear propagation, mean over layers (arXiv 2002.02126)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from graph_models.backbones.base import Backbone
from graph_models.dataset import GraphDataset
from graph_models.options import Count, Size
from graph_models.propagation import layer_mean
from graph_models.spectrum import singular_vectors

STD = 0.1  # of the first embeddings, as in the paper's code
NOISE = 0.1  # share of it that stays random when the embeddings start from the spectrum


class LightGCN(Backbone):
    """Id embeddings, propagated `layers` times; `score` is the paper's dot or cosine. Zero layers are factorisation.

    `init`: `normal` draws N(0, 0.1^2) as the paper does; `spectral` starts from the leading singular vectors of the
    normalised train matrix at the same scale, with a little noise, and needs several times fewer steps.
    """

    source: ClassVar[str] = "He et al., SIGIR 2020, arXiv 2002.02126"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"layers": (1, 2, 3)}
    node_rows: ClassVar[tuple[str, ...]] = ("embedding",)

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
    rank = min(dim, min(graph.seen.shape) - 1)
    if rank < 1:
        return torch.zeros(sum(graph.seen.shape), dim)
    left, values, right = singular_vectors(graph.seen, rank)
    both = np.concatenate([left, right.T]) * np.sqrt(values)  # [U+I, rank]
    both *= STD / (both.std() + np.finfo(np.float32).tiny)
    return torch.nn.functional.pad(torch.from_numpy(both.astype(np.float32)), (0, dim - rank))
