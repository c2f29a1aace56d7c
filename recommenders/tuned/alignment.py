"""Items of a recommender and their texts in one space: the first stage of A-LLMRec (arXiv 2404.11343, section 4.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluation.ranking import chunks
from features.corpus import Part
from recommenders.histories import Int64
from recommenders.reranking import Float32

ROUNDS = 20  # of drawing negatives again for those who have them
TABLES = ("user", "item", "text", "learned")
Drawn = tuple[Int64, Int64, Int64]  # users, items of theirs, and items that are not: [B] each


class AutoEncoder(nn.Module):
    """One hidden layer, with a sigmoid."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def encode(self, x: Tensor) -> Tensor:
        """[N, dim] to [N, hidden], above 0 and below 1."""
        return torch.sigmoid(self.encoder(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden layer [N, hidden], and x as it is made again [N, dim]."""
        hidden = self.encode(x)
        return hidden, self.decoder(hidden)


class Alignment(nn.Module):
    """An autoencoder of item vectors and one of text vectors, whose hidden layers shall be the same for an item.

    `tables`: `user` [U, d], `item` [I, d], `text` [I, t], zero where there is none; `learned` [I], bool: whether the
    recommender has learned the item. `reconstruction` and `text_reconstruction` are alpha and beta.
    """

    def __init__(
        self, tables: Mapping[str, Tensor], hidden: int, reconstruction: float, text_reconstruction: float
    ) -> None:
        super().__init__()
        for name in TABLES:
            self.register_buffer(name, tables[name])
        self.collaborative = AutoEncoder(tables["item"].shape[1], hidden)
        self.textual = AutoEncoder(tables["text"].shape[1], hidden)
        self.reconstruction, self.text_reconstruction = reconstruction, text_reconstruction

    def loss(self, user: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """L_match + L_rec + alpha L_item + beta L_text of pairs [B] and their negatives (equations 2 to 6): a scalar.

        Each is the sum of its means over positives and over negatives; squares are means over dimensions, and so is
        the logit of L_rec, a product of the user's vector and the item's as it is made again. What has no text is in
        neither term that compares with it.
        """
        index = torch.stack([positive, negative])  # [2, B]
        item, text = self.get_buffer("item")[index], self.get_buffer("text")[index]
        (z, item_again), (w, text_again) = self.collaborative(item), self.textual(text)
        logit = (self.get_buffer("user")[user] * item_again).mean(dim=-1)  # [2, B]
        label = torch.tensor([[1.0], [0.0]], device=logit.device).expand_as(logit)
        taken = F.binary_cross_entropy_with_logits(logit, label, reduction="none")
        worded = text.any(dim=-1)
        match, text_error = _squared(z, w) * worded, _squared(text_again, text) * worded
        each = taken + match + self.reconstruction * _squared(item_again, item) + self.text_reconstruction * text_error
        return each.mean(dim=1).sum()

    @torch.no_grad()
    def placed(self) -> Tensor:
        """Every item in the common space [I, hidden]: by its vector, an item that is not learned by its text.

        Zero where there is neither.
        """
        item, text = self.get_buffer("item"), self.get_buffer("text")
        learned = self.get_buffer("learned") & item.any(dim=1)
        by_text = self.textual.encode(text) * text.any(dim=1)[:, None]
        return torch.where(learned[:, None], self.collaborative.encode(item), by_text)

    @torch.no_grad()
    def ranked(self) -> tuple[Tensor, Tensor]:
        """Vectors of users [U, d] and items [I, d], made again from where they are placed, as L_rec compares them."""
        placed = self.placed()
        return self.get_buffer("user"), self.collaborative.decoder(placed) * placed.any(dim=1)[:, None]


@dataclass(frozen=True)
class Pairs:
    """The training task: every train interaction with an item that others have in train and the user has not."""

    module: Alignment
    train: Part

    def steps(self, batch_size: int) -> int:
        return -(-int(self.train.by_user.nnz) // batch_size)

    def batches(self, batch_size: int, generator: np.random.Generator) -> Iterator[Drawn]:
        known = self.train.by_user
        owner = np.repeat(np.arange(self.train.num_users), np.diff(known.indptr))
        order = generator.permutation(known.nnz)
        for rows in chunks(len(order), batch_size):
            user = owner[order[rows]]
            yield user, known.indices[order[rows]].astype(np.int64), self._strange(user, generator)

    def loss(self, batch: Drawn) -> Tensor:
        device = self.module.get_buffer("item").device
        return self.module.loss(*(torch.from_numpy(each).to(device) for each in batch))

    def _strange(self, user: Int64, generator: np.random.Generator) -> Int64:
        """Uniform items of train [B]; who has nearly everything may get one that he has."""
        known, items = self.train.by_user, np.flatnonzero(self.train.item_degree)
        drawn = generator.choice(items, len(user))
        for _ in range(ROUNDS):
            own = np.flatnonzero(np.asarray(known[user, drawn]).ravel())
            if not len(own):
                break
            drawn[own] = generator.choice(items, len(own))
        return drawn


def unit_rms(x: Float32) -> Tensor:
    """Rows [N, d] scaled together, so that the mean square of those that are not zero is one.

    Sentence vectors have length one and recommenders' any: without it one loss would drown another.
    """
    told = x[x.any(axis=1)]
    rms = float(np.sqrt(np.square(told, dtype=np.float64).mean())) if told.size else 1.0
    return torch.from_numpy(np.ascontiguousarray(x / np.float32(rms), dtype=np.float32))


def _squared(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).square().mean(dim=-1)
