"""The network of RQ-VAE and its loss terms (TIGER, arXiv 2305.05065, section 3.1; RQ-VAE: Lee et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from features.tokenizers.ties import sinkhorn


class Quantised(NamedTuple):
    """What L codebooks make of z [B, d]."""

    codes: Tensor  # [B, L]
    residuals: Tensor  # [L, B, d] what each level quantised
    chosen: Tensor  # [L, B, d] its codes' vectors
    z: Tensor  # [B, d] their sum; its gradient goes to z as if nothing had been quantised


class ResidualVae(nn.Module):
    """Encoder D -> hidden -> d, L codebooks [L, K, d] on residuals, decoder d -> hidden -> D; ReLU between layers."""

    def __init__(self, width: int, hidden: Sequence[int], dim: int, levels: int, size: int) -> None:
        super().__init__()
        self.encoder = perceptron((width, *hidden, dim))
        self.decoder = perceptron((dim, *reversed(hidden), width))
        self.books = nn.Parameter(torch.zeros(levels, size, dim))

    def quantise(self, z: Tensor, epsilon: float = 0.0) -> Quantised:
        """Quantise z [B, d]; with `epsilon` the last level's codes are those of Sinkhorn's balanced assignment.

        A level hands on its residual without its gradient, so each codebook is moved by its own level alone.
        """
        residual, codes, residuals, chosen = z, list[Tensor](), list[Tensor](), list[Tensor]()
        for level, book in enumerate(self.books):
            balanced = epsilon if level == len(self.books) - 1 else 0.0
            code = assign(residual.detach(), book.detach(), balanced)
            residuals.append(residual)
            codes.append(code)
            chosen.append(book[code])
            residual = residual - book[code].detach()
        total = torch.stack(chosen).sum(dim=0)
        return Quantised(
            torch.stack(codes, dim=1), torch.stack(residuals), torch.stack(chosen), z + (total - z).detach()
        )


def perceptron(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers of these widths, ReLU between them; Xavier-normal weights, zero biases."""
    layers: list[nn.Module] = []
    for given, made in pairwise(widths):
        linear = nn.Linear(given, made)
        nn.init.xavier_normal_(linear.weight)
        nn.init.zeros_(linear.bias)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def assign(residual: Tensor, book: Tensor, epsilon: float) -> Tensor:
    """The nearest code of each row [B] of residuals [B, d] in a book [K, d], or a balanced one where epsilon > 0."""
    if epsilon <= 0:
        return (book.square().sum(dim=1) / 2 - residual @ book.T).argmin(dim=1)
    distance = torch.cdist(residual, book).square()
    return torch.from_numpy(sinkhorn(distance.numpy(), epsilon).argmax(axis=1))


def quantisation_losses(found: Quantised, commitment: float) -> Tensor:
    """|sg(r_(l-1)) - e_l|^2 + commitment |r_(l-1) - sg(e_l)|^2, means over rows and dimensions: [L]."""
    book = functional.mse_loss(found.chosen, found.residuals.detach(), reduction="none")
    stay = functional.mse_loss(found.residuals, found.chosen.detach(), reduction="none")
    return (book + commitment * stay).mean(dim=(1, 2))
