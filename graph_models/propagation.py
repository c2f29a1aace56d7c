"""Sparse products, and linear propagation averaged over layers (LightGCN, arXiv 2002.02126)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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


def _mean(x: Tensor, adjacency: Tensor, layers: int) -> Tensor:
    """Horner's rule: x + A(x + A(x + ...)) needs one product and no stored layer per step."""
    total = x
    for _ in range(layers):
        total = torch.addmm(x, adjacency, total)  # [N, d]
    return total / (layers + 1)


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
