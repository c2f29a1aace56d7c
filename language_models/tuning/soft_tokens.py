"""Vectors of other models in the place of tokens: LLaRA (2312.02445), CoLLM (2310.19488), A-LLMRec (2404.11343)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from schemas.errors import DataError

Activation = Literal["gelu", "relu", "leaky_relu"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
ROWS = 4096  # of an embedding that are looked at together


def with_soft_tokens(
    embedding: nn.Module, ids: Tensor, slots: Sequence[Sequence[int]], vectors: Sequence[Tensor | None]
) -> Tensor:
    """Embeddings [B, T, H] of `ids` [B, T], those at the `slots` (columns) of a row replaced by its `vectors` [n, H].

    A row whose vectors are None keeps its placeholders. Gradients reach the vectors. Raises DataError where a row has
    another number of vectors than of slots.
    """
    embeds: Tensor = embedding(ids)
    rows, columns, given = list[int](), list[int](), list[Tensor]()
    for row, (places, own) in enumerate(zip(slots, vectors, strict=True)):
        if own is None:
            continue
        if own.shape != (len(places), embeds.shape[-1]):
            expected = f"expected ({len(places)}, {embeds.shape[-1]}), a vector for each placeholder"
            raise DataError(f"soft tokens of prompt {row}: {expected}, found {tuple(own.shape)}")
        rows += [row] * len(places)
        columns += places
        given.append(own)
    if not rows:
        return embeds
    at = (torch.tensor(rows, device=ids.device), torch.tensor(columns, device=ids.device))
    return embeds.index_put(at, torch.cat(given).to(embeds.device, embeds.dtype))


class Projector(nn.Module):
    """Vectors of `dim` columns as soft tokens of `width`, and a learned one for what has no vector.

    `linear`: one layer. `mlp`: Linear(dim, hidden), activation, Linear(hidden, width): LLaRA with hidden = width and
    GELU (what None and the default are), CoLLM with hidden = 10 dim and ReLU, A-LLMRec with `norm`, a LayerNorm before
    the activation. With `rms` every soft token has that root mean square (`token_rms`), so that none drowns the text.
    """

    def __init__(
        self,
        dim: int,
        width: int,
        kind: Literal["linear", "mlp"] = "mlp",
        hidden: int | None = None,
        activation: Activation = "gelu",
        norm: bool = False,
        rms: float | None = None,
    ) -> None:
        super().__init__()
        hidden = hidden or width
        between = [nn.LayerNorm(hidden)] if norm else []
        mlp = [nn.Linear(dim, hidden), *between, ACTIVATIONS[activation](), nn.Linear(hidden, width)]
        self.layers = nn.Sequential(*([nn.Linear(dim, width)] if kind == "linear" else mlp))
        self.unknown = nn.Parameter(torch.randn(width) * (rms or 0.02))
        self.rms = rms

    def forward(self, table: Tensor, index: Tensor) -> Tensor:
        """Soft tokens [N, width] of the rows `index` [N] of `table` [M, dim]; -1 is unknown."""
        known = index >= 0
        tokens = self.unknown.expand(len(index), -1).index_put(
            (known,), self.layers(table[index[known]]).to(self.unknown.dtype)
        )
        if self.rms is None:
            return tokens
        own = tokens.float().square().mean(-1, keepdim=True).add(1e-12).rsqrt()
        return tokens * own * self.rms


@torch.no_grad()
def token_rms(embedding: nn.Module) -> float:
    """Root mean square of a model's token embeddings, as the model reads them."""
    weight, total = embedding.get_parameter("weight"), 0.0
    for begin in range(0, len(weight), ROWS):
        ids = torch.arange(begin, min(begin + ROWS, len(weight)), device=weight.device)
        total += float(embedding(ids).float().square().sum())
    return float((total / weight.numel()) ** 0.5)
