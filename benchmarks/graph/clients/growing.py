"""What one size of graph costs: `python -m benchmarks.graph.clients.growing FILE.npz TIMED` prints JSON."""

from __future__ import annotations

import json
import sys
import time
from statistics import median

import numpy as np
import torch

from benchmarks.graph.peers.turns import peak_mb
from benchmarks.graph.synthetic import part_of
from evaluation.ranking import rank_vectors
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.model import build_model
from graph_models.sampler import Sampler
from schemas import sections

STEPS = 50  # of an epoch, so that a batch is a fiftieth of the pairs, as 16,384 are of Gowalla's
RANKED = 1000  # users


def main() -> None:
    """Read the pairs, take a few steps of LightGCN with BPR, and rank some users; times are CPU seconds."""
    libraries = peak_mb()
    given = np.load(sys.argv[1])
    part = part_of(int(given["num_users"]), int(given["num_items"]), given["edges"])
    graph = make_dataset(part)
    step_s, epoch_s, vectors = trained(graph, int(sys.argv[2]))
    users = np.random.default_rng(0).permutation(part.num_users)[:RANKED]
    began = time.process_time()
    rank_vectors(*vectors, np.sort(users), 20, graph.seen)
    told = {"step_s": step_s, "epoch_s": epoch_s, "rank_s": time.process_time() - began}
    told |= {"edges": len(part), "users": part.num_users, "items": part.num_items}
    sys.stdout.write(json.dumps({**told, "peak_mb": peak_mb(), "libraries_mb": libraries}) + "\n")


def trained(graph: GraphDataset, timed: int) -> tuple[float, float, tuple[torch.Tensor, torch.Tensor]]:
    """Median CPU seconds of a step, those of an epoch of such steps and its sampling, and the vectors then."""
    settings = sections.Training(batch_size=max(1, graph.seen.nnz // STEPS))
    with seeded(0):
        model = build_model(graph, sections.Part(name="lightgcn", options={"dim": 64, "layers": 3}))
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
    began = time.process_time()
    batches = list(Sampler(graph, settings, np.random.default_rng(0)).epoch())
    sampling, seconds = time.process_time() - began, list[float]()
    for batch in batches[: timed + 1]:
        began = time.process_time()
        loss = torch.stack(list(model.losses(graph, batch, settings).values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        seconds.append(time.process_time() - began)
    step = median(seconds[1:])
    return step, sampling + step * len(batches), model.vectors(graph)


if __name__ == "__main__":
    main()
