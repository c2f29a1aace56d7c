"""AlphaRec: frozen text vectors, one small perceptron, propagation, cosine scores, no ids (arXiv 2407.05441)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.backbones.base import Backbone
from graph_models.dataset import GraphDataset
from graph_models.options import Dim, Layers
from graph_models.propagation import layer_mean
from graph_models.text import both_texts, fill_missing
from graph_models.tower import text_tower


class AlphaRec(Backbone):
    """Text vectors [D] through Linear(D, ratio D), LeakyReLU, Linear(ratio D, dim), propagated `layers` times.

    A node without text starts from one learned vector that all such nodes share, so that it stays in the graph and is
    told apart by its neighbours; it is never deleted, and never read as the text 'zero'.
    """

    source: ClassVar[str] = "Sheng et al., ICLR 2025, arXiv 2407.05441"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"layers": (1, 2, 3)}
    needs_text: ClassVar[bool] = True
    cosine = True

    def __init__(
        self,
        graph: GraphDataset,
        *,
        layers: Layers = 2,
        dim: Dim = 64,
        ratio: Annotated[float, Field(gt=0, description="hidden width, as a share of the text vectors'")] = 0.5,
    ) -> None:
        super().__init__()
        self.user_text, self.item_text = both_texts(graph, "alpharec")
        self.layers, self.dim, width = layers, dim, self.item_text.dim
        self.tower = text_tower(width, max(1, round(ratio * width)), dim)
        self.missing = nn.Parameter(torch.randn(dim) * 0.1)

    def inputs(self) -> Tensor:
        parts = [
            fill_missing(self.tower(text()), text.present, self.missing) for text in (self.user_text, self.item_text)
        ]
        return torch.cat(parts)

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_mean(x, graph.adjacency, self.layers)
