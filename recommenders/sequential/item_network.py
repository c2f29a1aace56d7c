"""Networks whose score is the inner product of a history's vector and an item's: what SASRec and HSTU share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from evaluation.ranking import chunks, join, top_k
from evaluation.recommendations import Recommendations
from features.reduce import whitened
from graph_models.options import Size
from graph_models.sampler import Candidates
from graph_models.softmax import softmax_loss
from recommenders.histories import Histories
from recommenders.sequential.sequences import Catalogue, Int64, Network
from schemas.errors import DataError

Items = Annotated[
    Literal["id", "text", "text_init"],
    Field(description="item vectors: learned, a learned map of the text, or learned from a start in the text"),
]
Loss = Annotated[
    Literal["ce", "bce", "gbce"],
    Field(description="softmax over the catalogue, one negative as published, or gSASRec's calibrated negatives"),
]
Rate = Annotated[float, Field(ge=0, lt=1)]
Dim = Annotated[Size, Field(description="columns of an item's vector")]
Blocks = Annotated[Size, Field(description="blocks of attention")]
Heads = Annotated[Size, Field(description="of the attention; a divisor of dim")]
MaxLength = Annotated[Size, Field(description="newest items of a history that are read")]
Components = Annotated[Size, Field(description="principal components of the text; only of items = text")]
Negatives = Annotated[Size, Field(description="sampled for each step; only of loss = gbce")]
STD = 0.02
USERS_AT_ONCE = 1024
CALIBRATION = 0.75  # t of gBCE


@dataclass(frozen=True)
class Window:
    """Histories of a batch, padded on the left with the number of items; what follows each item is its target."""

    item: Tensor  # int64 [B, n]
    time: Tensor  # int64 [B, n + 1], that of the next item at last
    target: Tensor  # int64 [B, n]


class ItemVectors(nn.Module):
    """One vector per item, and zero for padding: [I + 1, dim].

    id: learned. text_init: learned, from the whitened principal components of its text. text: a learned linear map of
    its `components` whitened principal components, which also serves items that nobody has yet.
    """

    x: Tensor  # float32 [I + 1, components]

    def __init__(self, catalogue: Catalogue, dim: int, kind: Items, components: int) -> None:
        super().__init__()
        self.kind, items = kind, catalogue.num_items
        first = None if kind == "id" else _text(catalogue, components if kind == "text" else dim)
        if kind == "text" and first is not None:
            self.register_buffer("x", torch.cat([first, torch.zeros_like(first[:1])]))
            self.map = nn.Linear(first.shape[1], dim, bias=False)
            nn.init.normal_(self.map.weight, std=STD)
            return
        self.table = nn.Embedding(items + 1, dim, padding_idx=items)
        with torch.no_grad():
            nn.init.normal_(self.table.weight, std=STD)
            if first is not None:
                self.table.weight[:items, : first.shape[1]] = STD * first
            self.table.weight[items] = 0

    def forward(self) -> Tensor:
        """Give all of them."""
        found: Tensor = self.map(self.x) if self.kind == "text" else self.table.weight
        return found


class ItemNetwork(Network):
    """Reads the last `max_length` items and gives a vector after each of them; every step of a history is learned from.

    `loss`: ce is the softmax over the catalogue; bce one uniform negative for each step that the user does not have in
    this window (the paper's); gbce `negatives` of them, with the positive calibrated for their number (gSASRec).
    """

    def __init__(
        self,
        catalogue: Catalogue,
        dim: int,
        max_length: int,
        items: Items,
        components: int,
        loss: Loss,
        negatives: int,
    ) -> None:
        super().__init__()
        self.num_items, self.dim, self.max_length = catalogue.num_items, dim, max_length
        self.items, self.kind = ItemVectors(catalogue, dim, items, components), loss
        self.negatives = 1 if loss == "bce" else negatives

    @classmethod
    def reads_text(cls, options: Mapping[str, Any]) -> str | None:
        kind = options.get("items", "id")
        return None if kind == "id" else f"items = {kind}"

    @abstractmethod
    def encode(self, x: Tensor, real: Tensor, time: Tensor) -> Tensor:
        """Vectors [B, n, dim] after every step of item vectors x [B, n, dim]; `real` bool [B, n]; time [B, n + 1]."""

    def temperature(self) -> float:
        """What scores are divided by in the loss."""
        return 1.0

    def samples(self, histories: Histories) -> Int64:
        """Users with two items or more."""
        return np.flatnonzero(histories.length > 1).astype(np.int64)

    def lengths(self, histories: Histories, samples: Int64) -> Int64:
        return np.minimum(histories.length[samples] - 1, self.max_length)

    def targets(self, histories: Histories, samples: Int64) -> Int64:
        return self.lengths(histories, samples)

    def batch(self, histories: Histories, samples: Int64) -> Window:
        longest = int(min(histories.length[samples].max() - 1, self.max_length))
        item, time = histories.last(samples, longest + 1, self.num_items)
        return Window(*(self._tensor(each) for each in (item[:, :-1], time, item[:, 1:])))

    def loss(self, batch: Window) -> Tensor:
        vectors = self.items()  # [I + 1, dim]
        h = self._encoded(batch.item, batch.time, vectors)
        real = batch.item != self.num_items
        state, target = h[real], batch.target[real]  # [M, dim], [M]
        item = self.scored(vectors[: self.num_items])
        if self.kind == "ce":
            return _cross_entropy(state.float(), item, target, self.temperature())
        return self._sampled(state, item, target, batch, real)

    def _sampled(self, state: Tensor, item: Tensor, target: Tensor, batch: Window, real: Tensor) -> Tensor:
        drawn = torch.randint(self.num_items, (len(target), self.negatives), device=target.device)
        known = torch.cat([batch.item, batch.target[:, -1:]], dim=1)  # [B, n + 1]
        row = real.nonzero()[:, 0]
        mine = (drawn[:, :, None] == known[row][:, None, :]).any(dim=2)  # [M, negatives]
        positive = (state * item[target]).sum(dim=1) / self.temperature()
        negative = torch.einsum("md,mkd->mk", state, item[drawn]) / self.temperature()
        lost = F.softplus(negative).masked_fill(mine, 0).sum(dim=1)
        return (self._beta() * F.softplus(-positive) + lost).mean()

    def _beta(self) -> float:
        """The power of the positive's probability: Petrov and Macdonald, RecSys 2023, arXiv 2308.07192, equation 9."""
        if self.kind == "bce":
            return 1.0
        alpha = min(self.negatives / max(self.num_items - 1, 1), 1.0)
        return alpha * (CALIBRATION * (1 - 1 / alpha) + 1 / alpha)

    def scored(self, vectors: Tensor) -> Tensor:
        """Item vectors as they are scored: [I, dim]."""
        return vectors

    def _encoded(self, item: Tensor, time: Tensor, vectors: Tensor) -> Tensor:
        return self.encode(F.embedding(item, vectors), item != self.num_items, time)

    def ranked(self, histories: Histories, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        vectors = self.items()
        scored = self.scored(vectors[: self.num_items])
        parts = []
        for rows in chunks(len(users), USERS_AT_ONCE):
            some = users[rows]
            longest = int(min(histories.length[some].max(), self.max_length))
            item, time = histories.last(some, longest, self.num_items)
            time = np.concatenate([time, time[:, -1:]], axis=1)  # nobody knows when the next item comes
            h = self._encoded(self._tensor(item), self._tensor(time), vectors)[:, -1]
            parts.append(top_k((h @ scored.T).float(), some, seen, k))
        return join(parts, k)

    def _tensor(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


def _cross_entropy(state: Tensor, item: Tensor, target: Tensor, temperature: float) -> Tensor:
    """The softmax over the catalogue of states [M, d] and items [I, d], in blocks whose logits are not kept."""
    row = torch.arange(len(target), device=target.device)
    among = Candidates(row, row, None, torch.stack([row, target]))  # the positive is no candidate of its own
    dtype = (
        torch.get_autocast_dtype(state.device.type) if torch.is_autocast_enabled(state.device.type) else torch.float32
    )
    positive = (state * item[target]).sum(dim=1)
    with torch.autocast(state.device.type, enabled=False):
        return softmax_loss(positive, state, item, among, temperature, dtype)


def causal(real: Tensor) -> Tensor:
    """What each step may look at: real steps up to itself; padding looks at itself, or its softmax would be empty.

    `real` bool [B, n]; gives bool [B, 1, n, n].
    """
    n = real.shape[1]
    lower = torch.ones(n, n, dtype=torch.bool, device=real.device).tril()
    own = torch.eye(n, dtype=torch.bool, device=real.device)
    return ((lower & real[:, None, :]) | own)[:, None]


def _text(catalogue: Catalogue, dim: int) -> Tensor:
    """Whitened components of the items' text: [I, at most dim]."""
    if catalogue.text is None:
        raise DataError("items: expected item text (features.item) for items = text or text_init, found none")
    return torch.from_numpy(whitened(catalogue.text, dim).x)
