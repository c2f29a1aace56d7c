"""A sentence blended into what a user starts from (AlphaRec's text intentions, arXiv 2407.05441)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from evaluation.ranking import SCORES_AT_ONCE, chunks, join, top_k
from evaluation.recommendations import Recommendations
from graph_models.adaptors.base import Concat
from graph_models.backbones.alpharec import AlphaRec
from graph_models.dataset import GraphDataset
from graph_models.losses import unit_rows
from graph_models.model import GraphModel
from graph_models.tower import text_tower
from recommenders.base import Float32, InnerProduct
from schemas.errors import ConfigError, DataError

FILE = "intention.safetensors"


@dataclass(frozen=True)
class Intention:
    """What a text model needs beside its served vectors to put a sentence in place of a user's layer 0.

    Served is the unit vector of the mean over layers 0..K; with its length and the layer-0 vector the other layers are
    known too. Layer 0 is float16, half as large as the served vectors: where there is no sentence it cancels.
    """

    start: Tensor  # float16 [U, d] layer-0 vectors
    length: Tensor  # float32 [U] of the mean over layers; 0 where a user has no vector of his own
    tower: nn.Sequential  # text [D] -> layer 0 [d]
    layers: int

    @property
    def width(self) -> int:
        """D of the sentences that it reads."""
        return next(self.tower.parameters()).shape[1]

    @torch.no_grad()
    def blend(self, served: Tensor, users: Tensor, sentences: Tensor, alpha: float) -> Tensor:
        """Unit vectors [B, d] of users [B] served as unit vectors [B, d], with sentences [B, D] blended into layer 0.

        Of a user without a vector of his own the sentence alone is left.
        """
        start, length = self.start[users].float(), self.length[users, None]
        step = self.tower(sentences) - start * (length > 0)
        return unit_rows(length * served + alpha / (self.layers + 1) * step)

    def save(self, folder: Path) -> None:
        tower = {f"tower.{name}": value.contiguous() for name, value in self.tower.state_dict().items()}
        numbers = {"start": self.start, "length": self.length, "layers": torch.tensor(self.layers)}
        save_file({**numbers, **tower}, folder / FILE)

    @classmethod
    def load(cls, folder: Path) -> Intention | None:
        """Read what `save` wrote; None where there is nothing."""
        if not (folder / FILE).is_file():
            return None
        found = load_file(folder / FILE)
        state = {name.removeprefix("tower."): value for name, value in found.items() if name.startswith("tower.")}
        tower = text_tower(state["0.weight"].shape[1], *(len(state[f"{layer}.bias"]) for layer in (0, 2)))
        tower.load_state_dict(state)
        return cls(found["start"], found["length"], tower, int(found["layers"]))


def intention_of(model: GraphModel, graph: GraphDataset, own: NDArray[np.bool_]) -> Intention | None:
    """What a trained model keeps for sentences; None of one that does not serve the tower of one text as it is.

    `own` [U]: who is served a vector of his own.
    """
    backbone = model.backbone
    if not isinstance(backbone, AlphaRec) or len(model.objectives) or len(graph.widths_item) > 1:
        return None
    if not isinstance(backbone.item_text.adaptor, Concat):
        return None
    with torch.no_grad():
        start = backbone.inputs()
        length = backbone.propagate(start, graph)[: graph.num_users].norm(dim=1).cpu()
    first = start[: graph.num_users].cpu().half()
    return Intention(first, length * torch.from_numpy(own), backbone.tower.cpu(), backbone.layers)


def check_alpha(alpha: float) -> None:
    """Raise ConfigError for an alpha outside [0, 1]."""
    if not 0 <= alpha <= 1:
        raise ConfigError(f"alpha: expected a number from 0 (history alone) to 1 (sentence alone), found {alpha}")


class Steered(InnerProduct):
    """Served vectors that a sentence may steer, where the model is one of text alone."""

    intention: Intention | None = None

    def recommend_for(
        self,
        users: NDArray[np.int64],
        intentions: Float32,
        alpha: float = 0.5,
        k: int = 20,
        seen: csr_matrix | None = None,
    ) -> Recommendations:
        """Rank the catalogue for users [B] who each say what they want.

        Layer 0 becomes (1 - alpha) history + alpha sentence, the user's other layers stay as they are: alpha 0 is
        `recommend`, alpha 1 forgets the history at layer 0. `intentions`: float32 [B, D], sentences as the model's own
        encoder has them. Raises ConfigError for an alpha outside [0, 1] and for a model that keeps no tower, DataError
        for vectors of another shape.
        """
        model = self._follows(alpha)
        if intentions.shape != (len(users), model.width):
            expected = f"{len(users)} sentences of dimension {model.width}"
            raise DataError(f"intentions: expected {expected} from the model's encoder, found {intentions.shape}")
        if alpha == 0:
            return self.recommend(users, k, seen)
        served, item = (torch.from_numpy(each[:, : self.learned]) for each in (self.user[users], self.item))
        sentences = torch.from_numpy(np.ascontiguousarray(intentions, dtype=np.float32))
        user = model.blend(served, torch.from_numpy(users), sentences, alpha)
        mask = self.known if seen is None else seen
        batches = chunks(len(users), max(1, SCORES_AT_ONCE // len(item)))
        return join([top_k(user[rows] @ item.T, users[rows], mask, k) for rows in batches], k)

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.intention is not None:
            self.intention.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        made = super().load(folder)
        made.intention = Intention.load(folder)
        return made

    def _follows(self, alpha: float) -> Intention:
        check_alpha(alpha)
        if self.intention is None:
            raise ConfigError(
                f"{self.name}: cannot follow a sentence; expected the backbone alpharec with one text and neither"
                " objectives, adaptor nor pca, trained into a folder; train such a model and name it"
            )
        return self.intention
