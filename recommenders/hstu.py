"""HSTU: gated pointwise attention with biases of position and time, without softmax (arXiv 2402.17152)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from graph_models.losses import unit_rows
from graph_models.options import Dropout
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
)
from recommenders.sequential.sequences import Catalogue, Network, Sequential

TIME_BUCKETS = 128
BUCKET_WIDTH = 0.301  # of the natural logarithm of seconds


class HSTUNetwork(ItemNetwork):
    """`layers` blocks; users' and items' vectors have length one, and their product is divided by `temperature`.

    A block: U, V, Q, K = SiLU(norm(X) W); Y = norm(A V) * U with A = SiLU(Q K' + b) / max_length below the diagonal;
    X + W_o Y. b is a learned bias of the distance in places and, with `time_bias`, one of the log of the seconds
    between a key and the item after the query. At the end of a history that time is not known: it is the last one's.
    """

    def __init__(  # noqa: PLR0913 -- the options of the run file
        self,
        catalogue: Catalogue,
        *,
        dim: Dim = 64,
        layers: Blocks = 2,
        heads: Heads = 2,
        dropout: Dropout = 0.5,
        max_length: MaxLength = 50,
        time_bias: Annotated[
            bool,
            Field(description="whether the time between two items counts; false where there is an order and no times"),
        ] = True,
        temperature: Annotated[float, Field(gt=0, description="what cosines are divided by in the loss")] = 0.05,
        items: Items = "id",
        components: Components = 128,
        loss: Loss = "ce",
        negatives: Negatives = 256,
    ) -> None:
        super().__init__(catalogue, dim, max_length, items, components, loss, negatives)
        self.tau = temperature
        self.position = nn.Parameter(torch.randn(max_length, dim) * STD)
        self.blocks = nn.ModuleList(_Block(dim, heads, max_length, dropout, time_bias) for _ in range(layers))
        self.dropout = nn.Dropout(dropout)

    def temperature(self) -> float:
        return self.tau

    def scored(self, vectors: Tensor) -> Tensor:
        return unit_rows(vectors)

    def encode(self, x: Tensor, real: Tensor, time: Tensor) -> Tensor:
        kept = real[:, :, None]
        n = x.shape[1]
        x = self.dropout(x * self.dim**0.5 + self.position[len(self.position) - n :]) * kept
        visible = torch.ones(n, n, dtype=torch.bool, device=x.device).tril() & real[:, None, :]  # [B, n, n]
        bucket = _buckets(time)
        for block in self.blocks:
            x = block(x, visible, bucket) * kept
        return unit_rows(x)


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int, max_length: int, dropout: float, time_bias: bool) -> None:
        super().__init__()
        self.heads, self.length, self.width = heads, max_length, dim // heads
        self.project, self.out = nn.Linear(dim, 4 * dim, bias=False), nn.Linear(dim, dim)
        self.by_place = nn.Parameter(torch.randn(max_length) * STD)
        self.by_time = nn.Parameter(torch.randn(TIME_BUCKETS + 1) * STD) if time_bias else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, visible: Tensor, bucket: Tensor) -> Tensor:
        batch, n, dim = x.shape
        parts = F.silu(self.project(F.layer_norm(x, (dim,)))).view(batch, n, 4, self.heads, self.width)
        gate, value, query, key = parts.permute(2, 0, 3, 1, 4)  # [B, h, n, width] each
        attention = F.silu(query @ key.transpose(2, 3) + self._bias(n, bucket)[:, None]) / self.length
        mixed = (attention * visible[:, None]) @ value  # [B, h, n, width]
        mixed, gate = (each.transpose(1, 2).reshape(batch, n, dim) for each in (mixed, gate))
        found: Tensor = x + self.out(self.dropout(F.layer_norm(mixed, (dim,)) * gate))
        return found

    def _bias(self, n: int, bucket: Tensor) -> Tensor:
        """Of query t and key s: [B or 1, n, n]."""
        place = torch.arange(n, device=bucket.device)
        by_place = self.by_place[(place[:, None] - place).clamp(min=0)][None]
        return by_place if self.by_time is None else by_place + self.by_time[bucket]


def _buckets(time: Tensor) -> Tensor:
    """Bucket of the seconds from item s to the item after t: int64 [B, n, n] of times [B, n + 1]."""
    apart = (time[:, 1:, None] - time[:, None, :-1]).abs().clamp(min=1)
    return (apart.float().log() / BUCKET_WIDTH).long().clamp(max=TIME_BUCKETS)


class HSTU(Sequential):
    """Next items by hierarchical sequential transduction units, the retrieval setting."""

    name: ClassVar[str] = "hstu"
    source: ClassVar[str] = "Zhai et al., ICML 2024, arXiv 2402.17152"
    network: ClassVar[type[Network]] = HSTUNetwork
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "dim": (64, 128),
        "dropout": (0.2, 0.3, 0.5),
        "temperature": (0.05, 0.1),
    }
