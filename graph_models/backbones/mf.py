"""Matrix factorisation: one vector per user and item, and nothing else (arXiv 1205.2618)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.dataset import GraphDataset
from graph_models.options import Dim


class MatrixFactorisation(IdEmbedding):
    """Id embeddings as they are: with the loss `bpr` it is BPR-MF. What propagation adds is measured against it."""

    source: ClassVar[str] = "Koren et al., Computer 42(8), 2009; Rendle et al., UAI 2009, arXiv 1205.2618"

    def __init__(self, graph: GraphDataset, *, dim: Dim = 64, score: Score = "dot", init: Init = "normal") -> None:
        super().__init__(graph, dim, score, init)

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        del graph
        return x.clone()  # a view of a parameter would want a gradient wherever it is served
