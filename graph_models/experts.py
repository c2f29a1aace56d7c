"""Learned mixtures of vectors: hybrid experts (KAR, arXiv 2306.10933) and attention over what a row has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

ROWS_AT_ONCE = 8_192


class Experts(nn.Module):
    """`count` perceptrons side by side: Linear(D, hidden), ReLU, Dropout, Linear(hidden, dim), ReLU, Dropout each."""

    def __init__(self, width: int, count: int, hidden: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.count, self.hidden = count, hidden
        self.first = nn.Linear(width, count * hidden)
        self.second = nn.Parameter(torch.empty(count, hidden, dim))
        self.bias = nn.Parameter(torch.zeros(count, dim))
        self.dropout = nn.Dropout(dropout)
        for weight in (*self.first.weight.chunk(count), *self.second):
            nn.init.xavier_normal_(weight.data)
        nn.init.zeros_(self.first.bias)

    def forward(self, x: Tensor) -> Tensor:
        """What each expert makes of x [n, D]: [n, count, dim]."""
        hidden = self.dropout(self.first(x).relu()).view(len(x), self.count, self.hidden)
        opinions = torch.einsum("neh,ehd->ned", hidden, self.second) + self.bias
        return self.dropout(opinions.relu())  # type: ignore[no-any-return]


class HybridExperts(nn.Module):
    """T towers of text vectors through experts that all towers share and experts of their own (KAR).

    z_t = sum_k g_tk S_k(x_t) + sum_k g_t,n_shared+k O_tk(x_t) with g_t = softmax(W_t x_t + b_t).
    """

    def __init__(
        self,
        width: int,
        towers: int,
        *,
        n_shared: int = 2,
        n_own: int = 5,
        hidden: int = 128,
        dim: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.shared = Experts(width, n_shared, hidden, dim, dropout)
        self.own = nn.ModuleList(Experts(width, n_own, hidden, dim, dropout) for _ in range(towers))
        self.gate = nn.ModuleList(_gate(width, n_shared + n_own) for _ in range(towers))

    def forward(self, vectors: Sequence[Tensor]) -> list[Tensor]:
        """Give T vectors [n_t, dim] of T vectors [n_t, D]."""
        return [self.tower(number, x) for number, x in enumerate(vectors)]

    def tower(self, number: int, x: Tensor) -> Tensor:
        """Give [n, dim] of one tower's x [n, D]."""
        opinions = torch.cat([self.shared(x), self.own[number](x)], dim=1)  # [n, E, dim]
        gate = self.gate[number](x).softmax(dim=1)  # [n, E]
        return torch.einsum("ne,ned->nd", gate, opinions)


class AttentionMixture(nn.Module):
    """sum_s alpha_s v_s, alpha = softmax_s(a' tanh(W v_s + b)) over the vectors that a row has (arXiv 1903.07293)."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))

    def forward(self, has: Tensor, *vectors: Tensor) -> Tensor:
        """Mix S vectors [n, dim], of which a row has those that has [n, S] says; a row with none gives zeros."""
        score = torch.cat([self.score(vector) for vector in vectors], dim=1)  # [n, S]
        share = score.masked_fill(~has, torch.finfo(score.dtype).min).softmax(dim=1) * has  # no -inf: NaN without any
        mixed = torch.zeros_like(vectors[0])
        for number, vector in enumerate(vectors):
            mixed = torch.addcmul(mixed, share[:, number, None], vector)
        return mixed


def in_chunks(function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """`function` of tensors with the same n rows, which must treat each row alone: [n, d].

    More than 8,192 rows go through it in blocks that are computed again in backward, so that what it makes on the way
    exists for one block at a time.
    """
    if len(rows[0]) <= ROWS_AT_ONCE:
        return function(*rows)
    blocks = zip(*(torch.split(each, ROWS_AT_ONCE) for each in rows), strict=True)
    return torch.cat([checkpoint(function, *block, use_reentrant=False) for block in blocks])


def _gate(width: int, experts: int) -> nn.Linear:
    layer = nn.Linear(width, experts)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
