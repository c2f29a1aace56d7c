"""Sparse products, and linear propagation averaged over layers (LightGCN, arXiv 2002.02126)."""

from __future__ import annotations

from typing import Any

import torch
from scipy.sparse import csr_matrix
from torch import Tensor
from torch.autograd.function import once_differentiable

from graph_models.dataset import sparse_csr


def layer_mean(x: Tensor, adjacency: Tensor, layers: int) -> Tensor:
    """Mean of A^k x over k = 0..layers.

    `x`: [N, d]; `adjacency`: sparse CSR [N, N], symmetric (not checked). Returns [N, d].
    """
    mean: Tensor = _LayerMean.apply(x, adjacency, layers)  # type: ignore[no-untyped-call]
    return mean


class _LayerMean(torch.autograd.Function):
    """The operator is a polynomial of a symmetric matrix, so it is its own transpose: backward is forward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, adjacency: Tensor, layers: int) -> Tensor:
        ctx.adjacency, ctx.layers = adjacency, layers
        return _mean(x, adjacency, layers)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _mean(gradient, ctx.adjacency, ctx.layers), None, None


def layer_mean_of(rows: Tensor, x: Tensor, adjacency: Tensor, layers: int) -> Tensor:
    """The rows [n], each once, of `layer_mean`: [n, d].

    The last product forward and the first one backward have only those rows; worth it on a CPU where they are few.
    """
    mean: Tensor = _LayerMeanOf.apply(rows, x, adjacency, layers)  # type: ignore[no-untyped-call]
    return mean


class _LayerMeanOf(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, x: Tensor, adjacency: Tensor, layers: int) -> Tensor:
        ctx.rows, ctx.adjacency, ctx.layers, ctx.nodes = rows, adjacency, layers, len(x)
        last = x.index_select(0, rows)
        if layers:
            ctx.some = _rows_of(adjacency, rows)
            total = _sum(x, adjacency, layers - 1)
            last = torch.addmm(last, sparse_csr(ctx.some), total)
        return last / (layers + 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, None]:
        start = gradient.new_zeros(ctx.nodes, gradient.shape[1]).index_copy_(0, ctx.rows, gradient)
        if not ctx.layers:
            return None, start, None, None
        total = torch.addmm(start, sparse_csr(ctx.some.T.tocsr()), gradient.contiguous())
        return None, _sum(start, ctx.adjacency, ctx.layers - 1, total) / (ctx.layers + 1), None, None


def _rows_of(adjacency: Tensor, rows: Tensor) -> csr_matrix:
    """Some rows of a sparse CSR tensor in main memory: [n, N]."""
    arrays = (adjacency.values(), adjacency.col_indices(), adjacency.crow_indices())
    return csr_matrix(tuple(each.numpy() for each in arrays), shape=tuple(adjacency.shape))[rows.numpy()]


def _sum(x: Tensor, adjacency: Tensor, products: int, total: Tensor | None = None) -> Tensor:
    """Horner's rule: x + A(x + A(x + ...)) needs one product and no stored layer per step."""
    total = x if total is None else total
    for _ in range(products):
        total = torch.addmm(x, adjacency, total)  # [N, d]
    return total


def _mean(x: Tensor, adjacency: Tensor, layers: int) -> Tensor:
    return _sum(x, adjacency, layers) / (layers + 1)


def sparse_product(x: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
    """Matrix [M, N] times x [N, d], both sparse CSR; the transpose is given, as torch makes it anew in every backward.

    A symmetric matrix is its own. Returns [M, d].
    """
    product: Tensor = _Product.apply(x, matrix, transpose)  # type: ignore[no-untyped-call]
    return product


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: Tensor, transpose: Tensor) -> Tensor:
        ctx.transpose = transpose
        return matrix @ x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transpose @ gradient.contiguous(), None, None
