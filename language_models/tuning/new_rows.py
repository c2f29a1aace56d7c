"""Trained rows for new tokens in the embedding and the head of a language model whose own rows never change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from schemas.errors import ConfigError

NOISE = 0.1  # of the standard deviation of the old rows


def add_tokens(tokenizer: Any, tokens: Sequence[str]) -> list[int]:
    """Ids of new tokens. Raises ConfigError for one that is there already or is named twice."""
    from tokenizers import AddedToken

    known = tokenizer.get_vocab()
    twice = {token for token in tokens if tokens.count(token) > 1} if len(set(tokens)) < len(tokens) else set()
    if wrong := [token for token in tokens if token in known] or sorted(twice):
        raise ConfigError(f"new token {wrong[0]!r}: the tokenizer has it already; expected tokens that are new")
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in tokens])
    return list(tokenizer.convert_tokens_to_ids(list(tokens)))


class NewRows(nn.Module):
    """The rows of some tokens: what the embedding gives for them, and what the head compares hidden states with.

    Hooks put them in place of the frozen ones, so no copy of a whole table is made and no old row has a gradient. One
    parameter is both where the model ties its head to its embedding. They start as the mean of the old rows with
    noise; the frozen rows of the same tokens, and any between them and the old ones, are the mean itself.
    """

    def __init__(self, lm: Any, ids: Sequence[int], old: int) -> None:
        """`ids`: the tokens, none of the first `old`, which have been there before."""
        super().__init__()
        self.enabled = True
        rows = len(lm.get_input_embeddings().weight)
        if max(ids) >= rows:
            lm.resize_token_embeddings(max(ids) + 1, mean_resizing=False)
        embedding, head = lm.get_input_embeddings(), lm.get_output_embeddings()
        place = torch.full((len(embedding.weight),), -1)
        place[torch.tensor(ids)] = torch.arange(len(ids))
        added = [*range(rows, len(embedding.weight)), *ids]
        self.register_buffer("ids", torch.tensor(ids), persistent=False)  # [N]
        self.register_buffer("place", place, persistent=False)  # [V]: row of a new token, -1 for an old one
        self.input = nn.Parameter(_started(embedding.weight, old, added, len(ids)))  # [N, H]
        tied = head.weight is embedding.weight
        self.output = self.input if tied else nn.Parameter(_started(head.weight, old, added, len(ids)))
        embedding.register_forward_hook(self._embed)
        head.register_forward_hook(self._compare)

    def _embed(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        place = self.get_buffer("place")[inputs[0]]  # [B, T]
        if not self.enabled or not (place >= 0).any():
            return output
        rows = F.embedding(place.clamp(min=0), self.input) * getattr(module, "embed_scale", 1.0)  # [B, T, H]
        return torch.where((place >= 0)[..., None], rows.to(output.dtype), output)

    def _compare(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not self.enabled:
            return output
        ids = self.get_buffer("ids")
        bias = getattr(module, "bias", None)
        logits = F.linear(inputs[0], self.output.to(inputs[0].dtype), None if bias is None else bias[ids])
        return output.index_copy(-1, ids, logits.to(output.dtype))  # [..., V]


@torch.no_grad()
def _started(weight: Tensor, old: int, added: Sequence[int], count: int) -> Tensor:
    """Make the `added` rows the mean of the first `old`; gives `count` rows near it [count, H]."""
    known = weight[:old].float()
    mean = known.mean(0)
    weight[torch.tensor(added)] = mean.to(weight.dtype)
    noise = torch.randn(count, weight.shape[1]).to(weight.device)
    return mean + NOISE * known.std() * noise
