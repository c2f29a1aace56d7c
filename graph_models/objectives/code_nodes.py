"""Semantic ids as extra graph nodes: items that share a prefix of codes reach each other through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from graph_models.dataset import GraphDataset
from graph_models.experts import AttentionMixture, in_chunks
from graph_models.factor_graph import Peers, Weight, factor_graph, hop
from graph_models.objectives.base import Fusion
from graph_models.options import Size
from schemas.errors import DataError


class CodeNodes(Fusion):
    """Messages through nodes that stand for prefixes of item codes, added to the final vectors.

    There is one node for each prefix of 1, 2, ... `levels` codes that two items or more share; it is linked to those
    items. As in AutoGraph, z* = z + sum_P alpha_P m_P over the paths that a node has: an item's are z itself and its
    peers (item - prefix - item), a user's z and his train items' peers. An item that nobody has in train so stands
    where its peers are. `weight` idf makes rare prefixes, which say more, count for more. Nothing is learned of the
    nodes themselves; alpha is. `report`: how many nodes there are, and the share of items that have one.
    """

    source: ClassVar[str] = "codes: Rajput et al., NeurIPS 2023, arXiv 2305.05065; paths: Shan et al., arXiv 2412.18241"
    needs_codes: ClassVar[bool] = True
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"levels": (1, 2, 3), "weight": ("idf", "uniform")}

    has_user: Tensor  # bool [U, 2] whether a user has z and peers to mix
    has_item: Tensor  # bool [I, 2]

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        levels: Annotated[Size, Field(description="longest prefix of codes that has a node")] = 2,
        weight: Weight = "idf",
    ) -> None:
        super().__init__()
        if graph.codes is None:
            raise DataError("code_nodes: expected codes of items (features.semantic_ids), found none")
        self.num_users = graph.num_users
        nobody = np.full((graph.num_users, 1), -1, dtype=np.int64)
        data = factor_graph(graph, nobody, graph.codes.prefixes(levels), weight)
        self.peers = Peers(data, "item")
        self.hop = hop(data, "user", self.peers.reached)
        self.mixture = AttentionMixture(dim, dim)
        for name, reached in (("has_user", self.hop.reached), ("has_item", self.peers.reached)):
            self.register_buffer(name, torch.stack([reached, reached], dim=1), persistent=False)
        nodes = int(data["item_factor"].num_nodes)
        self.report: dict[str, float] = {"nodes": nodes, "linked": float(self.peers.reached.float().mean())}

    def outputs(self, z: Tensor) -> Tensor:
        user, item = z[: self.num_users], z[self.num_users :]
        peers = self.peers(item)
        more_user = in_chunks(self.mixture, self.has_user, user, self.hop(peers))
        return z + torch.cat([more_user, in_chunks(self.mixture, self.has_item, item, peers)])
