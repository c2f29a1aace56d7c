"""Mixture of experts: one tower of hybrid experts for every source (KAR, arXiv 2306.10933; LIBER, arXiv 2411.14713)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from graph_models.adaptors.base import Adaptor
from graph_models.experts import HybridExperts, in_chunks
from graph_models.options import Dropout, Hidden, Own, Shared, Size
from schemas.errors import DataError


class MixtureOfExperts(Adaptor):
    """Every source through experts that all share and experts of its own, side by side: dim = S `out`.

    A source that a row lacks gives zeros. The shared experts need sources of one width.
    """

    source: ClassVar[str] = "Xi et al., RecSys 2024, arXiv 2306.10933; Zhu et al., arXiv 2411.14713"

    def __init__(
        self,
        widths: tuple[int, ...],
        *,
        shared: Shared = 2,
        own: Own = 5,
        hidden: Hidden = 128,
        out: Annotated[Size, Field(description="columns that each source ends as")] = 32,
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__(widths)
        if len(set(widths)) > 1:
            raise DataError(f"moe: expected sources of one dimension, found {', '.join(map(str, widths))}; use gate")
        self.dim = len(widths) * out
        self.experts = HybridExperts(
            widths[0], len(widths), n_shared=shared, n_own=own, hidden=hidden, dim=out, dropout=dropout
        )

    def forward(self, x: Tensor, has: Tensor) -> Tensor:
        return in_chunks(self._towers, x, has)

    def _towers(self, x: Tensor, has: Tensor) -> Tensor:
        vectors = self.experts(torch.split(x, list(self.widths), dim=1))
        return torch.cat([vector * own[:, None] for vector, own in zip(vectors, has.unbind(dim=1), strict=True)], dim=1)
