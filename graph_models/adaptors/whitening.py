"""Parametric whitening: a learned shift and a learned linear map of every source (UniSRec, arXiv 2206.05941)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.adaptors.base import Adaptor
from graph_models.options import Size


class Whitening(Adaptor):
    """(x_s - b_s) W_s, averaged over the sources that a row has (UniSRec).

    W starts orthogonal and b at zero: what makes the columns uncorrelated is learned from the ranking loss. A row
    without any source gives zeros.
    """

    source: ClassVar[str] = "Hou et al., KDD 2022, arXiv 2206.05941"

    def __init__(
        self,
        widths: tuple[int, ...],
        *,
        dim: Annotated[Size, Field(description="columns of every source and of the result")] = 128,
    ) -> None:
        super().__init__(widths)
        self.dim = dim
        self.shift = nn.ParameterList(torch.zeros(width) for width in widths)
        self.map = nn.ParameterList(nn.init.orthogonal_(torch.empty(width, dim)) for width in widths)

    def forward(self, x: Tensor, has: Tensor) -> Tensor:
        total = x.new_zeros(len(x), self.dim)
        sources = zip(torch.split(x, list(self.widths), dim=1), has.unbind(dim=1), self.shift, self.map, strict=True)
        for part, own, shift, weight in sources:
            total = total + own[:, None] * (part @ weight - shift @ weight)  # [n, dim], without a copy of part
        return total / has.sum(dim=1, keepdim=True).clamp(min=1)
