"""LightGCL: a graph network whose layers must agree with those of a truncated SVD of the graph (arXiv 2302.08191)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.contrast import Contrast, Negatives, alignment
from graph_models.dataset import GraphDataset
from graph_models.edge_drop import Drop, EdgeDrop
from graph_models.options import Anchors, ContrastWeight, Dim, Layers, Reference, Size, Temperature
from graph_models.propagation import sparse_product
from graph_models.sampler import Batch
from graph_models.spectrum import singular_vectors

SLOPE = 0.5  # of the activation below zero
BOUND = 5.0  # of the published code's positive scores


class LightGCL(IdEmbedding):
    """Layers z = f(A e), e' = z + e, f a LeakyReLU, and final vectors that are the sum of all e.

    The loss is `weight` times the contrast of every z with g = f(A_q e), where A_q has the `rank` leading singular
    values of the train matrix alone, as U S V' and never as a matrix. `drop`: share of the entries of A, the rest
    scaled up, that each training step goes without. `negatives`: a batch's node against all nodes of its kind, as in
    the paper, or against those of the batch. `compat` = reference is the published code: no f and no residual, and the
    sums of the layers are contrasted, by inner products with bounded positives, with a term of the sampled negative
    items; it is meant for BPR.
    """

    source: ClassVar[str] = "Cai et al., ICLR 2023, arXiv 2302.08191"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "layers": (1, 2, 3),
        "weight": (0.001, 0.01, 0.1, 0.2),
        "temperature": (0.1, 0.2, 0.5),
        "rank": (5, 20),
    }
    left: Tensor  # [U, q] singular vectors times the root of their values
    right: Tensor  # [I, q]

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        graph: GraphDataset,
        *,
        layers: Layers = 2,
        dim: Dim = 64,
        score: Score = "dot",
        init: Init = "xavier",
        weight: ContrastWeight = 0.2,
        temperature: Temperature = 0.2,
        rank: Annotated[Size, Field(description="singular values that the other view keeps")] = 5,
        drop: Drop = 0.0,
        negatives: Negatives = "all",
        anchors: Anchors = 4096,
        compat: Reference = "none",
    ) -> None:
        super().__init__(graph, dim, score, init)
        self.layers, self.weight, self.drop, self.reference = layers, weight, drop, compat == "reference"
        self.contrast = Contrast(temperature, negatives, anchors)
        self.edges = EdgeDrop(graph.adjacency) if drop else None
        for name, part in zip(("left", "right"), _factors(graph, rank), strict=True):
            self.register_buffer(name, part, persistent=False)

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return self._layers(x, graph.adjacency, graph.adjacency)[0]

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        pair = (graph.adjacency, graph.adjacency)
        if self.edges is not None:
            pair = self.edges.each_way(self.drop, rescale=True)
        z, steps = self._layers(x, *pair)
        if self.reference:
            loss = self._of_sums(z, x + sum(self._low_rank(before) for before, _ in steps), batch)
        else:
            views = [(after, self._low_rank(before)) for before, after in steps]
            losses = [self.contrast(*view, batch, graph.num_users) for view in views]
            loss = torch.stack([z.new_zeros(()), *losses]).sum()
        return z, {"contrast": self.weight * loss}

    def _layers(self, x: Tensor, matrix: Tensor, transpose: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Final vectors [N, d], and what each layer was given and what it made of it."""
        total, before, steps = x, x, []
        for _ in range(self.layers):
            after = self._activated(sparse_product(before, matrix, transpose))
            steps.append((before, after))
            before = after if self.reference else after + before
            total = total + before
        return total, steps

    def _low_rank(self, x: Tensor) -> Tensor:
        """What a layer makes of x [N, d] on the graph of the truncated SVD."""
        user, item = x[: len(self.left)], x[len(self.left) :]
        return self._activated(torch.cat([self.left @ (self.right.T @ item), self.right @ (self.left.T @ user)]))

    def _activated(self, x: Tensor) -> Tensor:
        return x if self.reference else F.leaky_relu(x, SLOPE)

    def _of_sums(self, z: Tensor, low_rank: Tensor, batch: Batch) -> Tensor:
        users, items = len(self.left), torch.cat([batch.positive, batch.negative])
        return self._unscaled(low_rank[:users], z[:users], batch.user) + self._unscaled(
            low_rank[users:], z[users:], items
        )

    def _unscaled(self, one: Tensor, other: Tensor, rows: Tensor) -> Tensor:
        anchor, t = one.index_select(0, rows), self.contrast.temperature
        positive = (anchor * other.index_select(0, rows)).sum(dim=1) / t
        return alignment(anchor, other, rows, t) + (positive - positive.clamp(-BOUND, BOUND)).mean()


def _factors(graph: GraphDataset, rank: int) -> tuple[Tensor, Tensor]:
    """[U, q] and [I, q] whose product is the train matrix with its q leading singular values; zero of a single row."""
    rank = min(rank, min(graph.seen.shape) - 1)
    if rank < 1:
        return torch.zeros(graph.num_users, 1), torch.zeros(graph.num_items, 1)
    left, values, right = (torch.from_numpy(part.copy()).float() for part in singular_vectors(graph.seen, rank))
    return left * values.sqrt(), right.T * values.sqrt()
