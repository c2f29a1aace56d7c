"""SASRec: causal self-attention over a user's items predicts the next one (arXiv 1808.09781)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from graph_models.options import Dropout, Size
from recommenders.sequential.item_network import (
    STD,
    Blocks,
    Components,
    Dim,
    Heads,
    ItemNetwork,
    Items,
    Loss,
    MaxLength,
    Negatives,
    causal,
)
from recommenders.sequential.sequences import Catalogue, Network, Sequential


class SASRecNetwork(ItemNetwork):
    """`layers` blocks of attention and a feed-forward part, residual, with layer norm before each of them.

    Positions count from the end of a history, as with the paper's left padding. Padding is zero after every block.
    """

    def __init__(  # noqa: PLR0913 -- the options of the run file
        self,
        catalogue: Catalogue,
        *,
        dim: Dim = 64,
        layers: Blocks = 2,
        heads: Heads = 2,
        inner: Annotated[Size, Field(description="hidden width of a block's feed-forward part")] = 256,
        dropout: Dropout = 0.5,
        max_length: MaxLength = 50,
        items: Items = "id",
        components: Components = 128,
        loss: Loss = "ce",
        negatives: Negatives = 256,
    ) -> None:
        super().__init__(catalogue, dim, max_length, items, components, loss, negatives)
        self.position = nn.Parameter(torch.randn(max_length, dim) * STD)
        self.blocks = nn.ModuleList(_Block(dim, heads, inner, dropout) for _ in range(layers))
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(dim)

    def encode(self, x: Tensor, real: Tensor, time: Tensor) -> Tensor:
        del time
        kept = real[:, :, None]  # [B, n, 1]
        x = self.dropout(x * self.dim**0.5 + self.position[len(self.position) - x.shape[1] :]) * kept
        mask = causal(real)
        for block in self.blocks:
            x = block(x, mask) * kept
        found: Tensor = self.norm(x)
        return found


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.before, self.between = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.inner, self.outer = nn.Linear(dim, inner), nn.Linear(inner, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.dropout(self._attended(self.before(x), mask))
        y = self.dropout(F.relu(self.inner(self.between(x))))
        found: Tensor = x + self.dropout(self.outer(y))
        return found

    def _attended(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, n, dim = x.shape
        query, key, value = self.qkv(x).view(batch, n, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        rate = self.rate if self.training else 0.0
        y = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)  # [B, h, n, dim / h]
        found: Tensor = self.out(y.transpose(1, 2).reshape(batch, n, dim))
        return found


class SASRec(Sequential):
    """Next items by self-attention; with the softmax over the catalogue the strongest plain baseline there is."""

    name: ClassVar[str] = "sasrec"
    source: ClassVar[str] = "Kang and McAuley, ICDM 2018, arXiv 1808.09781"
    network: ClassVar[type[Network]] = SASRecNetwork
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "dim": (64, 128),
        "dropout": (0.2, 0.3, 0.5),
        "layers": (1, 2),
    }
