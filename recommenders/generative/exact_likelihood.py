"""The log probability of every item's tuple of codes, by teacher forcing: what a search must find."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Forced = Callable[[Tensor], Sequence[Tensor]]  # codes [N, L] -> logits of each level [B, N, V_l]


@torch.no_grad()
def log_likelihood(forced: Forced, codes: Tensor, at_once: int) -> Tensor:
    """Log p of tuples codes [I, L] (int64, ending where -1 begins) for the users of `forced`: float32 [B, I].

    `at_once` tuples are read at a time.
    """
    return torch.cat([_of(forced(some), some) for some in torch.split(codes, at_once)], dim=1)


def _of(logits: Sequence[Tensor], codes: Tensor) -> Tensor:
    found = logits[0].new_zeros(logits[0].shape[:2], dtype=torch.float32)
    for level, each in enumerate(logits):
        code = codes[:, level]
        given = each.float().log_softmax(dim=2).gather(2, code.clamp(min=0).expand(len(each), -1)[..., None])[..., 0]
        found += given.masked_fill(code < 0, 0)
    return found
