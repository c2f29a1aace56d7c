"""KAR: text through hybrid experts, joined with what a node starts from (arXiv 2306.10933)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.dataset import GraphDataset
from graph_models.experts import HybridExperts, in_chunks
from graph_models.objectives.base import Fusion
from graph_models.options import Dropout, Hidden, Own, Shared
from graph_models.text import Text, both_texts

GAIN = 0.1  # of the text's part of the joint layer when training starts


class KAR(Fusion):
    """Layer 0 becomes e_0 = A x + B z + c, where hybrid experts make z of the node's text.

    z comes from two towers (users, items) of hybrid experts, of which `shared` are shared and `own` are the tower's
    own; A, B and c are the kind's own. A node without text keeps x exactly. A starts as the identity, c at zero and B
    small, so that training starts where the backbone alone would: its initialisation, which a spectral start puts work
    into, is not lost in a random layer, and a lift over the backbone is not that of another start. The paper gives z to
    a CTR model; beside the id embedding it serves collaborative filtering, as RLMRec's authors ran it.
    """

    source: ClassVar[str] = "Xi et al., RecSys 2024, arXiv 2306.10933"
    needs_text: ClassVar[bool] = True
    gives_vectors: ClassVar[bool] = True

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        shared: Shared = 2,
        own: Own = 5,
        hidden: Hidden = 128,
        width: Annotated[int, Field(gt=0, description="columns of the knowledge vector")] = 32,
        dropout: Dropout = 0.0,
    ) -> None:
        super().__init__()
        self.num_users = graph.num_users
        self.user_text, self.item_text = both_texts(graph, "kar")  # of one width: the shared experts read both
        self.experts = HybridExperts(
            self.user_text.dim, 2, n_shared=shared, n_own=own, hidden=hidden, dim=width, dropout=dropout
        )
        self.user_join, self.item_join = _near_identity(dim, width), _near_identity(dim, width)

    def inputs(self, x: Tensor) -> Tensor:
        user, item = x[: self.num_users], x[self.num_users :]
        return torch.cat(
            [
                self._joined(user, self.user_text, 0, self.user_join),
                self._joined(item, self.item_text, 1, self.item_join),
            ]
        )

    def _joined(self, x: Tensor, text: Text, tower: int, join: nn.Linear) -> Tensor:
        def block(rows: Tensor, start: Tensor) -> Tensor:
            return join(torch.cat([start, self.experts.tower(tower, text(rows))], dim=1))  # type: ignore[no-any-return]

        rows = text.with_text
        return x.index_copy(0, rows, in_chunks(block, rows, x.index_select(0, rows)))


def _near_identity(dim: int, width: int) -> nn.Linear:
    """[I, B]: Linear(dim + width, dim) with B Xavier-normal at a tenth of its scale."""
    layer = nn.Linear(dim + width, dim)
    with torch.no_grad():
        nn.init.xavier_normal_(layer.weight, gain=GAIN)
        layer.weight[:, :dim] = torch.eye(dim)
        nn.init.zeros_(layer.bias)
    return layer
