"""The text of one kind of node as the parts of a model read it: only the rows they need, and which rows there are."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from graph_models.adaptors import make_adaptor
from graph_models.dataset import GraphDataset
from schemas.errors import DataError


class Text(nn.Module):
    """Text vectors of the users or the items: frozen, or through the adaptor that the model's features name.

    A learned adaptor's parameters belong to the part that made this, and only the rows asked for pass through it.
    """

    x: Tensor  # [N, D]
    has: Tensor  # bool [N, S]
    present: Tensor  # bool [N]
    with_text: Tensor  # int64 [P] rows that have text
    place: Tensor  # int64 [N] place of such a row among them

    def __init__(self, graph: GraphDataset, kind: Literal["user", "item"], part: str) -> None:
        """`part` is named in the DataError that a graph without text raises."""
        super().__init__()
        user = kind == "user"
        x, has = (graph.x_user, graph.has_user) if user else (graph.x_item, graph.has_item)
        present = graph.present_user if user else graph.present_item
        if x is None or has is None or present is None:
            raise DataError(f"{part}: expected text vectors, found none; give the model [models.features]")
        self.adaptor = make_adaptor(graph.adaptor, graph.widths_user if user else graph.widths_item)
        self.dim = self.adaptor.dim
        for name, tensor in (("x", x), ("has", has), ("present", present)):
            self.register_buffer(name, tensor, persistent=False)
        self.register_buffer("with_text", present.nonzero()[:, 0], persistent=False)
        self.register_buffer("place", present.cumsum(0) - 1, persistent=False)

    def forward(self, rows: Tensor | None = None) -> Tensor:
        """Vectors of the rows (all when None): [n, dim]. What stands in rows without text means nothing."""
        if rows is None:
            return self.adaptor(self.x, self.has)  # type: ignore[no-any-return]
        return self.adaptor(self.x.index_select(0, rows), self.has.index_select(0, rows))  # type: ignore[no-any-return]


def both_texts(graph: GraphDataset, part: str) -> tuple[Text, Text]:
    """User and item text for a part that sends both through one layer. Raises DataError where their widths differ."""
    user, item = Text(graph, "user", part), Text(graph, "item", part)
    if user.dim != item.dim:
        raise DataError(
            f"{part}: expected user and item text of one dimension, found {user.dim} and {item.dim}; give both as many"
            " sources, or an adaptor with a dimension of its own"
        )
    return user, item


def fill_missing(vectors: Tensor, present: Tensor, other: Tensor) -> Tensor:
    """`vectors` [N, d] where a row has text, else `other` ([N, d] or [d]); no gradient and no NaN of a missing row."""
    return torch.where(present[:, None], vectors, other)
