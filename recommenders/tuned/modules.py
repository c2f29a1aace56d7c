"""Networks of a language model and what stands beside or before it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from language_models.tuning.model import TunableModel


class Beside(nn.Module):
    """A language model, and tables that are kept with it: float32 [rows, d] by name."""

    def __init__(self, model: TunableModel, tables: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__()
        self.model = model
        for name, table in tables.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(table)))
