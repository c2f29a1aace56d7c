"""Ranking losses and the regulariser, each a function of scores or embeddings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def bpr(positive: Tensor, negative: Tensor) -> Tensor:
    """Bayesian personalised ranking (arXiv 1205.2618): mean softplus(negative - positive) of two [B] score vectors."""
    return F.softplus(negative - positive).mean()


def batch_l2(*embeddings: Tensor) -> Tensor:
    """Half the squared length of the batch's layer-0 embeddings per pair (LightGCN, arXiv 2002.02126).

    The first tensor is [B, d], the users of the B pairs; the others are the items.
    """
    total = torch.stack([each.square().sum() for each in embeddings]).sum()
    return total / (2 * len(embeddings[0]))


def unit_rows(x: Tensor) -> Tensor:
    """Rows of length one: [n, d]. A zero row stays zero, with a finite gradient (RLMRec's epsilon)."""
    return x / (1e-8 + x.square().sum(dim=-1, keepdim=True)).sqrt()
