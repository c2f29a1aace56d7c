"""SGL: LightGCN whose vectors must agree between two graphs with other edges dropped (arXiv 2010.10783)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.contrast import Contrast, Negatives, between
from graph_models.dataset import GraphDataset
from graph_models.edge_drop import EdgeDrop, Share, directed_mean
from graph_models.options import Anchors, ContrastWeight, Dim, Layers, Sslrec, Temperature
from graph_models.propagation import layer_mean
from graph_models.sampler import Batch


class SGL(IdEmbedding):
    """LightGCN on the whole graph, plus `weight` times the contrast of two views of it (the paper's SGL-ED).

    A view lacks a share `drop` of the edges and is normalised by the degrees that are left. `views`: drawn once per
    epoch, as in the paper, or anew in each step. `negatives`: a batch's node against all nodes of its kind, as in the
    paper, or against those of the batch (graph_models/contrast.py). `compat` = sslrec is the code that RLMRec builds
    on: views of each step that drop either direction of an edge on its own and are not normalised again, the sum of the
    layers, repeated nodes kept, everything against all, and a term of the sampled negative items; it is meant for BPR.
    """

    source: ClassVar[str] = "Wu et al., SIGIR 2021, arXiv 2010.10783"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "layers": (1, 2, 3),
        "weight": (0.02, 0.1, 0.5),
        "temperature": (0.1, 0.2, 0.5),
        "drop": (0.1, 0.3),
    }

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        graph: GraphDataset,
        *,
        layers: Layers = 3,
        dim: Dim = 64,
        score: Score = "dot",
        init: Init = "xavier",
        weight: ContrastWeight = 0.1,
        temperature: Temperature = 0.2,
        drop: Annotated[Share, Field(description="share of the edges that a view lacks")] = 0.1,
        views: Annotated[Literal["epoch", "step"], Field(description="how often the views are drawn")] = "epoch",
        negatives: Negatives = "all",
        anchors: Anchors = 4096,
        compat: Sslrec = "none",
    ) -> None:
        super().__init__(graph, dim, score, init)
        self.layers, self.weight, self.drop = layers, weight, drop
        self.each_epoch, self.sslrec = views == "epoch", compat == "sslrec"
        self.contrast = Contrast(temperature, negatives, anchors)
        self.scale = layers + 1 if self.sslrec else 1  # of the mean
        self.edges = EdgeDrop(graph.adjacency)
        self.drawn: list[Tensor] = []  # the views of this epoch

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_mean(x, graph.adjacency, self.layers) * self.scale

    def start_epoch(self, graph: GraphDataset) -> None:
        del graph
        self.drawn = []

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        views = self._directed(x) if self.sslrec else self._symmetric(x)
        loss = self._loss(views[0], views[1], batch, graph.num_users)
        return self.propagate(x, graph), {"contrast": self.weight * loss}

    def _symmetric(self, x: Tensor) -> list[Tensor]:
        if not (self.drawn and self.each_epoch):
            self.drawn = [self.edges.both_ways(self.drop) for _ in range(2)]
        return [layer_mean(x, view, self.layers) for view in self.drawn]

    def _directed(self, x: Tensor) -> list[Tensor]:
        views = [self.edges.each_way(self.drop, rescale=False) for _ in range(2)]
        return [directed_mean(x, *view, self.layers) for view in views]

    def _loss(self, one: Tensor, other: Tensor, batch: Batch, users: int) -> Tensor:
        if not self.sslrec:
            return self.contrast(one, other, batch, users)
        items, t = (one[users:], other[users:]), self.contrast.temperature
        return (
            between(one[:users], other[:users], batch.user, t)
            + between(*items, batch.positive, t)
            + between(*items, batch.negative, t)
        )
