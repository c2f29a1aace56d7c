"""Copies of a graph that lack a random share of its edges, for models that drop edges in training."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from graph_models.propagation import sparse_product

Share = Annotated[float, Field(ge=0, lt=1)]
Drop = Annotated[Share, Field(description="share of the edges that a training step goes without")]


class EdgeDrop(nn.Module):
    """Cuts copies out of one adjacency: sparse CSR [N, N] of users, then items, symmetric, sorted, no self loops.

    Nothing is kept in a checkpoint, and everything moves to a device with the model. What is random comes from torch's
    generator on that device.
    """

    first: Tensor  # [N+1] where each row's entries begin
    column: Tensor  # [E] of every entry
    value: Tensor  # float32 [E]
    twin: Tensor  # int64 [E]: the place of entry (j, i) for every entry (i, j)

    def __init__(self, adjacency: Tensor) -> None:
        super().__init__()
        column = adjacency.col_indices()
        # in the order of (column, row) stand the same pairs as in that of (row, column), each turned round
        twin = torch.sort(column, stable=True).indices
        parts = {"first": adjacency.crow_indices(), "column": column, "value": adjacency.values(), "twin": twin}
        for name, tensor in parts.items():
            self.register_buffer(name, tensor, persistent=False)

    def both_ways(self, drop: float, values: Literal["degrees", "same"] = "degrees") -> Tensor:
        """A copy [N, N] without a share of the edges, each gone in both directions, so it stays symmetric.

        `values`: `degrees` normalises by the degrees that are left, D^-1/2 A D^-1/2; `same` leaves every value as it
        was.
        """
        half = len(self.column) // 2  # the users' rows have every edge once
        kept = torch.rand(half, device=self.value.device) >= drop
        return self.cut(torch.cat([kept, kept[self.twin[half:]]]), values)

    def each_way(self, drop: float, rescale: bool) -> tuple[Tensor, Tensor]:
        """A copy [N, N] in which every direction of an edge is gone or not on its own, and its transpose.

        `rescale` divides what is left by 1 - drop, so that the expectation of a sum stays.
        """
        kept = torch.rand(len(self.column), device=self.value.device) >= drop
        scale = 1 / (1 - drop) if rescale else 1.0
        return self.cut(kept, scale=scale), self.cut(kept[self.twin], scale=scale)

    def cut(self, kept: Tensor, values: Literal["degrees", "same"] = "same", scale: float = 1.0) -> Tensor:
        """The entries that `kept` [E] names, as sparse CSR [N, N] with the same type of indices."""
        first = F.pad(kept.cumsum(0), (1, 0))[self.first.long()].to(self.first.dtype)  # [N+1]
        column = self.column[kept]
        value = _by_degree(first, column) if values == "degrees" else self.value[kept] * scale
        nodes = len(self.first) - 1
        return torch.sparse_csr_tensor(first, column, value, (nodes, nodes), check_invariants=False)


def _by_degree(first: Tensor, column: Tensor) -> Tensor:
    degree = first.diff()
    scale = degree.clamp(min=1).float().rsqrt()  # [N]; rows without an entry are not asked for theirs
    return torch.repeat_interleave(scale, degree.long(), output_size=len(column)) * scale[column]


def directed_mean(x: Tensor, matrix: Tensor, transpose: Tensor, layers: int) -> Tensor:
    """Mean of M^k x over k = 0..layers, as `layer_mean` but for a matrix that is not symmetric: [N, d]."""
    total = x
    for _ in range(layers):
        total = x + sparse_product(total, matrix, transpose)
    return total / (layers + 1)
