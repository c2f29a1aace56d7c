"""What every recommender returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Recommendations:
    """The first k items of every asked user, best first."""

    user: NDArray[np.int64]  # [B] row numbers of Corpus.users
    item: NDArray[np.int64]  # [B, k] row numbers of Corpus.items; -1 pads
    score: NDArray[np.float32]  # [B, k] descending; -inf where padded
