"""Our full ranking, its metrics, and the bare product: `python -m benchmarks.graph.clients.ranking FILE FOUND`.

FILE (.npz) has factors and pairs; FOUND (.npy) is where the items that were found are put.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from benchmarks.graph.peers.turns import serve
from benchmarks.graph.world import matrix
from evaluation.metrics import score
from evaluation.ranking import rank_vectors
from evaluation.recommendations import Recommendations

BLOCKS = (256, 1024)  # users whose scores are made together by the bare product; the faster one counts
ALIGNED = 64  # items of the bare product are filled up to a multiple, which makes it faster


def prepare() -> tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]:
    """Tasks on the factors, the users, the train pairs and the held-out pairs of the file."""
    given = np.load(sys.argv[1])
    user, item = torch.from_numpy(given["user_factors"]), torch.from_numpy(given["item_factors"])
    users, k, shape = given["users"], int(given["k"]), (len(user), len(item))
    seen = matrix(given["user"], given["item"], shape)
    padded = torch.nn.functional.pad(item, (0, 0, 0, -len(item) % ALIGNED))
    truth = matrix(given["held_user"], given["held_item"], shape)

    def rank() -> Recommendations:
        return rank_vectors(user, item, users, k, seen)

    def ranked() -> None:
        np.save(sys.argv[2], rank().item)

    def evaluated() -> dict[str, float]:
        return score(rank(), truth, (k,)).mean()

    def product(size: int) -> None:
        out = torch.empty(size, len(padded))
        for rows in torch.split(torch.from_numpy(users), size):
            torch.mm(user[rows], padded.T, out=out[: len(rows)])

    products = {f"product {size}": lambda size=size: product(size) for size in BLOCKS}
    return {"rank": ranked, "evaluate": evaluated, **products}, {"threads": torch.get_num_threads()}


if __name__ == "__main__":
    serve(prepare)
