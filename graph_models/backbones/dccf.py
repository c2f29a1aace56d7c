"""DCCF: a graph network, latent intents and two learned graphs, which must agree in every layer (arXiv 2305.02759)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.contrast import Contrast, Negatives
from graph_models.dataset import GraphDataset
from graph_models.edge_weights import EdgeWeights
from graph_models.losses import unit_rows
from graph_models.options import Anchors, ContrastWeight, Dim, Layers, Size, Sslrec, Temperature
from graph_models.propagation import sparse_product
from graph_models.sampler import Batch

Views = tuple[Tensor, Tensor, Tensor, Tensor]


class DCCF(IdEmbedding):
    """Layers e' = e + gnn + int + gaa + iaa, and final vectors that are the sum of all e.

    gnn = A e; int = softmax(e P) P' with `intents` learned columns P [d, intents] for users and for items; gaa and iaa
    are A_w e, where an edge of the learned graph A_w weighs (cos + 1) / 2 of its ends in gnn and in int, and rows sum
    to one. The loss is `weight` times the contrast of gnn with each of the others, in every layer, on the batch's users
    and positive items, plus `intent_l2` times the squared length of P. `negatives`: a batch's node against those of the
    batch, as in the paper, or against all. `compat` = sslrec is the code that RLMRec builds on: it divides the sums
    over items by the number of users.
    """

    source: ClassVar[str] = "Ren et al., SIGIR 2023, arXiv 2305.02759"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "layers": (1, 2, 3),
        "weight": (0.001, 0.01, 0.1),
        "temperature": (0.1, 0.2, 0.5),
        "intents": (32, 128),
    }

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        graph: GraphDataset,
        *,
        layers: Layers = 2,
        dim: Dim = 64,
        score: Score = "dot",
        init: Init = "xavier",
        intents: Annotated[Size, Field(description="latent intents of users, and as many of items")] = 128,
        weight: ContrastWeight = 1e-3,
        temperature: Temperature = 0.1,
        intent_l2: Annotated[float, Field(ge=0, description="weight of the intents' squared length")] = 0.0,
        negatives: Negatives = "in_batch",
        anchors: Anchors = 4096,
        compat: Sslrec = "none",
    ) -> None:
        super().__init__(graph, dim, score, init)
        self.layers, self.weight, self.intent_l2 = layers, weight, intent_l2
        self.contrast, self.by_users = Contrast(temperature, negatives, anchors), compat == "sslrec"
        self.edges = EdgeWeights(graph.adjacency.crow_indices(), graph.adjacency.col_indices())
        self.user_intent, self.item_intent = (
            nn.Parameter(nn.init.xavier_uniform_(torch.empty(dim, intents))) for _ in range(2)
        )

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return self._layers(x, graph)[0]

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z, layers = self._layers(x, graph)
        terms = [self._agreement(views, batch, graph.num_users) for views in layers]
        own = {"contrast": self.weight * torch.stack([z.new_zeros(()), *terms]).sum()}
        if self.intent_l2:
            own["intent_l2"] = self.intent_l2 * (self.user_intent.square().sum() + self.item_intent.square().sum())
        return z, own

    def _layers(self, x: Tensor, graph: GraphDataset) -> tuple[Tensor, list[Views]]:
        """Final vectors [U+I, d], and the four views of every layer."""
        total, layers = x, list[Views]()
        for _ in range(self.layers):
            network, intent = sparse_product(x, graph.adjacency, graph.adjacency), self._intents(x, graph.num_users)
            views = (network, intent, self._learned(network, x), self._learned(intent, x))
            x = torch.stack([x, *views]).sum(dim=0)
            total = total + x
            layers.append(views)
        return total, layers

    def _intents(self, x: Tensor, users: int) -> Tensor:
        """Every node as a mixture of its kind's intents: [U+I, d]."""
        both = ((x[:users], self.user_intent), (x[users:], self.item_intent))
        return torch.cat([torch.softmax(rows @ intent, dim=1) @ intent.T for rows, intent in both])

    def _learned(self, near: Tensor, x: Tensor) -> Tensor:
        """Average x [N, d] over neighbours, weighed by how alike the ends of an edge are in `near` [N, d]."""
        unit = unit_rows(near)
        return self.edges.means((self.edges.products(unit, unit) + 1) / 2, x)

    def _agreement(self, views: Views, batch: Batch, users: int) -> Tensor:
        network, *others = views
        user = [self.contrast.term(network[:users], other[:users], batch.user) for other in others]
        item = [self.contrast.term(network[users:], other[users:], batch.positive) for other in others]
        share = len(torch.unique(batch.positive)) / len(torch.unique(batch.user)) if self.by_users else 1.0
        return torch.stack(user).sum() + share * torch.stack(item).sum()
