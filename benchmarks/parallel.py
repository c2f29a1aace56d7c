"""What training in several processes costs and gains: the same command alone and under torchrun.

    python -m benchmarks.parallel --loss softmax
    torchrun --standalone --nproc-per-node 2 -m -- benchmarks.parallel --loss softmax

Prints seconds of a training step of LightGCN (3 layers, dim 64) on a synthetic graph, sampling included: of the fastest
step, its exchange of gradients, and the processor time that the first process has spent, the median over steps. Others
on the machine bend the last one least.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator

import numpy as np
import torch

from benchmarks.graph.synthetic import power_law
from graph_models.dataset import make_dataset
from graph_models.device import find_device, seeded
from graph_models.model import build_model
from graph_models.parallel import Group, joined
from graph_models.sampler import Sampler
from schemas import sections


def main() -> None:
    """Read the command line, measure, and print one line of JSON from the first process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=810_128, help="of the graph")
    parser.add_argument("--loss", default="bpr", help="of the run file's [training]")
    parser.add_argument("--batch", type=int, default=4096, help="pairs of a step")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args()
    settings = sections.Training(loss=chosen.loss, batch_size=chosen.batch)
    with joined(chosen.device) as group:
        device = find_device(chosen.device)
        found = np.array(list(steps(chosen.pairs, settings, chosen.steps, device, group)))[1:]  # [steps, 3]
        seconds = {"step_s": found[:, 0].min(), "exchange_s": found[:, 1].min(), "cpu_s": np.median(found[:, 2])}
        about = {"processes": group.size, "threads": torch.get_num_threads(), "loss": chosen.loss}
        if group.leads:
            print(json.dumps(about | {name: round(value, 4) for name, value in seconds.items()}))  # noqa: T201


def steps(
    pairs: int, settings: sections.Training, count: int, device: torch.device, group: Group
) -> Iterator[tuple[float, float, float]]:
    """Seconds of each step, of the exchange in it, and of the processor for it."""
    graph = make_dataset(power_law(pairs)).to(device)
    with seeded(0):
        model = build_model(graph, sections.Part(name="lightgcn", options={"dim": 64, "layers": 3})).to(device)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    batches = Sampler(graph, settings, np.random.default_rng(0)).epoch()
    for _ in range(min(count, pairs // settings.batch_size)):
        began, busy = _now(device), time.process_time()
        mine = group.share(next(batches))
        loss = mine.part * torch.stack(list(model.losses(graph, mine, settings).values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        computed = _now(device)
        group.add_gradients(model.parameters())
        exchanged = _now(device)
        optimizer.step()
        yield _now(device) - began, exchanged - computed, time.process_time() - busy


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
