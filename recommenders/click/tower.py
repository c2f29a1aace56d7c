"""What all click models share: a batch of samples in, one hidden vector and one logit per sample out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from features.table import FeatureSet
from graph_models.options import Count, Size
from recommenders.click.augmented import Augmented, ExpertSizes
from recommenders.click.fields import Embeddings, Fields
from recommenders.click.samples import NOTHING, Samples

HIDDEN = (200, 80)  # of the deep layers (KAR's code)
Width = Annotated[Size, Field(description="columns of an embedding, and of each text vector after the experts")]
SharedExperts = Annotated[Count, Field(description="experts that users and items share")]


@dataclass(frozen=True)
class Batch:
    """Samples on a device; any tower reads the same one."""

    user: Tensor  # [B] rows
    item: Tensor  # [B] rows
    history: Tensor  # [B, H] item rows, -1 where there is none
    rating: Tensor  # [B, H]
    label: Tensor  # [B] float32

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: Tensor) -> Batch:
        """Some of the samples."""
        return Batch(self.user[rows], self.item[rows], self.history[rows], self.rating[rows], self.label[rows])


@dataclass(frozen=True)
class Inputs:
    """What a click model is built for: ids and attributes, rating ids, texts (none for a model without them)."""

    fields: Fields
    ratings: int
    features: FeatureSet


class Tower(nn.Module, ABC):
    """A click model: `represent` gives a hidden vector per sample, a linear head its logit.

    A second tower that reads the same samples in another form, such as FLIP's text encoder (arXiv 2310.19453), is
    aligned with `represent(batch)`. The options of a run file are the keyword-only parameters of the constructor.
    """

    source: ClassVar[str]  # the paper
    head: nn.Linear

    def __init__(self, inputs: Inputs, dim: int, sizes: ExpertSizes) -> None:
        super().__init__()
        self.embed = Embeddings(inputs.fields, inputs.ratings, dim)
        reads_text = inputs.features.item is not None
        self.augmented = Augmented(inputs.features, dim, sizes) if reads_text else None
        self.side_width = self.embed.user_width + (self.augmented.width if self.augmented else 0)
        self.event_width = self.embed.item_width + dim

    @abstractmethod
    def represent(self, batch: Batch) -> Tensor:
        """Give the last hidden vector of every sample: [B, head.in_features]."""

    def forward(self, batch: Batch) -> Tensor:
        """Give click logits [B]."""
        return self.head(self.represent(batch)).squeeze(1)  # type: ignore[no-any-return]

    def events(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Vectors of the history, item beside rating [B, H, event_width], and where there is an event [B, H]."""
        there = batch.history != NOTHING
        items = self.embed.items(batch.history.clamp(min=0))
        return torch.cat([items, self.embed.rating(batch.rating)], dim=2), there

    def sides(self, batch: Batch) -> list[Tensor]:
        """What stands beside history and item: the user's attributes and the augmented vectors, as far as there are."""
        parts = [self.embed.users(batch.user)]
        return parts if self.augmented is None else [*parts, self.augmented(batch.user, batch.item)]


def on_device(samples: Samples, device: torch.device) -> Batch:
    """Put samples on a device."""
    return Batch(*(torch.from_numpy(array).to(device) for array in vars(samples).values()))


def deep(width: int, sizes: Sequence[int], dropout: float) -> nn.Sequential:
    """Linear, ReLU, Dropout for every size, Xavier-normal."""
    layers: list[nn.Module] = []
    for inner, outer in zip((width, *sizes), sizes, strict=False):
        layers += [linear(inner, outer), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def linear(inner: int, outer: int) -> nn.Linear:
    """A linear layer, Xavier-normal with a zero bias."""
    layer = nn.Linear(inner, outer)
    nn.init.xavier_normal_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
