"""LR-GCCF: linear propagation with self loops, all layers side by side (arXiv 2001.10167)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import bmat, csr_matrix, diags, identity
from torch import Tensor

from graph_models.backbones.ids import IdEmbedding, Init, Score
from graph_models.dataset import GraphDataset, sparse_csr
from graph_models.options import Layers, Size
from graph_models.propagation import sparse_product


class GCCF(IdEmbedding):
    """Layers E, S E, .., S^K E next to each other, S = (D+I)^-1/2 (A+I) (D+I)^-1/2: the score is the sum of theirs.

    `dim` is the width of one layer; final vectors have (layers + 1) dim columns. So have the vectors they start from,
    of which only the first `dim` are used and the rest is zero: objectives that work at both ends see one width. As in
    the authors' code, and in RLMRec's, the paper's linear maps W_k between layers are left out.
    """

    source: ClassVar[str] = "Chen et al., AAAI 2020, arXiv 2001.10167"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"layers": (1, 2, 3)}
    looped: Tensor  # sparse CSR float32 [N, N], symmetric

    def __init__(
        self,
        graph: GraphDataset,
        *,
        layers: Layers = 3,
        dim: Annotated[
            Size, Field(description="columns of one layer; a final vector has layers + 1 times as many")
        ] = 64,
        score: Score = "dot",
        init: Init = "normal",
    ) -> None:
        super().__init__(graph, dim, score, init)
        self.layers, self.width, self.dim = layers, dim, dim * (layers + 1)
        self.register_buffer("looped", _looped(graph.seen), persistent=False)

    def inputs(self) -> Tensor:
        return torch.nn.functional.pad(self.embedding, (0, self.dim - self.width))

    def propagate(self, x: Tensor, graph: GraphDataset) -> Tensor:
        del graph
        layers = [x[:, : self.width].contiguous()]
        for _ in range(self.layers):
            layers.append(sparse_product(layers[-1], self.looped, self.looped))
        return torch.cat(layers, dim=1)


def _looped(by_user: csr_matrix) -> Tensor:
    """(D+I)^-1/2 (A+I) (D+I)^-1/2 of R [U, I]: [U+I, U+I]."""
    linked = bmat([[None, by_user], [by_user.T, None]], format="csr", dtype=np.float32)
    looped = csr_matrix(linked + identity(linked.shape[0], dtype=np.float32, format="csr"))
    scale = diags(1 / np.sqrt(np.diff(looped.indptr)))
    return sparse_csr(csr_matrix(scale @ looped @ scale))
