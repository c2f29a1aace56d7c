"""step: one training step of LightGCN beside that of PyG's example and of RecBole, on the same pairs and batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, at_most, stated
from benchmarks.graph.peers import PEERS
from benchmarks.graph.turns import THREADS, Ratio, Told, alternate, clients, described, ours, peer, ratio, saved
from benchmarks.graph.world import world
from features.corpus import Part

BATCH, DIM, LAYERS, L2 = 2048, 64, 3, 1e-4
BATCHES = 8  # that every client goes round
MOST = {"PyG": 1 / 6, "RecBole": 1 / 2.5}  # ours over theirs
SAME = 0.005  # relative: PyG counts a node once in L2 that the others count as often as it is in the batch
SHOWN = {
    "ours": "ours",
    "PyG": "PyG nn.LightGCN with edge_index, as in its example",
    "RecBole": "RecBole LightGCN",
}


def steps(folder: Path, turns: int) -> list[Figure]:
    """Time of our step over theirs; without the peers' environment ours alone."""
    given = world()
    file = saved(folder, "step", **arrays(given.train))
    where = f"batch {BATCH}, dim {DIM}, {LAYERS} layers, threads: {THREADS}, {given.about}"
    with clients(commands(file, folder)) as started:
        told = alternate({name: (client, "step") for name, client in started.items()}, turns)
        sampling = started["ours"].turn("sample")
    listed = [stated("step", SHOWN[name], described(each)) for name, each in told.items()]
    listed += [stated("step", "ours: sampling a whole epoch", f"{sampling['cpu_s']:.2f} s")]
    if not PEERS.is_set_up:
        return [stated("step", where, PEERS.missing), *listed]
    return [stated("step", "steps in turns", where), *listed, *compared(told)]


def arrays(train: Part, seed: int = 0) -> dict[str, Any]:
    """What every client reads: pairs, first embeddings [U+I, d], and batches [n, 3, B] of user, positive, negative."""
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((train.num_users + train.num_items, DIM), dtype=np.float32)
    batches = [_batch(train, generator) for _ in range(BATCHES)]
    return {
        "user": train.edges[0],
        "item": train.edges[1],
        "num_users": train.num_users,
        "num_items": train.num_items,
        "x": x,
        "batches": np.stack(batches),
        "layers": LAYERS,
        "l2": L2,
    }


def commands(file: str, folder: Path) -> dict[str, Sequence[str]]:
    """The processes that take part."""
    found: dict[str, Sequence[str]] = {"ours": ours("clients.step", file)}
    if PEERS.is_set_up:
        found |= {"PyG": peer("pyg_step.py", file), "RecBole": peer("recbole_step.py", file, str(folder))}
    return found


def compared(told: Mapping[str, Sequence[Told]]) -> list[Figure]:
    """The marks: how much of a peer's time ours takes, and that both have computed the same."""
    figures: list[Figure] = []
    for name, most in MOST.items():
        found, wall = (ratio(told["ours"], told[name], field) for field in ("cpu_s", "seconds"))
        figures += [_share(name, found, most), stated("step", f"the same in wall time, ours / {name}", str(wall))]
        apart = abs(told["ours"][0]["loss"] / told[name][0]["loss"] - 1)
        figures += [at_most("step", f"loss of one step, ours against {name}, relative", apart, SAME)]
    return figures


def _share(name: str, found: Ratio, most: float) -> Figure:
    what = f"time of a step, ours / {name}, turns {found.low:.3f} to {found.high:.3f}"
    return at_most("step", what, found.median, most)


def _batch(train: Part, generator: np.random.Generator) -> NDArray[np.int64]:
    rows = generator.integers(len(train), size=BATCH)
    return np.stack([*train.edges[:, rows], generator.integers(train.num_items, size=BATCH)]).astype(np.int64)
