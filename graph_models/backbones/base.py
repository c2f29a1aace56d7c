"""What a backbone is: the vectors that nodes start from, and how the graph changes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn

from graph_models.dataset import GraphDataset
from graph_models.losses import unit_rows
from graph_models.sampler import Batch


class Backbone(nn.Module, ABC):
    """A model of the nodes of a graph. The constructor takes the graph, then its options as keyword-only parameters."""

    source: ClassVar[str]  # the paper
    needs_text: ClassVar[bool] = False  # whether the graph must have x_user and x_item
    space: ClassVar[Mapping[str, Sequence[Any]]] = MappingProxyType({})  # option -> values that a search may try
    node_rows: ClassVar[tuple[str, ...]] = ()  # parameters and kept buffers with one row for each node, users first
    dim: int  # d of the propagated vectors
    cosine: bool = False  # whether a score is the cosine, not the inner product, of two propagated vectors

    @abstractmethod
    def inputs(self) -> Tensor:
        """Give the layer-0 vectors of all nodes, users first: [U+I, d]."""

    @abstractmethod
    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        """Give the final vectors [U+I, d] of layer-0 vectors x [U+I, d]."""

    def start_epoch(self, graph: GraphDataset) -> None:
        """Called before every epoch of training, for models that draw something once an epoch."""
        del graph

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Final vectors [U+I, d] of one training step, and the backbone's own losses, weighted, by name.

        Models that perturb their vectors or drop edges in training, or contrast two views, do it here; `propagate`
        alone is what is validated and served.
        """
        del batch
        return self.propagate(x, graph), {}

    def some_rows(self, rows: Tensor, x: Tensor, graph: GraphDataset) -> Tensor | None:
        """Final vectors [n, d] of the rows [n] alone, of a training step that has no loss of the backbone's own.

        None, as here, where all are computed anyway.
        """
        del rows, x, graph
        return None

    def scored(self, z: Tensor) -> Tensor:
        """Scale final vectors [U+I, d] so that the score of a pair in training is their inner product."""
        return unit_rows(z) if self.cosine else z

    def ranked(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        """Scale final vectors [U, d] and [I, d] for ranking: as in training, or with part of the items' lengths."""
        return self.scored(user), self.scored(item)
