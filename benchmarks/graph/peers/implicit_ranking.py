"""Full ranking by implicit's `recommend` with given factors: `python implicit_ranking.py FILE.npz ITEMS.npy`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares  # type: ignore[import-not-found]
from scipy.sparse import csr_matrix
from turns import serve  # type: ignore[import-not-found]


def prepare() -> tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]:
    """A model of implicit that has the factors, and the train items that it is to leave out."""
    given, threads = np.load(sys.argv[1]), int(os.environ["OMP_NUM_THREADS"])
    model = AlternatingLeastSquares(factors=given["user_factors"].shape[1], num_threads=threads)
    model.user_factors, model.item_factors = given["user_factors"], given["item_factors"]
    ones = np.ones(len(given["user"]), dtype=np.float32)
    shape = (len(model.user_factors), len(model.item_factors))
    seen = csr_matrix((ones, (given["user"], given["item"])), shape=shape)
    users = given["users"]
    kept = seen[users]

    def rank() -> None:
        found, _ = model.recommend(users, kept, N=int(given["k"]), filter_already_liked_items=True)
        np.save(sys.argv[2], found)

    return {"rank": rank}, {"threads": threads}


if __name__ == "__main__":
    serve(prepare)
