"""Users, items and the latent factors that quantised text gives them, as one heterogeneous graph (AutoGraph)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix, diags
from torch import Tensor, nn

from graph_models.dataset import GraphDataset, sparse_csr
from graph_models.propagation import sparse_product
from schemas.records import Kind

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

Weight = Annotated[
    Literal["idf", "uniform"], Field(description="what a factor counts: idf gives those that few share more")
]


def factor_graph(
    graph: GraphDataset, user: NDArray[np.integer], item: NDArray[np.integer], weight: Weight = "idf"
) -> HeteroData:
    """Link users and items to their factors (Shan et al., KDD 2025, arXiv 2412.18241, stage 1).

    `user`: codes [U, L], `item`: codes [I, L], -1 where a row has none. Node types user, item, user_factor and
    item_factor, of which each (level, code) is one; edge types (user, interacts, item), (user, has, user_factor) and
    (item, has, item_factor) with `edge_weight` float32: 1, or with idf log(rows with codes / rows with this one). A
    factor that links nobody is left out: one with fewer than two members, and with idf one that every row has.
    """
    from torch_geometric.data import HeteroData  # seconds that only this objective waits for

    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = graph.num_users, graph.num_items
    seen = graph.seen.tocoo()
    data["user", "interacts", "item"].edge_index = _edge_index(seen.row, seen.col)
    _add_factors(data, "user", user, weight)
    _add_factors(data, "item", item, weight)
    return data


def _add_factors(data: HeteroData, kind: Kind, codes: NDArray[np.integer], weight: Weight) -> None:
    rows = np.flatnonzero((codes >= 0).all(axis=1))
    stride = int(codes.max(initial=0)) + 1
    flat = codes[rows].astype(np.int64) + stride * np.arange(codes.shape[1])  # [P, L]
    factor, place, members = np.unique(flat, return_inverse=True, return_counts=True)
    strength = np.log(len(rows) / members) if weight == "idf" else np.ones(len(members))
    kept = (members >= 2) & (strength > 0)
    linked = kept[place]  # [P, L]
    member, target = np.broadcast_to(rows[:, None], flat.shape)[linked], place[linked]
    nodes = data[f"{kind}_factor"]
    nodes.num_nodes = int(kept.sum())
    nodes.level, nodes.code = (torch.from_numpy(part[kept]) for part in np.divmod(factor, stride))
    edges = data[kind, "has", f"{kind}_factor"]
    edges.edge_index = _edge_index(member, (np.cumsum(kept) - 1)[target])
    edges.edge_weight = torch.from_numpy(strength[target].astype(np.float32))


class Mean(nn.Module):
    """Weighted mean over a node's neighbours, as a sparse matrix whose rows sum to one, or are empty."""

    matrix: Tensor  # sparse CSR float32 [n, m]
    transpose: Tensor  # sparse CSR float32 [m, n]
    reached: Tensor  # bool [n] nodes with a neighbour

    def __init__(self, weight: csr_matrix) -> None:
        super().__init__()
        total = np.asarray(weight.sum(axis=1)).ravel()
        scale = np.divide(1.0, total, out=np.zeros(len(total)), where=total > 0)
        mean = csr_matrix(diags(scale) @ weight)
        self.register_buffer("matrix", sparse_csr(mean), persistent=False)
        self.register_buffer("transpose", sparse_csr(csr_matrix(mean.T)), persistent=False)
        self.register_buffer("reached", torch.from_numpy(total > 0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Give [n, d] of x [m, d]; zero where a node has no neighbour."""
        return sparse_product(x, self.matrix, self.transpose)


class Peers(nn.Module):
    """Metapath x - factor - x: a factor is the mean of its members, a node the weighted mean of its factors."""

    def __init__(self, data: HeteroData, kind: Kind) -> None:
        super().__init__()
        edges = data[kind, "has", f"{kind}_factor"]
        member, factor = edges.edge_index.numpy()
        shape = (data[kind].num_nodes, data[f"{kind}_factor"].num_nodes)
        weighted = csr_matrix((edges.edge_weight.numpy(), (member, factor)), shape=shape)
        self.from_factors = Mean(weighted)
        self.to_factors = Mean(csr_matrix((weighted > 0).T, dtype=np.float32))

    @property
    def reached(self) -> Tensor:
        """Which nodes have a factor: bool [n]."""
        return self.from_factors.reached

    def forward(self, x: Tensor) -> Tensor:
        """Give [n, d] of x [n, d]; zero where a node has no factor."""
        return self.from_factors(self.to_factors(x))  # type: ignore[no-any-return]


def hop(data: HeteroData, to: Kind, reached: Tensor) -> Mean:
    """Mean over a node's train neighbours of the other kind that `reached` [m] names."""
    user, item = data["user", "interacts", "item"].edge_index.numpy()
    row, column = (user, item) if to == "user" else (item, user)
    used = reached.numpy()[column]
    shape = (data[to].num_nodes, len(reached))
    return Mean(csr_matrix((np.ones(used.sum(), dtype=np.float32), (row[used], column[used])), shape=shape))


def _edge_index(row: NDArray[Any], column: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.stack([row, column]).astype(np.int64))
