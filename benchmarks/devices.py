"""Where a training step's time goes on this machine's devices: `python -m benchmarks.devices [--json]`.

Propagation, the softmax's products, ranking, in float32 and bfloat16, and whole steps with and without torch.compile:
on CUDA where there is one, in wall time; else on one CPU thread, in processor time. The graph is synthetic, as large as
Gowalla, so nothing needs to be there. It takes about a minute.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.graph.synthetic import EDGES, power_law
from evaluation.ranking import rank_vectors
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.model import GraphModel, build_model
from graph_models.propagation import layer_mean
from graph_models.sampler import Sampler
from schemas.sections import Part, Training

TURNS, DIM = 5, 64


def main() -> None:
    """Measure and print, a line per figure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.devices", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line per figure")
    as_json = parser.parse_args().json
    torch.set_num_threads(1)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "one CPU thread"
    found = {"device": name, "milliseconds": figures(device)}
    lines = [f"{what:<64} {value:9.3f} ms" for what, value in found["milliseconds"].items()]  # type: ignore[attr-defined]
    sys.stdout.write((json.dumps(found) if as_json else "\n".join([name, *lines])) + "\n")


def figures(device: torch.device) -> dict[str, float]:
    """What was measured -> milliseconds, the median of five turns."""
    graph = make_dataset(power_law(EDGES)).to(device)
    x = torch.randn(graph.num_users + graph.num_items, DIM, device=device)
    adjacency = graph.adjacency
    wide = torch.sparse_csr_tensor(
        adjacency.crow_indices().long(), adjacency.col_indices().long(), adjacency.values(), adjacency.shape
    )
    user, item = x[:600].clone(), x[graph.num_users :].clone()
    found = {
        "one layer of propagation, int32 indices": _timed(lambda: adjacency @ x, device),
        "one layer of propagation, int64 indices": _timed(lambda: wide @ x, device),
        "three layers, mean": _timed(lambda: layer_mean(x, adjacency, 3), device),
        "600 users x all items, float32": _timed(lambda: user @ item.T, device),
        "600 users x all items, bfloat16": _timed(lambda: user.bfloat16() @ item.bfloat16().T, device),
        "ranking all users, masks and top 20 included": _timed(lambda: _ranked(graph, x), device, 3),
    }
    if device.type == "cuda":
        half = torch.sparse_csr_tensor(
            adjacency.crow_indices(), adjacency.col_indices(), adjacency.values().bfloat16(), adjacency.shape
        )
        found["one layer of propagation, bfloat16"] = _timed(lambda: half @ x.bfloat16(), device)
    for precision in ("float32", "bfloat16"):
        settings = Training(loss="softmax", precision=precision, batch_size=16384, l2=0.0)
        found[f"a step of the softmax, 16,384 pairs, {precision}"] = _step(graph, settings, device)
    settings = Training(loss="bpr", batch_size=2048)
    found["a step of BPR, 2,048 pairs"] = _step(graph, settings, device)
    found["the same through torch.compile"] = _step(graph, settings, device, torch.compile)
    return found


def _step(
    graph: GraphDataset, settings: Training, device: torch.device, wrapped: Callable[..., object] | None = None
) -> float:
    model = build_model(graph, Part(name="lightgcn", options={"dim": DIM})).to(device)
    batch = next(Sampler(graph, settings, np.random.default_rng(0)).epoch())
    losses = GraphModel.losses if wrapped is None else wrapped(GraphModel.losses)

    def step() -> None:
        model.zero_grad()
        parts = losses(model, graph, batch, settings)  # type: ignore[operator]
        torch.autograd.backward(torch.stack(list(parts.values())).sum())

    return _timed(step, device)


def _ranked(graph: GraphDataset, x: Tensor) -> None:
    users = np.arange(graph.num_users)
    rank_vectors(x[: graph.num_users], x[graph.num_users :], users, 20, graph.seen)


def _timed(work: Callable[[], object], device: torch.device, turns: int = TURNS) -> float:
    """Milliseconds of one call: the median of some turns after one that is not counted."""
    work()
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    spent = []
    for _ in range(turns):
        _finished(device)
        began = clock()
        work()
        _finished(device)
        spent.append(clock() - began)
    return round(1000 * statistics.median(spent), 4)


def _finished(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
