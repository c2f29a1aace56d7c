"""RLMRec-Gen: hide the start of some nodes, and restore their profile's text from the graph (arXiv 2310.15950)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from graph_models.contrast import alignment
from graph_models.dataset import GraphDataset
from graph_models.losses import unit_rows
from graph_models.objectives.base import Objective
from graph_models.options import Reference, Size, Temperature
from graph_models.sampler import Batch
from graph_models.text import both_texts
from graph_models.tower import text_tower

Share = Annotated[float, Field(gt=0, le=1)]


class RLMRecGen(Objective):
    """Masked nodes start from one learned token, and a decoder finds each one's text among those of all masked nodes.

    Of M masked nodes with text, users and items together, the loss is the mean over nodes m of -cos(g(z_m), s_m) / t +
    log sum_n exp(cos(g(z_m), s_n) / t), where g is the decoder and s the text. The ranking loss reads the same masked
    forward, and serving masks nothing.

    `rate` of the nodes with text are masked, at least one and at most `most`, drawn anew each step: logits are at most
    [most, most]. `compat` = reference is the published code: drawn from all nodes, without a bound; those without text
    start from the token as well, but are neither restored nor told apart from.
    """

    source: ClassVar[str] = "Ren et al., WWW 2024, arXiv 2310.15950"
    space: ClassVar[Mapping[str, Sequence[Any]]] = {"temperature": (0.1, 0.2, 0.5)}
    needs_text: ClassVar[bool] = True
    present: Tensor  # bool [U+I]
    maskable: Tensor  # int64 [P] nodes that may be masked

    def __init__(
        self,
        graph: GraphDataset,
        dim: int,
        *,
        rate: Annotated[Share, Field(description="share of the nodes with text that a step masks")] = 0.1,
        temperature: Temperature = 0.2,
        most: Annotated[Size, Field(description="nodes masked in a step at most")] = 4096,
        compat: Reference = "none",
    ) -> None:
        super().__init__()
        self.user_text, self.item_text = both_texts(graph, "rlmrec_gen")
        self.num_users, self.rate, self.temperature = graph.num_users, rate, temperature
        width = self.user_text.dim
        self.token = nn.Parameter(torch.zeros(dim))
        self.decoder = text_tower(dim, (width + dim) // 2, width)
        present = torch.cat([self.user_text.present, self.item_text.present])
        maskable = torch.ones_like(present) if compat == "reference" else present
        self.register_buffer("present", present, persistent=False)
        self.register_buffer("maskable", maskable.nonzero()[:, 0], persistent=False)
        self.most = len(present) if compat == "reference" else most
        self.masked: Tensor | None = None  # int64 [M] of the step that is being taken

    def inputs(self, x: Tensor) -> Tensor:
        self.masked = draw(self.maskable, self.rate, self.most) if self.training else None
        if self.masked is None:
            return x
        return x.index_copy(0, self.masked, self.token.expand(len(self.masked), -1))

    def forward(self, z: Tensor, batch: Batch) -> Tensor:
        del batch
        masked = self.masked
        masked = None if masked is None else masked[self.present[masked]]
        if masked is None or not len(masked):
            return z.sum() * 0.0
        user, item = masked[masked < self.num_users], masked[masked >= self.num_users]
        text = torch.cat([self.user_text(user), self.item_text(item - self.num_users)])  # [M, D]
        decoded = self.decoder(z.index_select(0, torch.cat([user, item])))  # [M, D]
        own = torch.arange(len(masked), device=z.device)
        return alignment(unit_rows(decoded), unit_rows(text), own, self.temperature)


def draw(rows: Tensor, rate: float, most: int) -> Tensor:
    """Take int(rate P) of the rows [P] without replacement, at least one where there is one, and at most `most`."""
    count = min(max(1, int(rate * len(rows))), most)
    return rows[torch.randperm(len(rows))[:count].to(rows.device)]
