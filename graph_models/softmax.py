"""The softmax of a batch's positives over shared candidates, in blocks of users: logits are never kept for backward."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from graph_models.sampler import Candidates

LOGITS_AT_ONCE = {"cpu": 2**22, "cuda": 2**27}  # 16 MiB stay in a processor's cache; a GPU wants few large products


def softmax_loss(
    positive: Tensor, user: Tensor, item: Tensor, candidates: Candidates, temperature: float, dtype: torch.dtype
) -> Tensor:
    """Mean over pairs of -w log(exp(p / t) / (exp(p / t) + sum_s exp(n_s / t + offset_s))).

    `positive`: [B] scores p of the pairs; `user` [V, d] and `item` [S, d], whose inner products are n. With the
    catalogue as candidates this is the softmax of every positive against all items that its user does not have; with
    uniform ones, InfoNCE (AlphaRec, arXiv 2407.05441). A shift of the candidates is added to p / t. The products are
    done in `dtype`, sums in float32. The gradient is worked out on the way forward, a block of users at a time, so that
    no logits are kept.
    """
    value: Tensor = _Softmax.apply(positive, user, item, candidates, temperature, dtype)  # type: ignore[no-untyped-call]
    return value


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        positive: Tensor,
        user: Tensor,
        item: Tensor,
        candidates: Candidates,
        temperature: float,
        dtype: torch.dtype,
    ) -> Tensor:
        scaled, by = positive.float() / temperature, user / temperature
        if candidates.shift is not None:
            scaled += candidates.shift
        left, right = by.to(dtype), item.to(dtype)
        total, weight = scaled.new_zeros(()), candidates.weight
        share = torch.empty_like(scaled)  # [B] of the gradient: 1 - the probability of the positive, weighted
        of_user, of_item = torch.empty_like(by), torch.zeros_like(item, dtype=torch.float32)
        for rows, pairs, masked in _blocks(candidates, len(user), len(item), user.device.type):
            logits = (left[rows] @ right.T).float()  # [R, S]
            if candidates.offset is not None:
                logits += candidates.offset
            logits[masked[0] - rows.start, masked[1]] = -torch.inf
            largest = logits.amax(dim=1, keepdim=True).clamp_(min=torch.finfo(logits.dtype).min)
            weights = logits.sub_(largest).exp_()  # [R, S]
            sums = weights.sum(dim=1)
            row = candidates.row[pairs] - rows.start
            gap = (largest[:, 0] + sums.log())[row] - scaled[pairs]
            loss, share[pairs] = F.softplus(gap), torch.sigmoid(gap)
            if weight is not None:
                loss, share[pairs] = loss * weight[pairs], share[pairs] * weight[pairs]
            total += loss.sum()
            pulled = torch.zeros_like(sums).index_add_(0, row, share[pairs])
            scale = (pulled / sums.clamp(min=torch.finfo(sums.dtype).tiny))[:, None]
            weights = weights.to(dtype)
            of_user[rows] = (weights @ right).float() * scale
            of_item += (weights.T @ (by[rows] * scale).to(dtype)).float()
        factor = 1 / max(len(positive), 1)
        ctx.save_for_backward(share * (-factor / temperature), of_user * (factor / temperature), of_item * factor)
        return total * factor

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        positive, user, item = (each * gradient for each in ctx.saved_tensors)
        return positive, user, item, None, None, None


def _blocks(candidates: Candidates, users: int, items: int, device: str) -> list[tuple[slice, slice, Tensor]]:
    """Slices of users and of their pairs, and their masked places [2, m]."""
    size = max(1, LOGITS_AT_ONCE.get(device, LOGITS_AT_ONCE["cuda"]) // max(items, 1))
    starts = [*range(0, users, size), users]
    bounds = torch.tensor(starts, device=candidates.row.device)
    pairs, masked = (
        torch.searchsorted(rows.contiguous(), bounds).tolist() for rows in (candidates.row, candidates.masked[0])
    )
    return [
        (
            slice(starts[n], starts[n + 1]),
            slice(pairs[n], pairs[n + 1]),
            candidates.masked[:, masked[n] : masked[n + 1]],
        )
        for n in range(len(starts) - 1)
    ]
