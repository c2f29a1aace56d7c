"""One code at a time through a T5 decoder: keys and values stay, and a user's beams share those of his history."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from recommenders.generative.code_t5 import CodeT5, Read
from recommenders.generative.code_tokens import PAD


class CodeT5Step:
    """A `Step` of the beam search, on the weights of a model that is in evaluation mode.

    Beams are the queries of one attention over their user's history, whose keys and values are made once; `generate`
    of transformers has a copy of them for each beam.
    """

    def __init__(self, model: CodeT5, read: Read) -> None:
        self.model, self.level, self.blocks = model, 0, list[Any](model.decoder.block)
        self.places = self.blocks[0].layer[0].SelfAttention  # has the bias of places for all blocks
        padding = torch.zeros(read.real.shape, device=read.real.device).masked_fill(~read.real, -torch.inf)
        self.padding = padding[:, None, None]  # [B, 1, 1, n]
        self.history = [_keys_and_values(block.layer[1].EncDecAttention, read.state) for block in self.blocks]
        self.past: list[Tensor] = []  # of each block, keys and values [B, W, t, 2, heads, d]

    def __call__(self, parent: Tensor, code: Tensor) -> Tensor:
        """Logits [B, W, V] of this level after the beams' last codes [B, W]."""
        begins = self.level == 0
        token = torch.full_like(code, PAD) if begins else code + self.model.offset[self.level - 1]
        x = self.model.embedding(token)  # [B, W, dim]
        row = torch.arange(len(parent), device=parent.device)[:, None]
        past = [None if begins else each[row, parent] for each in self.past or self.blocks]
        bias = self.places.compute_bias(1, self.level + 1, past_seen_tokens=self.level)[0, :, 0].T  # [t, heads]
        self.past = []
        for block, before, history in zip(self.blocks, past, self.history, strict=True):
            own, cross, inner = block.layer
            x = x + self._own(own.SelfAttention, own.layer_norm(x), before, bias)
            x = inner(x + self._crossed(cross.EncDecAttention, cross.layer_norm(x), history))
        logits: Tensor = self.model.heads[self.level](self.model.decoder.final_layer_norm(x))
        self.level += 1
        return logits

    def _own(self, layer: Any, x: Tensor, before: Tensor | None, bias: Tensor) -> Tensor:
        """Attention of every beam to its own codes, of which there are few."""
        shape = (*x.shape[:2], layer.n_heads, layer.key_value_proj_dim)
        query, both = layer.q(x).view(shape), torch.stack([layer.k(x).view(shape), layer.v(x).view(shape)], dim=2)
        both = both[:, :, None] if before is None else torch.cat([before, both[:, :, None]], dim=2)
        self.past.append(both)
        key, value = both.unbind(dim=3)  # [B, W, t, heads, d]
        weight = ((query[:, :, None] * key).sum(dim=4) + bias).softmax(dim=2)
        found: Tensor = layer.o((weight[..., None] * value).sum(dim=2).flatten(2))
        return found

    def _crossed(self, layer: Any, x: Tensor, history: tuple[Tensor, Tensor]) -> Tensor:
        """Attention of all beams of a user to his history."""
        query = layer.q(x).unflatten(2, (layer.n_heads, -1)).transpose(1, 2)  # [B, heads, W, d]
        found = F.scaled_dot_product_attention(query, *history, attn_mask=self.padding, scale=1.0)
        out: Tensor = layer.o(found.transpose(1, 2).flatten(2))
        return out


def _keys_and_values(layer: Any, state: Tensor) -> tuple[Tensor, Tensor]:
    """[B, heads, n, d] each."""
    key, value = (each(state).unflatten(2, (layer.n_heads, -1)).transpose(1, 2) for each in (layer.k, layer.v))
    return key, value
