"""DIN: a history that is read with the candidate in mind (Zhou et al., KDD 2018, arXiv 1706.06978)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from graph_models.options import Hidden, Own
from recommenders.click.augmented import ExpertSizes
from recommenders.click.tower import HIDDEN, Batch, Inputs, SharedExperts, Tower, Width, deep, linear

UNIT = 36  # hidden units of the activation unit


class DIN(Tower):
    """Attention-pooled history, candidate item, what stands beside them -> 200 -> 80 -> 1.

    The activation unit gives event e with vector h_e (item v_e, rating r_e) and candidate q the weight
    a_e = w . PReLU(W [v_e; r_e; q; q * v_e] + b) with 36 hidden units (their difference, which public code adds, is
    linear in the first two and so in W already), and the history is sum_e a_e h_e: no softmax, so that a user with
    several like events counts for more than one with a single one.
    """

    source: ClassVar[str] = "Zhou et al., KDD 2018, arXiv 1706.06978"

    def __init__(
        self,
        inputs: Inputs,
        dropout: float = 0.0,
        *,
        dim: Width = 32,
        shared: SharedExperts = 2,
        own: Own = 5,
        expert_hidden: Hidden = 128,
    ) -> None:
        super().__init__(inputs, dim, ExpertSizes(shared, own, expert_hidden, dropout))
        self.unit = ActivationUnit(self.embed.item_width, dim)
        self.deep = deep(self.event_width + self.embed.item_width + self.side_width, HIDDEN, dropout)
        self.head = linear(HIDDEN[-1], 1)

    def represent(self, batch: Batch) -> Tensor:
        events, there = self.events(batch)
        item = self.embed.items(batch.item)
        weight = self.unit(events, item) * there  # [B, H]
        history = torch.einsum("bh,bhd->bd", weight, events)
        return self.deep(torch.cat([history, item, *self.sides(batch)], dim=1))  # type: ignore[no-any-return]


class ActivationUnit(nn.Module):
    """How much an event of the history matters for a candidate."""

    def __init__(self, width: int, rating_width: int) -> None:
        super().__init__()
        self.width = width
        self.of_event, self.of_item = linear(width + rating_width, UNIT), linear(width, UNIT)
        self.of_both = linear(width, UNIT)
        self.score = nn.Sequential(nn.PReLU(), linear(UNIT, 1))

    def forward(self, events: Tensor, item: Tensor) -> Tensor:
        """Weights [B, H] of events [B, H, width + rating_width] for items [B, width]."""
        both = self.of_both(events[:, :, : self.width] * item[:, None])
        hidden = self.of_event(events) + self.of_item(item)[:, None] + both  # [B, H, 36]
        return self.score(hidden).squeeze(2)  # type: ignore[no-any-return]
