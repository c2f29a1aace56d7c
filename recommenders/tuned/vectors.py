"""Vectors of a recommender of inner products as soft tokens: what a language model cannot read out of titles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from language_models.tuning.model import TunableModel
from language_models.tuning.soft_tokens import Activation, Projector, token_rms
from recommenders.base import InnerProduct
from recommenders.histories import Int64
from recommenders.reranking import Float32
from recommenders.tuned.modules import Beside
from schemas.errors import ConfigError


class WithVectors(Beside):
    """A language model, tables of vectors by name, and a projector of each into its width."""

    def __init__(
        self, model: TunableModel, tables: Mapping[str, Float32], hidden: int | None, activation: Activation
    ) -> None:
        super().__init__(model, tables)
        rms = token_rms(model.embedding())
        self.project = nn.ModuleDict(
            {
                name: Projector(table.shape[1], model.width, hidden=hidden, activation=activation, rms=rms)
                for name, table in tables.items()
            }
        )

    def soft(self, name: str, index: Int64) -> Tensor:
        """Soft tokens [N, width] of rows [N] of a table; a row without a vector has the learned one for unknown."""
        table = self.get_buffer(name)
        rows = torch.from_numpy(np.ascontiguousarray(index)).to(table.device)
        empty = ~table[rows.clamp(min=0)].any(dim=1)
        found: Tensor = self.project[name](table, rows.masked_fill(empty, -1))
        return found


def own_vectors(recommender: object, name: str) -> tuple[Float32, Float32]:
    """The learned vectors of users and items, of mean length one. Raises ConfigError of a recommender without any."""
    if not isinstance(recommender, InnerProduct):
        raise ConfigError(f"{name}: expected a recommender with vectors of users and items, found {type(recommender)}")
    user, item = (np.ascontiguousarray(each[:, : recommender.learned]) for each in (recommender.user, recommender.item))
    return _scaled(user), _scaled(item)


def _scaled(x: Float32) -> Float32:
    length = np.linalg.norm(x, axis=1)
    mean = float(length[length > 0].mean()) if (length > 0).any() else 1.0
    return np.asarray(x / np.float32(mean), dtype=np.float32)
