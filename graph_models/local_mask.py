"""Which part of a graph a masked autoencoder hides: the surroundings of nodes that resemble them (arXiv 2303.07797)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from graph_models.edge_weights import EdgeWeights
from graph_models.losses import unit_rows
from graph_models.propagation import sparse_product


def local_similarity(x: Tensor, edges: EdgeWeights, less_self: float = 0.0) -> Tensor:
    """Log sigmoid of the cosine of every node and the mean of its walks of one and two steps: [N] of x [N, d].

    Walks back to the node itself do not count. `less_self` takes a node once more out of each sum over neighbours: 1
    for adjacencies that have self loops, which this one has not.
    """
    ones = edges.matrix(x.new_ones(len(edges.column)))
    degree = edges.first.diff().to(x.dtype)[:, None]  # [N, 1]
    near = sparse_product(x, ones, ones) - less_self * x
    far = sparse_product(near, ones, ones) - less_self * near - degree * x
    count = ones @ degree - less_self * degree  # of both kinds of walks: degree + (ones @ degree - ... - degree)
    around = (near + far) / (count + 1e-8)
    return F.logsigmoid((unit_rows(around) * unit_rows(x)).sum(dim=1))


def draw_seeds(similarity: Tensor, seeds: int) -> Tensor:
    """The nodes with the largest log probability plus Gumbel noise: int64 [seeds] of [N], without replacement."""
    noise = -torch.log(-torch.log(torch.rand_like(similarity)))
    return (similarity.detach() + noise).topk(min(seeds, len(similarity))).indices


def surroundings(seeds: Tensor, edges: EdgeWeights, depth: int) -> Tensor:
    """The nodes at most `depth` - 1 steps from a seed: bool [N]; the edges that touch them are hidden."""
    ones = edges.matrix(torch.ones(len(edges.column), device=seeds.device))
    inside = torch.zeros(edges.nodes, 1, device=seeds.device)
    inside[seeds] = 1.0
    for _ in range(depth - 1):
        inside = ((inside + ones @ inside) > 0).to(inside.dtype)
    return inside[:, 0] > 0


def guesses(hidden: Tensor, kept: Tensor, edges: EdgeWeights, share: float) -> EdgeWeights:
    """What the decoder looks at: the edges that are left, self loops, and as many random pairs as there were entries.

    `hidden` [N] nodes and `kept` [E] entries; pairs are drawn among the hidden nodes and a `share` of all nodes drawn
    at random, and stand in both directions. Duplicates are merged.
    """
    nodes, device = edges.nodes, hidden.device
    others = torch.randint(nodes, (int(nodes * share),), device=device)
    pool = torch.unique(torch.cat([hidden.nonzero()[:, 0], others]))
    one, other = (pool[torch.randint(len(pool), (len(edges.column),), device=device)] for _ in range(2))
    loops = torch.arange(nodes, device=device)
    left = edges.row[kept], edges.column[kept].long()
    return pattern(torch.cat([one, other, loops, left[0]]), torch.cat([other, one, loops, left[1]]), nodes)


def with_loops(edges: EdgeWeights) -> EdgeWeights:
    """The same entries and every node's own."""
    loops = torch.arange(edges.nodes, device=edges.row.device)
    return pattern(torch.cat([edges.row, loops]), torch.cat([edges.column.long(), loops]), edges.nodes)


def pattern(row: Tensor, column: Tensor, nodes: int) -> EdgeWeights:
    """The entries (row, column) [E], sorted and each once; symmetric if they are."""
    key = torch.unique(row * nodes + column)
    first = F.pad(torch.bincount(key // nodes, minlength=nodes).cumsum(0), (1, 0))
    return EdgeWeights(first, key % nodes)
