"""XSimGCL: one noisy pass whose final vectors must agree with those of one of its layers (arXiv 2209.02544)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.backbones.simgcl import Epsilon, FromLayer, layer_sum, random_shift
from graph_models.contrast import Contrast, Negatives
from graph_models.dataset import GraphDataset
from graph_models.options import Anchors, ContrastWeight, Count, Dim, SomeLayers, Temperature
from graph_models.propagation import sparse_product
from graph_models.sampler import Batch
from schemas.errors import ConfigError


class XSimGCL(IdEmbedding):
    """SimGCL at the price of LightGCN: the noisy vectors are both what is ranked in training and what is contrasted.

    The loss is `weight` times the contrast of the final vectors with layer `contrast_layer` of the same pass. It must
    not be above `layers`. `from_layer` and `epsilon` are SimGCL's. Serving is without noise.
    """

    source: ClassVar[str] = "Yu et al., TKDE 2024, arXiv 2209.02544"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "layers": (2, 3),
        "weight": (0.05, 0.2, 0.5),
        "temperature": (0.1, 0.15, 0.2),
        "epsilon": (0.05, 0.1, 0.2),
    }

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        graph: GraphDataset,
        *,
        layers: SomeLayers = 2,
        dim: Dim = 64,
        score: Score = "dot",
        init: Init = "xavier",
        weight: ContrastWeight = 0.2,
        temperature: Temperature = 0.15,
        epsilon: Epsilon = 0.2,
        contrast_layer: Annotated[Count, Field(description="the layer that final vectors are contrasted with")] = 1,
        from_layer: FromLayer = 1,
        negatives: Negatives = "in_batch",
        anchors: Anchors = 4096,
    ) -> None:
        super().__init__(graph, dim, score, init)
        if contrast_layer > layers:
            raise ConfigError(f"xsimgcl: contrast_layer: expected at most layers = {layers}, found {contrast_layer}")
        self.layers, self.weight, self.epsilon = layers, weight, epsilon
        self.contrast_layer, self.from_layer = contrast_layer, from_layer
        self.contrast = Contrast(temperature, negatives, anchors)
        self.scale = 1 / (layers + 1 - from_layer)  # of the sum

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_sum(x, graph.adjacency, self.layers, self.from_layer) * self.scale

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        layers = [x]
        for _ in range(self.layers):
            layer = sparse_product(layers[-1], graph.adjacency, graph.adjacency)
            layers.append(layer + random_shift(layer, self.epsilon))
        z = torch.stack(layers[self.from_layer :]).sum(dim=0) * self.scale
        loss = self.contrast(z, layers[self.contrast_layer], batch, graph.num_users)
        return z, {"contrast": self.weight * loss}
