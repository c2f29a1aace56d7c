"""What an auxiliary objective is: one more loss on the propagated vectors of a batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from graph_models.sampler import Batch


class Objective(nn.Module, ABC):
    """A module added to the loss, on any backbone.

    The constructor takes the graph and the backbone's dimension d, then its options as keyword-only parameters. The
    weight is not its business: the run file multiplies it on.
    """

    source: ClassVar[str]  # the paper
    needs_text: ClassVar[bool] = False  # whether the graph must have x_user and x_item

    @abstractmethod
    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        """Give a scalar loss of the propagated vectors z [U+I, d], users first."""
