"""RLMRec-Con: pull node vectors towards a projection of their profile's text vector (arXiv 2310.15950, section 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from graph_models.contrast import alignment, distinct
from graph_models.dataset import GraphDataset
from graph_models.losses import unit_rows
from graph_models.objectives.base import Objective
from graph_models.options import Anchors, Temperature
from graph_models.sampler import Batch
from graph_models.text import Text, both_texts
from graph_models.tower import text_tower


class RLMRecCon(Objective):
    """Three InfoNCE terms, of the batch's users, positive items and sampled negative items.

    Each is the mean over anchors a (a node's propagated vector) of -cos(a, p) / t + log sum_c exp(cos(a, c) / t), where
    p is the projected text of the anchor and c runs over the candidates. `negatives` chooses the candidates:

    - in_batch: the texts of the term's distinct nodes; a node stands once, so none is its own negative. At most
      `anchors` distinct nodes a term, drawn anew each step, bound time and memory.
    - reference: the published code. Users against all users' texts, items against the batch's, repetitions kept.
    - all: every node against all texts of its kind.

    Nodes without text are neither anchors nor candidates. A term without any anchor is zero.
    """

    source: ClassVar[str] = "Ren et al., WWW 2024, arXiv 2310.15950"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"temperature": (0.1, 0.2, 0.5)}
    needs_text: ClassVar[bool] = True

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        temperature: Temperature = 0.2,
        negatives: Annotated[
            Literal["in_batch", "reference", "all"], Field(description="texts that a node's own is told apart from")
        ] = "in_batch",
        anchors: Anchors = 1024,
    ) -> None:
        super().__init__()
        self.user_text, self.item_text = both_texts(graph, "rlmrec_con")
        self.num_users, self.temperature, self.negatives, self.anchors = (
            graph.num_users,
            temperature,
            negatives,
            anchors,
        )
        width = self.user_text.dim
        self.tower = text_tower(width, (width + dim) // 2, dim)

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        user, item = z[: self.num_users], z[self.num_users :]
        return (
            self._term(user, self.user_text, batch.user, self.negatives != "in_batch")
            + self._term(item, self.item_text, batch.positive, self.negatives == "all")
            + self._term(item, self.item_text, batch.negative, self.negatives == "all")
        )

    def _term(self, z: Tensor, text: Text, rows: Tensor, against_all: bool) -> Tensor:
        anchors = self._choose(rows[text.present[rows]])
        if not len(anchors):
            return z.sum() * 0.0
        candidates = text.with_text if against_all else anchors
        own = text.place[anchors] if against_all else torch.arange(len(anchors), device=z.device)
        projected = unit_rows(self.tower(text(candidates)))  # [C, d]
        return alignment(unit_rows(z.index_select(0, anchors)), projected, own, self.temperature)

    def _choose(self, rows: Tensor) -> Tensor:
        return rows if self.negatives == "reference" else distinct(rows, self.anchors)
