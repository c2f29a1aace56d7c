"""A training step of PyG's LightGCN, as its example examples/lightgcn.py takes it: `python pyg_step.py FILE.npz`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
import torch
from torch_geometric.nn import LightGCN
from turns import serve  # type: ignore[import-not-found]


def prepare() -> tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]:
    """The example's model and optimizer on the pairs and batches of the file."""
    given = np.load(sys.argv[1])
    users, dim = int(given["num_users"]), given["x"].shape[1]
    pairs = torch.from_numpy(np.stack([given["user"], given["item"] + users]))
    edge_index = torch.cat([pairs, pairs.flip(0)], dim=1)  # both directions, as in the example
    model = LightGCN(len(given["x"]), dim, num_layers=int(given["layers"]))
    model.embedding.weight.data.copy_(torch.from_numpy(given["x"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    weight = float(given["l2"]) / 2  # PyG does not halve the squared length
    batches = cycle(torch.from_numpy(given["batches"]))  # [3, B] each: user, positive, negative

    def step() -> dict[str, float]:
        user, positive, negative = next(batches)
        labels = torch.cat([torch.stack([user, positive + users]), torch.stack([user, negative + users])], dim=1)
        optimizer.zero_grad()
        positive_rank, negative_rank = model(edge_index, labels).chunk(2)
        loss = model.recommendation_loss(positive_rank, negative_rank, node_id=torch.unique(labels), lambda_reg=weight)
        loss.backward()
        optimizer.step()
        return {"loss": float(loss)}

    return {"step": step}, {"threads": torch.get_num_threads()}


if __name__ == "__main__":
    serve(prepare)
