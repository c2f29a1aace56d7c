"""InfoNCE between rows that belong together: two views of a node, or a node and its text, in bounded memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor
from torch.autograd.function import once_differentiable

from graph_models.losses import unit_rows
from graph_models.sampler import Batch

Negatives = Annotated[
    Literal["in_batch", "all"],
    Field(description="what a node is told apart from: those of the batch, or all nodes of its kind"),
]

KEPT_LOGITS = 2**22  # 16 MiB; more than that is not kept for backward
LOGITS_AT_ONCE = {"cpu": 2**22, "cuda": 2**27}


@dataclass(frozen=True)
class Contrast:
    """Between two views of the batch's users, plus the same of its positive items.

    Each term is the mean over anchors a of -cos(a, a') / t + log sum_c exp(cos(a, c') / t), where a stands in one view,
    a' and the candidates c' in the other. With `in_batch` the candidates are the anchors themselves, with `all` every
    node of their kind. Anchors are the term's distinct nodes, at most `anchors` of them, drawn anew each step.
    """

    temperature: float
    negatives: Negatives
    anchors: int

    def __call__(self, one: Tensor, other: Tensor, batch: Batch, users: int) -> Tensor:
        """Give the sum of both terms of two views [U+I, d] of which the first `users` rows are users."""
        return self.term(one[:users], other[:users], batch.user) + self.term(one[users:], other[users:], batch.positive)

    def term(self, one: Tensor, other: Tensor, rows: Tensor) -> Tensor:
        """Give the term of the rows [B] of two views [n, d] of one kind."""
        anchors = distinct(rows, self.anchors)
        if self.negatives == "all":
            return between(one, other, anchors, self.temperature)
        own = torch.arange(len(anchors), device=anchors.device)
        candidates = unit_rows(other.index_select(0, anchors))
        return alignment(unit_rows(one.index_select(0, anchors)), candidates, own, self.temperature)


def between(one: Tensor, other: Tensor, rows: Tensor, temperature: float) -> Tensor:
    """Mean InfoNCE of the rows [B] of two views [n, d] against every row of the other (RLMRec, arXiv 2310.15950)."""
    return alignment(unit_rows(one.index_select(0, rows)), unit_rows(other), rows, temperature)


def distinct(rows: Tensor, most: int) -> Tensor:
    """The distinct rows, ascending; where there are more, `most` of them in random order: int64 [n]."""
    rows = torch.unique(rows)
    return rows if len(rows) <= most else rows[torch.randperm(len(rows))[:most].to(rows.device)]


def alignment(anchor: Tensor, candidate: Tensor, own: Tensor, temperature: float) -> Tensor:
    """Mean of -a.c_own / t + log sum_c exp(a.c / t) over anchors [B, d] and candidates [C, d].

    `own` [B] is each anchor's candidate. With rows of length one it is InfoNCE of cosines. Large [B, C] logits exist
    for a block of anchors at a time, and leave their gradient behind instead of themselves.
    """
    if len(anchor) * len(candidate) <= KEPT_LOGITS:
        return F.cross_entropy(anchor @ candidate.T / temperature, own, reduction="sum") / len(anchor)
    total: Tensor = _Blocks.apply(anchor, candidate, own, temperature)  # type: ignore[no-untyped-call]
    return total / len(anchor)


class _Blocks(torch.autograd.Function):
    """The gradient of a sum is known as soon as its logits are: one pass, and nothing is computed twice."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, candidate: Tensor, own: Tensor, temperature: float) -> Tensor:
        of_anchor, of_candidate = torch.empty_like(anchor), torch.zeros_like(candidate)
        at_once = LOGITS_AT_ONCE.get(anchor.device.type, LOGITS_AT_ONCE["cuda"])
        total, size = anchor.new_zeros(()), max(1, at_once // len(candidate))
        for rows in (slice(first, first + size) for first in range(0, len(anchor), size)):
            value, gradient = _block(anchor[rows], candidate, own[rows], temperature)
            total += value
            of_anchor[rows] = gradient @ candidate
            of_candidate.addmm_(gradient.T, anchor[rows])
        ctx.save_for_backward(of_anchor, of_candidate)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        of_anchor, of_candidate = ctx.saved_tensors
        return gradient * of_anchor, gradient * of_candidate, None, None


def _block(anchor: Tensor, candidate: Tensor, own: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The sum over a block of anchors, and its gradient by their inner products with the candidates: [b, C]."""
    logs = F.log_softmax((anchor @ candidate.T).div_(temperature), dim=1)
    total = F.nll_loss(logs, own, reduction="sum")
    gradient = logs.exp_()
    gradient[torch.arange(len(own), device=own.device), own] -= 1
    return total, gradient.div_(temperature)
