"""Our training step: `python -m benchmarks.graph.clients.step FILE.npz`, LightGCN with BPR as the trainer takes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from itertools import cycle
from typing import Any

import numpy as np
import torch

from benchmarks.graph.peers.turns import serve
from benchmarks.graph.synthetic import part_of
from graph_models.dataset import make_dataset
from graph_models.model import build_model
from graph_models.sampler import Batch, Sampler
from schemas import sections


def prepare() -> tuple[Mapping[str, Callable[[], Any]], Mapping[str, Any]]:
    """The model and its optimizer on the pairs and batches of the file, and the sampler of an epoch."""
    given = np.load(sys.argv[1])
    edges = np.stack([given["user"], given["item"]])
    users, items = int(given["num_users"]), int(given["num_items"])
    graph = make_dataset(part_of(users, items, edges))
    settings = sections.Training(batch_size=given["batches"].shape[2], l2=float(given["l2"]))
    options: dict[str, sections.Option] = {"dim": given["x"].shape[1], "layers": int(given["layers"])}
    model = build_model(graph, sections.Part(name="lightgcn", options=options))
    next(iter(model.parameters())).data.copy_(torch.from_numpy(given["x"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    batches = cycle([Batch(*batch) for batch in torch.from_numpy(given["batches"])])
    sampler = Sampler(graph, settings, np.random.default_rng(0))

    def step() -> dict[str, float]:
        loss = torch.stack(list(model.losses(graph, next(batches), settings).values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return {"loss": float(loss)}

    def sample() -> None:
        for _ in sampler.epoch():
            pass

    return {"step": step, "sample": sample}, {"threads": torch.get_num_threads()}


if __name__ == "__main__":
    serve(prepare)
