"""What backbones of node ids share: one embedding per node, how it begins, and how two final vectors are scored."""

from __future__ import annotations

from abc import ABC
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.backbones.base import Backbone
from graph_models.dataset import GraphDataset
from graph_models.spectrum import singular_vectors

STD = 0.1  # of the first embeddings, as in LightGCN's code
NOISE = 0.1  # share of it that stays random when the embeddings start from the spectrum

Score = Annotated[Literal["dot", "cosine"], Field(description="inner product or cosine of two final vectors")]
Init = Annotated[
    Literal["normal", "xavier", "spectral"],
    Field(description="where embeddings start: at random, or from the singular vectors of the train matrix (spectral)"),
]


class IdEmbedding(Backbone, ABC):
    """One learned vector per node; `score` of two final vectors is their inner product or their cosine.

    `init`: `normal` draws N(0, 0.1^2) as LightGCN does; `xavier` uniformly within +-sqrt(6 / (rows + dim)), for the
    users' and the items' table each, as the contrastive models do; `spectral` starts from the leading singular vectors
    of the normalised train matrix at the scale of `normal`, with a little noise, and needs several times fewer steps.
    """

    node_rows: ClassVar[tuple[str, ...]] = ("embedding",)

    def __init__(self, graph: GraphDataset, dim: int, score: Score, init: Init) -> None:
        super().__init__()
        self.dim, self.cosine = dim, score == "cosine"
        self.embedding = nn.Parameter(_start(graph, dim, init))  # [U+I, dim]

    def inputs(self) -> Tensor:
        return self.embedding


def _start(graph: GraphDataset, dim: int, init: Init) -> Tensor:
    if init == "xavier":
        tables = [torch.empty(rows, dim) for rows in (graph.num_users, graph.num_items)]
        return torch.cat([nn.init.xavier_uniform_(table) for table in tables])
    first = torch.randn(graph.num_users + graph.num_items, dim) * STD
    return first * NOISE + spectral(graph, dim) if init == "spectral" else first


def spectral(graph: GraphDataset, dim: int) -> Tensor:
    """Singular vectors times the root of their values, scaled to N(0, 0.1^2)'s spread: [U+I, dim].

    Of D_u^-1/2 R D_i^-1/2. A graph with fewer than `dim` + 1 users or items fills the other columns with zeros.
    """
    rank = min(dim, min(graph.seen.shape) - 1)
    if rank < 1:
        return torch.zeros(sum(graph.seen.shape), dim)
    left, values, right = singular_vectors(graph.seen, rank)
    both = np.concatenate([left, right.T]) * np.sqrt(values)  # [U+I, rank]
    both *= STD / (both.std() + np.finfo(np.float32).tiny)
    return torch.nn.functional.pad(torch.from_numpy(both.astype(np.float32)), (0, dim - rank))
