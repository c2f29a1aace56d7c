"""Passes that go on where another has ended: keys and values of tokens are computed once and used for many texts."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from language_models.tuning.batches import Example, Side, Text, padded, positions
from language_models.tuning.model import TunableModel
from language_models.tuning.soft_tokens import with_soft_tokens

Asked = Literal["nothing", "last", "all"]


@dataclass(frozen=True)
class Read:
    """Keys and values of texts that have been read."""

    cache: Any
    mask: Tensor  # [B, C]: 1 at real tokens

    def rows(self, index: Tensor) -> Read:
        """Some of the rows, each as often as it is named; what is there is left as it is."""
        return Read(_copied(self.cache, index), self.mask[index])


def read(
    model: TunableModel,
    texts: Sequence[Text],
    soft: Sequence[Tensor | None],
    after: Read | None = None,
    asked: Asked = "last",
    side: Side = "left",
    keep: bool = True,
) -> tuple[Tensor, Read | None]:
    """Read texts, each after its row of `after`: logits [N, V] at their last tokens or at all, row by row.

    `after` is used up: give `after.rows(...)` of what is needed again.
    """
    batch = padded([Example(text, ()) for text in texts], model.pad, side)
    device = model.device
    mask = batch.mask.to(device)
    before = 0 if after is None else after.mask.sum(1, keepdim=True)
    whole = mask if after is None else torch.cat([after.mask, mask], 1)  # [B, C + T]
    embeds = with_soft_tokens(model.embedding(), batch.ids.to(device), batch.slots, soft)
    cache = None if after is None else after.cache
    at = _places(batch.mask, asked, device)
    logits, kept = model(embeds, whole, positions(mask, before), at, cache, keep)
    return logits, Read(kept, whole) if keep else None


def _places(mask: Tensor, asked: Asked, device: torch.device) -> tuple[Tensor, Tensor]:
    if asked == "all":
        row, column = mask.nonzero(as_tuple=True)
    elif asked == "last":
        row, column = torch.arange(len(mask)), mask.shape[1] - 1 - mask.flip(1).argmax(1)
    else:
        row = column = torch.zeros(0, dtype=torch.long)
    return row.to(device), column.to(device)


def _copied(cache: Any, index: Tensor) -> Any:
    """Rows of a cache. Its layers replace their tensors and never change them, so the copy need not be deep."""
    made = copy.copy(cache)
    made.layers = [copy.copy(layer) for layer in cache.layers]
    made.batch_select_indices(index)
    return made
