"""Weights that are learned on the edges of a graph: products along edges, and sums over neighbours, both sparse."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class EdgeWeights(nn.Module):
    """The entries of a symmetric pattern [N, N] in the order of sparse CSR; self loops are allowed.

    Neither direction keeps a vector per edge: the gradient of a product along edges is a sum over neighbours, and the
    gradient of such a sum by its weights is a product along edges. Nothing is kept in a checkpoint.
    """

    first: Tensor  # [N+1] where each row's entries begin
    row: Tensor  # int64 [E]
    column: Tensor  # [E]
    twin: Tensor  # int64 [E]: the place of entry (j, i) for every entry (i, j)

    def __init__(self, first: Tensor, column: Tensor) -> None:
        """`first` [N+1] and `column` [E] as sparse CSR has them, columns sorted within a row."""
        super().__init__()
        row = torch.repeat_interleave(torch.arange(len(first) - 1, device=first.device), first.diff().long())
        # in the order of (column, row) stand the same pairs as in that of (row, column), each turned round
        twin = torch.sort(column, stable=True).indices
        for name, tensor in {"first": first, "row": row, "column": column, "twin": twin}.items():
            self.register_buffer(name, tensor, persistent=False)

    @property
    def nodes(self) -> int:
        return len(self.first) - 1

    def products(self, x: Tensor, y: Tensor) -> Tensor:
        """x_i . y_j of every entry (i, j): [E] of x [N, d] and y [N, d]."""
        found: Tensor = _Products.apply(x, y, self)  # type: ignore[no-untyped-call]
        return found

    def sums(self, weight: Tensor, x: Tensor) -> Tensor:
        """The weighted sum over neighbours, sum_j w_ij x_j: [N, d] of weights [E] and x [N, d]."""
        found: Tensor = _Sums.apply(weight, x, self)  # type: ignore[no-untyped-call]
        return found

    def means(self, weight: Tensor, x: Tensor) -> Tensor:
        """The weighted mean over neighbours [N, d] of weights [E] >= 0; zero where they sum to nothing."""
        both = self.sums(weight, F.pad(x, (0, 1), value=1.0))  # the last column is the sum of the weights
        return both[:, :-1] / both[:, -1:].clamp(min=1e-12)

    def matrix(self, weight: Tensor) -> Tensor:
        """The weights [E] as sparse CSR [N, N]."""
        shape = (self.nodes, self.nodes)
        return torch.sparse_csr_tensor(self.first, self.column, weight, shape, check_invariants=False)

    def dots(self, x: Tensor, y: Tensor) -> Tensor:
        """As `products`, without a gradient."""
        empty = self.matrix(x.new_zeros(len(self.column)))
        found: Tensor = torch.sparse.sampled_addmm(empty, x, y.T, beta=0.0)
        return found.values()


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, edges: EdgeWeights) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(x, y)
        return edges.dots(x, y)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, y = ctx.saved_tensors
        edges = ctx.edges
        return edges.matrix(gradient) @ y, edges.matrix(gradient[edges.twin]) @ x, None


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, edges: EdgeWeights) -> Tensor:
        ctx.edges = edges
        ctx.save_for_backward(weight, x)
        return edges.matrix(weight) @ x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, x = ctx.saved_tensors
        edges, gradient = ctx.edges, gradient.contiguous()
        return edges.dots(gradient, x), edges.matrix(weight[edges.twin]) @ gradient, None
