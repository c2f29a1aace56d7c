"""Texts as vectors of a language model: the mean of its last hidden states over their own tokens (BIGRec, ReLLa)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from language_models.tuning.batches import Example, Text, by_length, padded, require_room
from language_models.tuning.likelihood import BATCH_TOKENS
from language_models.tuning.model import TunableModel
from schemas.errors import DataError


def mean_hidden(model: TunableModel, texts: Sequence[str], batch_tokens: int = BATCH_TOKENS) -> Tensor:
    """Vectors [N, H], float32: the token that begins a text is read and not counted. No gradients, no dropout.

    Raises DataError, naming its place, for a text without a token or longer than the context.
    """
    own = [model.encode(text) for text in texts]
    read = [model.prompt(text) for text in texts]
    for place, ids in enumerate(own):
        if not ids:
            raise DataError(f"text {place}: expected at least one token, found none")
        require_room(len(read[place]), model.context, f"text {place}")
    found: list[Tensor] = [torch.empty(0)] * len(texts)
    with model.evaluating():
        for places in by_length(list(map(len, read)), batch_tokens):
            states = _states(model, [read[place] for place in places])  # [B, T, H], padded on the right
            for row, place in enumerate(places):
                end = len(read[place])
                found[place] = states[row, end - len(own[place]) : end].mean(0)
    return torch.stack(found)


def _states(model: TunableModel, read: Sequence[Sequence[int]]) -> Tensor:
    batch = padded([Example(Text(tuple(ids)), ()) for ids in read], model.pad)
    return model.last_hidden(batch)
