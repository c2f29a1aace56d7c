"""KAR's augmented vectors: what a language model said of user and item, shrunk by hybrid experts (arXiv 2306.10933)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.table import FeatureSet, FeatureTable
from graph_models.experts import HybridExperts
from schemas.errors import ConfigError


@dataclass(frozen=True)
class ExpertSizes:
    """How many experts both towers share, how many are a tower's own, their hidden width and dropout."""

    shared: int
    own: int
    hidden: int
    dropout: float


class Augmented(nn.Module):
    """Text of a sample's user and item as two vectors of `dim`, learned with the click model.

    A user or item without text gets a zero vector: whatever the experts make of nothing is masked.
    """

    def __init__(self, features: FeatureSet, dim: int, sizes: ExpertSizes) -> None:
        super().__init__()
        user, item = both_texts(features)
        self.width = 2 * dim
        self.experts = HybridExperts(
            item.x.shape[1],
            2,
            n_shared=sizes.shared,
            n_own=sizes.own,
            hidden=sizes.hidden,
            dim=dim,
            dropout=sizes.dropout,
        )
        self.user, self.item = _Texts(user), _Texts(item)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        """Give [B, 2 dim] of user rows [B] and item rows [B]."""
        both = [(self.user, user), (self.item, item)]
        return torch.cat([self._tower(number, *pair) for number, pair in enumerate(both)], dim=1)

    def _tower(self, number: int, texts: _Texts, rows: Tensor) -> Tensor:
        distinct, place = torch.unique(rows, return_inverse=True)  # an item stands in many samples of a batch
        return (self.experts.tower(number, texts.x[distinct]) * texts.present[distinct, None])[place]


class _Texts(nn.Module):
    """A feature table on the model's device; no part of its weights."""

    x: Tensor
    present: Tensor

    def __init__(self, table: FeatureTable) -> None:
        super().__init__()
        self.register_buffer("x", torch.from_numpy(_unit(table.x)), persistent=False)
        self.register_buffer("present", torch.from_numpy(table.present), persistent=False)


def both_texts(features: FeatureSet) -> tuple[FeatureTable, FeatureTable]:
    """The user's and the item's text. Raises ConfigError where one is missing or the two differ in width."""
    if features.item is None or features.user is None:
        raise ConfigError("features: a click model reads text of items and users; name `item`, or leave features out")
    if features.user.x.shape[1] != features.item.x.shape[1]:
        raise ConfigError(
            f"features: the experts that users and items share need vectors of one width, found"
            f" {features.user.x.shape[1]} of users and {features.item.x.shape[1]} of items; name as many texts for"
            " both, or fuse them by their mean"
        )
    return features.user, features.item


def _unit(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of mean squared entry 1: what Xavier's initialisation expects."""
    size = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(size > 0, size, 1) * np.sqrt(x.shape[1]), dtype=np.float32)
