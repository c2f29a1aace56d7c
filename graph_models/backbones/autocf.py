"""AutoCF: a masked graph autoencoder that chooses by itself what to hide and to restore (arXiv 2303.07797)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.contrast import alignment, distinct
from graph_models.dataset import GraphDataset
from graph_models.edge_drop import EdgeDrop, Share
from graph_models.edge_weights import EdgeWeights
from graph_models.local_mask import draw_seeds, guesses, local_similarity, surroundings, with_loops
from graph_models.options import Anchors, Dim, Layers, Size, Sslrec
from graph_models.propagation import sparse_product
from graph_models.sampler import Batch
from schemas.errors import ConfigError

Weight = Annotated[float, Field(ge=0)]

CLAMP = 10.0  # of an attention logit
SEEDS_OF = 100  # a small graph has one seed for so many nodes at most, or nothing of it would be left


class AutoCF(IdEmbedding):
    """An encoder of `layers` products with the graph that is left, then `transformers` layers of attention; all summed.

    Every `every` steps `seeds` nodes are drawn by how alike their surroundings are to them, plus Gumbel noise; edges
    that touch a node less than `depth` steps away are hidden from the encoder, and the decoder attends, with `heads`
    heads, to what is left, to itself and to random pairs among the hidden nodes and a share `keep` of the others.
    Served are the whole graph and, for the decoder, its edges with self loops.

    The losses are `softmax` times the cross-entropy of every pair among all items (which in the paper is the ranking
    loss; the run's own stands beside it), `uniformity` times log sum exp of the batch's nodes with all of their kind,
    and, where seeds are drawn, minus the mean local similarity. `compat` = sslrec is the code that RLMRec builds on:
    the local similarity takes the node itself out of its neighbours, and served nodes do not attend to themselves.
    """

    source: ClassVar[str] = "Xia et al., WWW 2023, arXiv 2303.07797"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "layers": (1, 2, 3),
        "uniformity": (0.5, 1.0, 2.0, 5.0),
        "keep": (0.1, 0.2, 0.5),
    }

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        graph: GraphDataset,
        *,
        layers: Layers = 2,
        transformers: Annotated[Size, Field(description="attention layers of the decoder")] = 1,
        heads: Annotated[Size, Field(description="of the attention; a divisor of dim")] = 4,
        dim: Dim = 64,
        score: Score = "dot",
        init: Init = "xavier",
        seeds: Annotated[Size, Field(description="nodes whose surroundings are hidden; at most one in 100")] = 100,
        depth: Annotated[Size, Field(description="steps that surroundings reach")] = 2,
        keep: Annotated[Share, Field(description="share of the other nodes in the random pairs")] = 0.2,
        every: Annotated[Size, Field(description="steps between two drawings of what is hidden")] = 10,
        softmax: Annotated[Weight, Field(description="weight of the model's own cross-entropy over all items")] = 1.0,
        uniformity: Annotated[Weight, Field(description="weight of pushing nodes of a kind apart")] = 1.0,
        anchors: Anchors = 4096,
        compat: Sslrec = "none",
    ) -> None:
        super().__init__(graph, dim, score, init)
        if dim % heads:
            raise ConfigError(f"autocf: heads: expected a divisor of dim {dim}, found {heads}")
        nodes = graph.num_users + graph.num_items
        self.layers, self.depth, self.keep, self.every = layers, depth, keep, every
        self.seeds = min(seeds, max(1, nodes // SEEDS_OF))
        self.softmax, self.uniformity, self.anchors = softmax, uniformity, anchors
        self.less_self = 1.0 if compat == "sslrec" else 0.0
        self.drop = EdgeDrop(graph.adjacency)
        self.edges = EdgeWeights(graph.adjacency.crow_indices(), graph.adjacency.col_indices())
        self.served = self.edges if compat == "sslrec" else with_loops(self.edges)
        self.decoder = nn.ModuleList(GraphTransformer(dim, heads) for _ in range(transformers))
        self.step, self.drawn = 0, (graph.adjacency, self.served)

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        return self._layers(x, graph.adjacency, self.served)

    def start_epoch(self, graph: GraphDataset) -> None:
        del graph
        self.step = 0

    def training_pass(self, x: Tensor, graph: GraphDataset, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        similarity = self._draw(x) if self.step % self.every == 0 else x.new_zeros(1)
        self.step += 1
        z = self._layers(x, *self.drawn)
        user, item = z[: graph.num_users], z[graph.num_users :]
        ranked = alignment(user.index_select(0, batch.user), item, batch.positive, 1.0)
        spread = self._spread(user, batch.user) + self._spread(item, batch.positive)
        own = {"autocf_softmax": self.softmax * ranked, "uniformity": self.uniformity * spread}
        return z, {**own, "infomax": -similarity.mean()}

    def _draw(self, x: Tensor) -> Tensor:
        """Hide another part of the graph, and give the local similarity [N] that it was chosen by."""
        similarity = local_similarity(x, self.edges, self.less_self)
        hidden = surroundings(draw_seeds(similarity, self.seeds), self.edges, self.depth)
        kept = ~(hidden[self.edges.row] | hidden[self.edges.column])
        self.drawn = self.drop.cut(kept, "degrees"), guesses(hidden, kept, self.edges, self.keep)
        return similarity

    def _layers(self, x: Tensor, matrix: Tensor, decoded: EdgeWeights) -> Tensor:
        total = x
        for _ in range(self.layers):
            x = sparse_product(x, matrix, matrix)
            total = total + x
        for attention in self.decoder:
            x = attention(x, decoded)
            total = total + x
        return total

    def _spread(self, x: Tensor, rows: Tensor) -> Tensor:
        """Mean of log sum_n exp(a . x_n) over the distinct rows a of x [n, d], at most `anchors` of them."""
        rows = distinct(rows, self.anchors)
        anchor = x.index_select(0, rows)
        return alignment(anchor, x, rows, 1.0) + anchor.square().sum(dim=1).mean()


class GraphTransformer(nn.Module):
    """Attention of every node over the entries of its row: softmax(q_i . k_j) v_j in each of `heads` heads."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (
            nn.Parameter(nn.init.xavier_uniform_(torch.empty(dim, dim))) for _ in range(3)
        )

    def forward(self, x: Tensor, edges: EdgeWeights) -> Tensor:
        """[N, d] of x [N, d]; a node without an entry gives zeros."""
        parts = [(x @ weight).chunk(self.heads, dim=1) for weight in (self.query, self.key, self.value)]
        return torch.cat([self._head(edges, *each) for each in zip(*parts, strict=True)], dim=1)

    def _head(self, edges: EdgeWeights, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        attention = edges.products(query, key).clamp(-CLAMP, CLAMP).exp()
        return edges.means(attention, value)
