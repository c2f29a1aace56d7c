"""Gate: every source on one dimension, mixed by learned attention over the sources that a row has."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.adaptors.base import Adaptor
from graph_models.experts import AttentionMixture, in_chunks
from graph_models.options import Size


class Gate(Adaptor):
    """Every source on `dim` columns, mixed by learned attention over the sources that a row has.

    sum_s alpha_s v_s of v_s = W_s x_s + b_s, alpha = softmax_s(a' tanh(W v_s + b)). One source is that source on `dim`
    columns; a row without any gives zeros.
    """

    source: ClassVar[str] = "attention over sources, after HAN (Wang et al., WWW 2019, arXiv 1903.07293)"

    def __init__(
        self,
        widths: tuple[int, ...],
        *,
        dim: Annotated[Size, Field(description="columns of every source and of the result")] = 128,
    ) -> None:
        super().__init__(widths)
        self.dim = dim
        self.project = nn.ModuleList(nn.Linear(width, dim) for width in widths)
        self.mixture = AttentionMixture(dim, dim)

    def forward(self, x: Tensor, has: Tensor) -> Tensor:
        return in_chunks(self._mixed, x, has)

    def _mixed(self, x: Tensor, has: Tensor) -> Tensor:
        parts = torch.split(x, list(self.widths), dim=1)
        vectors = [project(part) for project, part in zip(self.project, parts, strict=True)]  # S of [n, dim]
        return self.mixture(has, *vectors)  # type: ignore[no-any-return]
