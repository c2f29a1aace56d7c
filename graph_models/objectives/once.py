"""ONCE: items that a language model generated for a user's interests are positives of their own (arXiv 2305.06566)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from evaluation.ranking import entries
from graph_models.dataset import GraphDataset
from graph_models.objectives.base import Objective
from graph_models.objectives.llmrec_triplets import proposed_edges
from graph_models.options import Size, Temperature
from graph_models.sampler import Batch


class Once(Objective):
    """Mean over drawn edges (u, p) of -w log(exp(s_up / t) / (exp(s_up / t) + sum_n exp(s_un / t))), w the edge's.

    Each step draws up to `size` liked edges, whatever the batch holds, so that users without train interactions are
    reached. n runs over the distinct negatives of the batch, at most `negatives` of them, but for what the user has in
    train and what was generated for him. In the paper the generated texts are news that join a user's history; here
    they are the items of the catalogue that they were matched with.
    """

    source: ClassVar[str] = "Liu et al., WSDM 2024, arXiv 2305.06566"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"temperature": (0.1, 0.2, 0.5)}
    user: Tensor  # int64 [E] of the liked edges
    item: Tensor  # int64 [E]
    weight: Tensor  # float32 [E]
    known: Tensor  # int64 [K] ascending user * I + item: train or generated

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        edges: Annotated[str, Field(description="recipe whose edges are read")] = "once.generate",
        size: Annotated[Size, Field(description="edges drawn in a step at most")] = 256,
        negatives: Annotated[Size, Field(description="of the batch's negatives, at most")] = 256,
        temperature: Temperature = 0.2,
    ) -> None:
        super().__init__()
        del dim
        self.edges_from, table = edges, proposed_edges(graph, edges, "once")
        self.num_users, self.num_items = graph.num_users, graph.num_items
        self.size, self.negatives, self.temperature = size, negatives, temperature
        liked = table.label > 0
        user, item = table.user[liked], table.item[liked]
        arrays = {"user": user, "item": item, "weight": table.weight[liked], "known": _known(graph, user, item)}
        for name, array in arrays.items():
            self.register_buffer(name, torch.from_numpy(array).to(graph.device), persistent=False)

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        edge = _some(torch.arange(len(self.user), device=z.device), self.size)
        if not len(edge):
            return z.sum() * 0.0
        user, other = self.user[edge], _some(torch.unique(batch.negative), self.negatives)
        anchor, items = z.index_select(0, user), z[self.num_users :]  # [B, d]
        positive = (anchor * items.index_select(0, self.item[edge])).sum(dim=1)
        negative = anchor @ items.index_select(0, other).T  # [B, S]
        negative = negative.masked_fill(self._is_known(user[:, None] * self.num_items + other), -torch.inf)
        logits = torch.cat([positive[:, None], negative], dim=1) / self.temperature  # as softmax.softmax_loss
        loss = F.cross_entropy(logits, torch.zeros_like(edge), reduction="none")
        return (self.weight[edge] * loss).mean()

    def _is_known(self, key: Tensor) -> Tensor:
        place = torch.searchsorted(self.known, key).clamp(max=len(self.known) - 1)
        return self.known[place] == key


def _known(graph: GraphDataset, user: NDArray[np.int64], item: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keys of what the users of generated edges have in train, and of the edges themselves: int64 [K] ascending."""
    users = np.unique(user)
    row, train = entries(graph.seen, users)
    return np.union1d(users[row] * graph.num_items + train, user * graph.num_items + item)


def _some(rows: Tensor, most: int) -> Tensor:
    """All rows, or `most` of them drawn at random."""
    return rows if len(rows) <= most else rows[torch.randperm(len(rows))[:most].to(rows.device)]
