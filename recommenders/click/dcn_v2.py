"""DCN-v2: explicit feature crosses beside deep layers (Wang et al., WWW 2021, arXiv 2008.13535)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.options import Hidden, Own, Size
from recommenders.click.augmented import ExpertSizes
from recommenders.click.tower import HIDDEN, Batch, Inputs, SharedExperts, Tower, Width, deep, linear


class DCNv2(Tower):
    """x_0 = [mean of the history; item; what stands beside them]; crosses and deep layers side by side, one head.

    x_{l+1} = x_0 * (W_l x_l + b_l) + x_l with full matrices W_l; deep layers 200 -> 80 with ReLU.
    """

    source: ClassVar[str] = "Wang et al., WWW 2021, arXiv 2008.13535"

    def __init__(
        self,
        inputs: Inputs,
        dropout: float = 0.0,
        *,
        dim: Width = 32,
        crosses: Annotated[Size, Field(description="layers of feature crosses")] = 3,
        shared: SharedExperts = 2,
        own: Own = 5,
        expert_hidden: Hidden = 128,
    ) -> None:
        super().__init__(inputs, dim, ExpertSizes(shared, own, expert_hidden, dropout))
        width = self.event_width + self.embed.item_width + self.side_width
        self.crosses = nn.ModuleList(linear(width, width) for _ in range(crosses))
        self.deep = deep(width, HIDDEN, dropout)
        self.head = linear(width + HIDDEN[-1], 1)

    def represent(self, batch: Batch) -> Tensor:
        events, there = self.events(batch)
        mean = (events * there[:, :, None]).sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)
        start = torch.cat([mean, self.embed.items(batch.item), *self.sides(batch)], dim=1)  # [B, width]
        crossed = start
        for cross in self.crosses:
            crossed = start * cross(crossed) + crossed
        return torch.cat([crossed, self.deep(start)], dim=1)
