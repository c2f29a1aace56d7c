"""D3's text-free assistant: how likely a recommender without a language model finds each branch (arXiv 2406.14900)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from evaluation.ranking import entries
from features.corpus import Part
from graph_models.options import Power
from recommenders.generative.trie import Trie
from recommenders.histories import Histories
from recommenders.item_knn import co_occurrence
from recommenders.sequential.sequences import Int64

AssistantName = Literal["popularity", "item_knn"]
Assistant = Annotated[
    Literal["none"] | AssistantName, Field(description="a recommender without text that helps the search (D3)")
]
Alpha = Annotated[Power, Field(description="the model's share of a score; the rest is the assistant's")]
NEIGHBOURS = 50  # of every item
POPULAR = 0.1  # share of popularity in the assistant of neighbours, so that no item is impossible


@dataclass(frozen=True)
class TextFree:
    """Log probability of a node after its parent: the mass of the items below it over that below its parent."""

    trie: Trie
    before: Tensor  # float64 [B, I + 1] mass of the items before each place in the order of the trie

    @classmethod
    def of(cls, trie: Trie, mass: Tensor) -> TextFree:
        """From a mass of every item, none of which is negative: [B, I]."""
        ordered = mass[:, trie.item].double().cumsum(dim=1)
        return cls(trie, torch.cat([torch.zeros_like(ordered[:, :1]), ordered], dim=1))

    def __call__(self, row: Tensor, parent: Tensor, child: Tensor) -> Tensor:
        """Log probability [C] of nodes after their parents, for users `row`."""
        return (self._mass(row, child) / self._mass(row, parent)).log().float()

    def _mass(self, row: Tensor, node: Tensor) -> Tensor:
        return self.before[row, self.trie.last[node]] - self.before[row, self.trie.first[node]]


class ItemMass(nn.Module):
    """Shares of all items by what train has of them: popularity, or what others have who have a user's items."""

    popular: Tensor  # float32 [I] of sum 1
    neighbour: Tensor  # int64 [I, n]
    likeness: Tensor  # float32 [I, n]; 0 where there are fewer neighbours

    def __init__(self, kind: AssistantName, num_items: int) -> None:
        super().__init__()
        self.kind, self.num_items = kind, num_items
        self.register_buffer("popular", torch.full((num_items,), 1 / num_items))
        if kind == "item_knn":
            shape = (num_items, min(NEIGHBOURS, num_items))
            self.register_buffer("neighbour", torch.zeros(shape, dtype=torch.int64))
            self.register_buffer("likeness", torch.zeros(shape))

    def learn(self, histories: Histories) -> None:
        """Count, in the histories of train."""
        count = np.bincount(histories.item, minlength=self.num_items) + 1.0  # nothing is impossible
        self.popular.copy_(torch.from_numpy(count / count.sum()))
        if self.kind == "item_knn":
            kernel = co_occurrence(_part(histories, self.num_items), 0.5, 0.5, 0.5, NEIGHBOURS)
            row = np.repeat(np.arange(self.num_items), np.diff(kernel.indptr))
            place = (row, np.arange(kernel.nnz) - kernel.indptr[row])
            for buffer, values in ((self.neighbour, kernel.indices), (self.likeness, kernel.data)):
                filled = np.zeros(tuple(buffer.shape))
                filled[place] = values
                buffer.copy_(torch.from_numpy(filled))

    def forward(self, history: Tensor, seen: csr_matrix, users: Int64) -> Tensor:
        """Of users [B] with items history [B, n], padded with I: float32 [B, I], and 0 for what `seen` [U, I] has."""
        mass = self.popular.expand(len(users), -1).clone()
        if self.kind == "item_knn":
            near = self._near(history)
            total = near.sum(dim=1, keepdim=True)
            mass = torch.where(total > 0, POPULAR * mass + (1 - POPULAR) * near / total, mass)
        row, item = (torch.from_numpy(each).to(mass.device) for each in entries(seen, users))
        mass[row, item] = 0
        return mass

    def _near(self, history: Tensor) -> Tensor:
        """Sum of likeness to the items of each history: [B, I]."""
        real = history < self.num_items
        item = history.clamp(max=self.num_items - 1)
        weight = self.likeness[item] * real[:, :, None]  # [B, n, neighbours]
        found = self.popular.new_zeros(len(history), self.num_items)
        return found.scatter_add(1, self.neighbour[item].flatten(1), weight.flatten(1))


def _part(histories: Histories, num_items: int) -> Part:
    users = len(histories.indptr) - 1
    edges = np.stack([np.repeat(np.arange(users), histories.length), histories.item])
    return Part(users, num_items, edges, histories.time, np.ones(len(histories.item), dtype=np.float32))
