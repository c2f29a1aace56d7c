"""What each objective adds to a training step: `python -m benchmarks.objectives [--nodes 1000000] [--dim 384]`.

A synthetic graph (half users, half items, about five edges a user, popularity by a power law) and random text of `dim`
columns, which users and items share; LightGCN of 64 dimensions, BPR, batches of 2,048. Every objective runs in a
process of its own. Extra memory is its peak of resident memory, the model built and a step taken, less that of a
process without an objective; time is its fastest step beside the fastest of the same model without it. Rows projected
are those of one step that pass through a layer whose input or output is as wide as the text; logits are what enters a
softmax cross-entropy.
`--check` takes 20,000 nodes, 80 columns and less than a minute; `--only` names some objectives.
"""

from __future__ import annotations

import argparse
import inspect
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from features.corpus import Part
from features.table import EdgeTable, FeatureSet, FeatureTable
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.model import build_model
from graph_models.objectives import OBJECTIVES
from graph_models.sampler import Batch, Sampler
from schemas import sections

SETTINGS = sections.Training(batch_size=2048)
EDGES_PER_USER = 5
TIMED = 5  # steps
LOGITS = (F.cross_entropy, torch.logsumexp, Tensor.logsumexp, F.log_softmax)
HEAD = "| objective | extra memory, MB | time | rows projected | largest logits |\n|---|---|---|---|---|"


@dataclass(frozen=True)
class Cost:
    """What a process took that built a model and trained it for a few steps."""

    peak_mb: float  # of resident memory
    seconds: float  # of the fastest step
    times: float  # so many as without the objective
    rows: int
    logits: tuple[int, ...]


class Watch(TorchFunctionMode):
    """Counts the rows that layers as wide as the text are given, and keeps the largest shape of logits."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.rows, self.logits, self.before = width, 0, (0,), 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.linear and self.width in args[1].shape:
            self.rows += len(args[0]) if args[0].data_ptr() != self.before else 0  # layers side by side count once
            self.before = args[0].data_ptr()
        if func in LOGITS:
            self.logits = max(self.logits, tuple(args[0].shape), key=np.prod)
        return func(*args, **(kwargs or {}))


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--check", action="store_true", help="20,000 nodes, 80 columns")
    parser.add_argument("--only", nargs="*", choices=list(OBJECTIVES), default=list(OBJECTIVES))
    chosen = parser.parse_args()
    nodes, dim = (20_000, 80) if chosen.check else (chosen.nodes, chosen.dim)
    print(table(nodes, dim, chosen.only))  # noqa: T201


def table(nodes: int, dim: int, names: Sequence[str]) -> str:
    """One row for each objective, under a line that says what it is compared with."""
    plain = alone(None, nodes, dim)
    about = f"{nodes:,} nodes, text of {dim} columns, {torch.get_num_threads()} threads; without an objective "
    about += f"{plain.peak_mb:,.0f} MB (text, graph and libraries included) and {plain.seconds:.2f} s a step\n"
    return "\n".join([about, HEAD, *(row(name, alone(name, nodes, dim), plain) for name in names)])


def row(name: str, cost: Cost, plain: Cost) -> str:
    """One line of the table."""
    logits = " x ".join(f"{each:,}" for each in cost.logits) if any(cost.logits) else "none"
    return f"| {name} | {cost.peak_mb - plain.peak_mb:,.0f} | {cost.times:.2f} x | {cost.rows:,} | {logits} |"


def alone(name: str | None, nodes: int, dim: int) -> Cost:
    """`measure` in a process of its own, whose peak nothing before it has raised."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(measure, name, nodes, dim).result()


def measure(name: str | None, nodes: int, dim: int) -> Cost:
    """Train LightGCN with the objective for a step, then take its steps and those of LightGCN alone in turns.

    On a busy machine both are slowed down alike.
    """
    graph = synthetic_graph(nodes, dim, name)
    batch = next(Sampler(graph, SETTINGS, np.random.default_rng(0)).epoch())
    with seeded(0):
        model = Trained(graph, batch, [sections.Objective(name=name)] if name else [])
        with Watch(dim) as watch:
            model.losses()
        model.step()
        peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        plain = Trained(graph, batch, [])
        plain.step()
        seconds = [(model.step(), plain.step()) for _ in range(TIMED)]
    own, without = map(min, zip(*seconds, strict=True))
    return Cost(peak_kb / 1000, own, own / without, watch.rows, watch.logits)


class Trained:
    """A model and its optimizer on one batch."""

    def __init__(self, graph: GraphDataset, batch: Batch, objectives: Sequence[sections.Objective]) -> None:
        self.graph, self.batch = graph, batch
        self.model = build_model(graph, sections.Part(name="lightgcn"), objectives)
        self.optimizer = torch.optim.Adam(self.model.parameters(), fused=True)

    def losses(self) -> dict[str, Tensor]:
        return self.model.losses(self.graph, self.batch, SETTINGS)

    def step(self) -> float:
        """The seconds of one step as the trainer takes it."""
        start = time.perf_counter()
        parts = self.losses()
        self.optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return time.perf_counter() - start


def synthetic_graph(nodes: int, dim: int, name: str | None) -> GraphDataset:
    """Edges by a power law, every user with at least one; text, and the edges that the objective reads."""
    generator, users, items = np.random.default_rng(0), nodes // 2, nodes // 2
    count = EDGES_PER_USER * users
    user = np.concatenate([np.arange(users), (users * generator.random(count - users) ** 2).astype(np.int64)])
    item = (items * generator.random(count) ** 3).astype(np.int64)
    part = Part(users, items, np.stack([user, item]), np.arange(count), np.ones(count, dtype=np.float32))
    x, present = generator.standard_normal((users, dim), dtype=np.float32), np.ones(users, dtype=bool)
    text = (FeatureTable("item", x, present, "random"), FeatureTable("user", x, present, "random"))
    return make_dataset(part, FeatureSet(*text, edges=_proposed(generator, users, items, name)))


def _proposed(generator: np.random.Generator, users: int, items: int, name: str | None) -> dict[str, EdgeTable]:
    """A liked and a disliked item of every user, under the recipe that the objective reads unless told otherwise."""
    option = inspect.signature(OBJECTIVES[name]).parameters.get("edges") if name else None
    if option is None:
        return {}
    user, label = np.repeat(np.arange(users), 2), np.tile(np.array([1, -1], dtype=np.int8), users)
    weight = np.full(2 * users, 0.5, dtype=np.float32)
    return {option.default: EdgeTable(user, generator.integers(items, size=2 * users), label, weight, option.default)}


if __name__ == "__main__":
    main()
