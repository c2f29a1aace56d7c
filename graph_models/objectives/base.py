"""What an auxiliary objective is: one more loss on a batch's vectors, a change of the vectors themselves, or both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

from torch import Tensor, nn

from graph_models.sampler import Batch


class Objective(nn.Module, ABC):
    """A module that works on any backbone: it may change what nodes start from, what they end as, and add a loss.

    The constructor takes the graph and the backbone's dimension d, then its options as keyword-only parameters. The
    weight is not its business: the run file multiplies it on the loss.
    """

    source: ClassVar[str]  # the paper
    needs_text: ClassVar[bool] = False  # whether the graph must have x_user and x_item
    needs_codes: ClassVar[bool] = False  # whether the graph must have codes of items
    space: ClassVar[Mapping[str, Sequence[Any]]] = MappingProxyType({})  # option -> values that a search may try
    gives_vectors: ClassVar[bool] = False  # whether text alone gives a node without train interactions its vector
    node_rows: ClassVar[tuple[str, ...]] = ()  # parameters and kept buffers with one row for each node, users first
    report: Mapping[str, Any] = MappingProxyType({})  # figures about what it was built from, kept with the model
    edges_from: str | None = None  # the recipe whose proposed edges it reads; an option of those that do

    def inputs(self, x: Tensor) -> Tensor:
        """Change layer-0 vectors [U+I, d], users first, before they are propagated."""
        return x

    def outputs(self, z: Tensor) -> Tensor:
        """Change propagated vectors [U+I, d] before they are scored."""
        return z

    @abstractmethod
    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """Give a scalar loss of the final vectors z [U+I, d], scaled so that a pair's score is their inner product."""


class Fusion(Objective):
    """An objective that changes vectors and adds no loss: its parameters learn from the ranking loss."""

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        del batch
        return z.new_zeros(())
