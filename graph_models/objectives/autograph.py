"""AutoGraph: quantised text as latent factor nodes, and messages along metapaths through them (arXiv 2412.18241)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from features.quantiser import LARGEST, fit_residual_kmeans, usage
from graph_models.dataset import GraphDataset
from graph_models.experts import AttentionMixture, in_chunks
from graph_models.factor_graph import Peers, Weight, factor_graph, hop
from graph_models.objectives.base import Fusion
from graph_models.options import Seed, Size
from schemas.errors import DataError
from schemas.records import Kind

ROWS_PER_FACTOR = 10  # at least, on average: a small graph gets fewer codes than `size`


class AutoGraph(Fusion):
    """Messages along metapaths through factors that users or items share, added to the final vectors.

    z* = z + sum_P alpha_P m_P, alpha = softmax_P(a' tanh(W m_P + b)) over the paths P that a node has. A user's paths:
    z itself (the backbone's collaborative vector), his semantic peers (user - factor - user), and his train items'
    peers (user - item - factor - item); an item's likewise. Factors are the (level, code) pairs of residual k-means of
    the text, of users and items apart; they have no parameters. Text is quantised as it is, once, when the model is
    built: an adaptor has no say in it. A row without text has no peers, and a node with neither path keeps z.

    `codes` random hands the rows' codes round among the rows with text: factors of the same sizes, without meaning.
    `report` says how healthy the codes are: `user.used`, `item.collisions` and the other fields of CodeReport.
    """

    source: ClassVar[str] = "Shan et al., KDD 2025, arXiv 2412.18241"
    needs_text: ClassVar[bool] = True
    gives_vectors: ClassVar[bool] = True

    has_user: Tensor  # bool [U, 3] which of the three paths a user has
    has_item: Tensor  # bool [I, 3]

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        levels: Annotated[Size, Field(description="levels of residual k-means")] = 3,
        size: Annotated[int, Field(gt=0, le=LARGEST, description="codes of a level at most")] = 300,
        seed: Seed = 0,
        weight: Weight = "idf",
        codes: Annotated[
            Literal["text", "random"], Field(description="random hands the codes round: the control")
        ] = "text",
    ) -> None:
        super().__init__()
        self.num_users = graph.num_users
        user, of_users = _codes(graph, "user", levels, size, seed)
        item, of_items = _codes(graph, "item", levels, size, seed)
        self.report: dict[str, float | list[float]] = {**of_users, **of_items}
        if codes == "random":
            user, item = _handed_round(user, seed), _handed_round(item, seed + 1)
        data = factor_graph(graph, user, item, weight)
        self.user_peers, self.item_peers = Peers(data, "user"), Peers(data, "item")
        self.user_hop = hop(data, "user", self.item_peers.reached)
        self.item_hop = hop(data, "item", self.user_peers.reached)
        self.user_mixture, self.item_mixture = AttentionMixture(dim, dim), AttentionMixture(dim, dim)
        self.register_buffer("has_user", _has(self.user_peers.reached, self.user_hop.reached), persistent=False)
        self.register_buffer("has_item", _has(self.item_peers.reached, self.item_hop.reached), persistent=False)

    def outputs(self, z: Tensor) -> Tensor:
        user, item = z[: self.num_users], z[self.num_users :]
        users, items = self.user_peers(user), self.item_peers(item)
        more_user = in_chunks(self.user_mixture, self.has_user, user, users, self.user_hop(items))
        more_item = in_chunks(self.item_mixture, self.has_item, item, items, self.item_hop(users))
        return z + torch.cat([more_user, more_item])


def _codes(
    graph: GraphDataset, kind: Kind, levels: int, size: int, seed: int
) -> tuple[NDArray[np.int16], dict[str, float | list[float]]]:
    """Codes int16 [N, levels], -1 in rows without text, and their health."""
    x, present = (graph.x_user, graph.present_user) if kind == "user" else (graph.x_item, graph.present_item)
    if x is None or present is None:
        raise DataError("autograph: expected text vectors, found none; give the model [models.features]")
    has = present.cpu().numpy()
    codes = np.full((len(has), levels), -1, dtype=np.int16)
    if not has.any():
        return codes, {}
    text = x.cpu().numpy() if has.all() else x.cpu().numpy()[has]  # no copy of a table without gaps
    books = fit_residual_kmeans(text, levels, min(size, max(1, len(text) // ROWS_PER_FACTOR)), seed)
    codes[has] = books.encode(text)
    found: dict[str, Any] = asdict(usage(codes[has], books.sizes, books.errors(text, codes[has])))
    return codes, {f"{kind}.{name}": list(each) if isinstance(each, tuple) else each for name, each in found.items()}


def _handed_round(codes: NDArray[np.int16], seed: int) -> NDArray[np.int16]:
    """The same tuples [N, L] on other rows among those that have one."""
    rows = np.flatnonzero(codes[:, 0] >= 0)
    drawn = codes.copy()
    drawn[rows] = codes[np.random.default_rng(seed).permutation(rows)]
    return drawn


def _has(peers: Tensor, other: Tensor) -> Tensor:
    return torch.stack([peers | other, peers, other], dim=1)  # a node with z alone keeps it as it is
