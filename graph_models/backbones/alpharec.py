"""AlphaRec: frozen text vectors, one small perceptron, propagation, cosine scores, no ids (arXiv 2407.05441)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.backbones.base import Backbone, Count, Size
from graph_models.dataset import GraphDataset
from graph_models.propagation import layer_mean
from graph_models.tower import text_tower
from schemas.errors import DataError


class AlphaRec(Backbone):
    """Text vectors [D] through Linear(D, ratio D), LeakyReLU, Linear(ratio D, dim), propagated `layers` times.

    A node without text starts from one learned vector that all such nodes share, so that it stays in the graph and is
    told apart by its neighbours; it is never deleted, and never read as the text 'zero'.
    """

    source: ClassVar[str] = "Sheng et al., ICLR 2025, arXiv 2407.05441"
    needs_text: ClassVar[bool] = True
    cosine = True
    text: Tensor
    present: Tensor

    def __init__(
        self,
        graph: GraphDataset,
        *,
        layers: Count = 2,
        dim: Size = 64,
        ratio: Annotated[float, Field(gt=0, description="hidden width / D")] = 0.5,
    ) -> None:
        super().__init__()
        text, present = _text(graph)
        self.layers, self.dim = layers, dim
        self.register_buffer("text", text, persistent=False)  # [U+I, D]
        self.register_buffer("present", present[:, None], persistent=False)  # [U+I, 1]
        self.tower = text_tower(text.shape[1], max(1, round(ratio * text.shape[1])), dim)
        self.missing = nn.Parameter(torch.randn(dim) * 0.1)

    def inputs(self) -> Tensor:
        return torch.where(self.present, self.tower(self.text), self.missing)

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_mean(x, graph.adjacency, self.layers)


def _text(graph: GraphDataset) -> tuple[Tensor, Tensor]:
    if graph.x_user is None or graph.x_item is None or graph.present_user is None or graph.present_item is None:
        raise DataError("alpharec: expected text vectors, found none; give the model [models.features]")
    return torch.cat([graph.x_user, graph.x_item]), torch.cat([graph.present_user, graph.present_item])
