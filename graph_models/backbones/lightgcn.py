"""LightGCN: id embeddings, linear propagation, mean over layers (arXiv 2002.02126)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field
from torch import Tensor

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.dataset import GraphDataset
from graph_models.edge_drop import Drop, EdgeDrop, directed_mean
from graph_models.options import Dim, Layers, Power, Sslrec
from graph_models.propagation import layer_mean, layer_mean_of
from graph_models.sampler import Batch
from schemas.errors import ConfigError


class LightGCN(IdEmbedding):
    """Id embeddings, propagated `layers` times; `score` is the paper's dot or cosine. Zero layers are factorisation.

    `drop`: share of the adjacency's entries that each training step goes without, the rest scaled up, as in the paper's
    code, where it is off. `compat` = sslrec is the code that RLMRec builds on: the sum of the layers, and what is left
    of dropped entries is not scaled. `length_power`: where the score is the cosine, items are ranked with their length
    before normalisation to this power, 0 as in training, 1 the inner product. Propagation gives popular items longer
    vectors, which the cosine forgets (Wu et al., arXiv 2201.02327).
    """

    source: ClassVar[str] = "He et al., SIGIR 2020, arXiv 2002.02126"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"layers": (1, 2, 3)}

    def __init__(
        self,
        graph: GraphDataset,
        *,
        layers: Layers = 3,
        dim: Dim = 64,
        score: Score = "dot",
        init: Init = "normal",
        length_power: Annotated[
            Power, Field(description="items are ranked with their vectors' length to this power; only of cosine")
        ] = 0.0,
        drop: Drop = 0.0,
        compat: Sslrec = "none",
    ) -> None:
        super().__init__(graph, dim, score, init)
        if length_power and not self.cosine:
            raise ConfigError(
                'lightgcn: length_power: only of score = "cosine"; the inner product has the whole length'
            )
        self.length_power = length_power
        self.layers, self.drop, self.rescale = layers, drop, compat == "none"
        self.scale = 1 if compat == "none" else layers + 1  # of the mean
        self.edges = EdgeDrop(graph.adjacency) if drop else None

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return layer_mean(x, graph.adjacency, self.layers) * self.scale

    def ranked(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor]:
        user, unit = super().ranked(user, item)
        length = item.norm(dim=1, keepdim=True)  # [I, 1]
        return user, unit * length**self.length_power if self.length_power else unit

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        if self.edges is None:
            return super().training_pass(x, graph, batch)
        matrix, transpose = self.edges.each_way(self.drop, self.rescale)
        return directed_mean(x, matrix, transpose, self.layers) * self.scale, {}

    def some_rows(self, rows: Tensor, x: Tensor, graph: GraphDataset) -> Tensor | None:
        return None if self.edges else layer_mean_of(rows, x, graph.adjacency, self.layers) * self.scale
