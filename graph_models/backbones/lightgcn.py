"""LightGCN: id embeddings, linear propagation, mean over layers (arXiv 2002.02126)."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from graph_models.backbones.base import Backbone, Count, Size
from graph_models.dataset import GraphDataset
from graph_models.propagation import layer_mean


class LightGCN(Backbone):
    """Id embeddings, drawn from N(0, 0.1^2), propagated `layers` times; `score` is the paper's dot or cosine.

    Zero layers are matrix factorisation.
    """

    source: ClassVar[str] = "He et al., SIGIR 2020, arXiv 2002.02126"

    def __init__(
        self, graph: GraphDataset, *, layers: Count = 3, dim: Size = 64, score: Literal["dot", "cosine"] = "dot"
    ) -> None:
        super().__init__()
        self.layers, self.dim, self.cosine = layers, dim, score == "cosine"
        self.embedding = nn.Parameter(torch.randn(graph.num_users + graph.num_items, dim) * 0.1)  # [U+I, d]

    def inputs(self) -> Tensor:
        return self.embedding

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_mean(x, graph.adjacency, self.layers)
