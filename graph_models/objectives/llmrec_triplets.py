"""LLMRec's edges: a user's liked item before his disliked one, as far as the model believes it (arXiv 2311.00423)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from features.table import EdgeTable
from graph_models.dataset import GraphDataset
from graph_models.objectives.base import Objective
from graph_models.objectives.rlmrec_gen import Share
from graph_models.options import Reference, Temperature
from graph_models.sampler import Batch
from schemas.errors import DataError


class LLMRecTriplets(Objective):
    """Mean over kept triplets of w softplus((s_un - s_up) / t): BPR of a liked p and a disliked n that were proposed.

    Each step draws as many users as `rate` of the batch has pairs, at least one, among those who have both, and one
    liked and one disliked item of each; w is the smaller of both weights. The share `prune` of the triplets is left
    out: those with the largest softplus, which the model believes least (drop_hardest, the paper's noise pruning), or
    those with the smallest (keep_hardest, what the published code does). At least one is kept. A disliked item that the
    user has in train is not read.

    `compat` = reference is the published code: keep_hardest whatever `direction` says, and under BPR the batch's own
    triplets, of weight 1, are pruned together with the proposed ones.
    """

    source: ClassVar[str] = "Wei et al., WSDM 2024, arXiv 2311.00423"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"prune": (0.0, 0.3, 0.71)}
    users: Tensor  # int64 [P] who have both

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        edges: Annotated[str, Field(description="recipe whose edges are read")] = "llmrec.edges",
        rate: Annotated[Share, Field(description="triplets of a step, as a share of the batch's pairs")] = 0.1,
        temperature: Temperature = 1.0,
        prune: Annotated[float, Field(ge=0, lt=1, description="share of the triplets that is left out")] = 0.71,
        direction: Annotated[
            Literal["drop_hardest", "keep_hardest"], Field(description="which end is left out")
        ] = "drop_hardest",
        compat: Reference = "none",
    ) -> None:
        super().__init__()
        del dim
        self.edges_from, table = edges, proposed_edges(graph, edges, "llmrec_triplets")
        self.num_users, self.rate, self.temperature, self.prune = graph.num_users, rate, temperature, prune
        self.hardest, self.with_batch = direction == "keep_hardest" or compat == "reference", compat == "reference"
        self.liked = _Choices(table, table.label > 0, graph)
        self.disliked = _Choices(table, (table.label < 0) & ~_in_train(table, graph), graph)
        both = (self.liked.count > 0) & (self.disliked.count > 0)
        self.register_buffer("users", both.nonzero()[:, 0], persistent=False)

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        if not len(self.users):
            return z.sum() * 0.0
        user, positive, negative, weight = self._draw(len(batch.user))
        if self.with_batch and batch.candidates is None:  # one negative a pair
            user, positive = torch.cat([batch.user, user]), torch.cat([batch.positive, positive])
            negative = torch.cat([batch.negative, negative])
            weight = torch.cat([torch.ones_like(batch.user, dtype=weight.dtype), weight])
        items = z[self.num_users :]
        margin = items.index_select(0, negative) - items.index_select(0, positive)  # [T, d]
        loss = F.softplus((z.index_select(0, user) * margin).sum(dim=1) / self.temperature)  # [T]
        kept = self._kept(loss.detach())
        return (weight[kept] * loss[kept]).mean()

    def _draw(self, pairs: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Users, one liked and one disliked item of each, and their weight: [T] each."""
        order = torch.randperm(len(self.users))[: max(1, int(self.rate * pairs))]
        user = self.users[order.to(self.users.device)]
        (positive, high), (negative, low) = self.liked(user), self.disliked(user)
        return user, positive, negative, torch.minimum(high, low)

    def _kept(self, loss: Tensor) -> Tensor:
        count = max(1, int((1 - self.prune) * len(loss)))
        return loss.topk(count, largest=self.hardest).indices


class _Choices(nn.Module):
    """Edges of each user, one user after another, to draw one of them."""

    start: Tensor  # int64 [U]
    count: Tensor  # int64 [U]
    item: Tensor  # int64 [E]
    weight: Tensor  # float32 [E]

    def __init__(self, edges: EdgeTable, chosen: NDArray[np.bool_], graph: GraphDataset) -> None:
        super().__init__()
        user = edges.user[chosen]
        order = np.flatnonzero(chosen)[np.argsort(user, kind="stable")]
        count = np.bincount(user, minlength=graph.num_users)
        arrays = {"start": count.cumsum() - count, "count": count, "item": edges.item[order]}
        for name, array in {**arrays, "weight": edges.weight[order]}.items():
            self.register_buffer(name, torch.from_numpy(array).to(graph.device), persistent=False)

    def forward(self, user: Tensor) -> tuple[Tensor, Tensor]:
        """One item of each user [B], who must have one, and its weight: int64 [B], float32 [B]."""
        shift = torch.rand(len(user)).to(user.device) * self.count[user]
        place = self.start[user] + shift.long()
        return self.item[place], self.weight[place]


def proposed_edges(graph: GraphDataset, name: str, part: str) -> EdgeTable:
    """Find the edges that a recipe proposed. Raises DataError where the graph has none of it."""
    if name not in graph.edges:
        found = ", ".join(sorted(graph.edges)) or "none"
        raise DataError(f"{part}: expected edges of {name}, found {found}; add {name} to features.edges")
    return graph.edges[name]


def _in_train(edges: EdgeTable, graph: GraphDataset) -> NDArray[np.bool_]:
    user, item = graph.seen.nonzero()
    return np.isin(edges.user * graph.num_items + edges.item, user.astype(np.int64) * graph.num_items + item)
