"""SimGCL: LightGCN whose vectors must agree under random noise, without another graph (arXiv 2112.08679)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.contrast import Contrast, Negatives, between
from graph_models.dataset import GraphDataset
from graph_models.options import Anchors, ContrastWeight, Dim, Positive, SomeLayers, Sslrec, Temperature
from graph_models.propagation import layer_mean, sparse_product
from graph_models.sampler import Batch

Epsilon = Annotated[Positive, Field(description="length of the noise that is added after each propagation")]
FromLayer = Annotated[Literal[0, 1], Field(description="first layer of the mean; 0 takes the nodes' own vectors in")]


class SimGCL(IdEmbedding):
    """Mean of the layers from `from_layer` on, plus `weight` times the contrast of two noisy views of them.

    A view adds to each node, after each propagation, a vector of length `epsilon` into the octant of its own. The paper
    leaves layer 0 out of the mean: a node without neighbours is zero then, whatever an objective gives it at the start;
    `from_layer` = 0 takes it in. `compat` = sslrec is the code that RLMRec builds on: the sum of all layers, repeated
    nodes kept, each against all nodes of its kind.
    """

    source: ClassVar[str] = "Yu et al., SIGIR 2022, arXiv 2112.08679"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "layers": (1, 2, 3),
        "weight": (0.05, 0.2, 0.5),
        "temperature": (0.1, 0.2, 0.5),
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
        weight: ContrastWeight = 0.5,
        temperature: Temperature = 0.2,
        epsilon: Epsilon = 0.1,
        from_layer: FromLayer = 1,
        negatives: Negatives = "in_batch",
        anchors: Anchors = 4096,
        compat: Sslrec = "none",
    ) -> None:
        super().__init__(graph, dim, score, init)
        self.layers, self.weight, self.epsilon, self.sslrec = layers, weight, epsilon, compat == "sslrec"
        self.from_layer = 0 if self.sslrec else from_layer
        self.contrast = Contrast(temperature, negatives, anchors)
        self.scale = 1.0 if self.sslrec else 1 / (layers + 1 - self.from_layer)  # of the sum

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_sum(x, graph.adjacency, self.layers, self.from_layer) * self.scale

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z, one, other = self._views(x, graph.adjacency)
        return z, {"contrast": self.weight * self._loss(one, other, batch, graph.num_users)}

    def _views(self, x: Tensor, adjacency: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The clean final vectors and two noisy ones: [N, d] each.

        Propagation is linear and noise has no gradient, so that a view is the clean vectors plus a constant: only the
        noise is propagated for it, and there is one backward pass instead of three.
        """
        layer, total = x, x if self.from_layer == 0 else torch.zeros_like(x)
        noise = x.new_zeros(len(x), 2, x.shape[1])
        noises = torch.zeros_like(noise)
        for step in range(self.layers):
            layer = sparse_product(layer, adjacency, adjacency)
            total = total + layer
            with torch.no_grad():
                noise = noise if step == 0 else (adjacency @ noise.flatten(1)).view_as(noise)
                noise = noise + random_shift(layer[:, None] + noise, self.epsilon)
                noises += noise
        z = total * self.scale
        return z, z + noises[:, 0] * self.scale, z + noises[:, 1] * self.scale

    def _loss(self, one: Tensor, other: Tensor, batch: Batch, users: int) -> Tensor:
        if not self.sslrec:
            return self.contrast(one, other, batch, users)
        t = self.contrast.temperature
        return between(one[:users], other[:users], batch.user, t) + between(
            one[users:], other[users:], batch.positive, t
        )


def layer_sum(x: Tensor, adjacency: Tensor, layers: int, from_layer: int) -> Tensor:
    """Sum of A^k x over k = from_layer..layers of a symmetric A, from_layer 0 or 1: [N, d]."""
    if from_layer == 0:
        return layer_mean(x, adjacency, layers) * (layers + 1)
    return sparse_product(layer_mean(x, adjacency, layers - 1) * layers, adjacency, adjacency)


def random_shift(x: Tensor, epsilon: float) -> Tensor:
    """Random vectors [.., d] of length epsilon with the signs of x; zero where x is. It has no gradient."""
    positive = torch.nn.functional.normalize(torch.rand_like(x), dim=-1)
    return positive * x.detach().sign() * epsilon
