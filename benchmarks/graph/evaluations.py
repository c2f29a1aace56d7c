"""evaluation: full ranking of all users with train left out, beside implicit's `recommend` and the bare product."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import Figure, at_least, at_most, stated
from benchmarks.graph.clients.ranking import BLOCKS
from benchmarks.graph.peers import PEERS
from benchmarks.graph.turns import THREADS, Told, alternate, clients, described, ours, peer, ratio, saved
from benchmarks.graph.world import World, world
from graph_models.spectrum import singular_vectors

DIM, K = 64, 20
MOST_OF_PEER, MOST_OF_PRODUCT = 1.0, 3.0
SAME = 0.999  # share of the top 20 that both find; factors are rounded differently on the way to a score
SHOWN = {
    "rank": "ours: rank_vectors",
    "evaluate": "ours: rank_vectors and metrics",
    "implicit": "implicit recommend",
    **{f"product {size}": f"the product alone, {size} users at once" for size in BLOCKS},
}


def evaluations(folder: Path, turns: int, share: float = 1.0) -> list[Figure]:
    """Time of ranking over implicit's, and of ranking with metrics over the product; `share` of the users is ranked."""
    given = world()
    users = np.arange(round(share * given.train.num_users))
    file = _saved(folder, given, users)
    found = {name: str(folder / f"{name}.npy") for name in ("ours", "implicit")}
    commands = {"ours": ours("clients.ranking", file, found["ours"])}
    if PEERS.is_set_up:
        commands["implicit"] = peer("implicit_ranking.py", file, found["implicit"])
    with clients(commands) as started:
        tasks = {name: (started["ours"], name) for name in SHOWN if name != "implicit"}
        tasks |= {"implicit": (started["implicit"], "rank")} if PEERS.is_set_up else {}
        told = alternate(tasks, turns)
    about = f"{len(users):,} users ranked, top {K}, dim {DIM}, threads: {THREADS}, {given.about}"
    figures = [stated("evaluation", SHOWN[name], described(each)) for name, each in told.items()]
    if not PEERS.is_set_up:
        return [stated("evaluation", about, PEERS.missing), *figures, over_product(told)]
    items = {name: np.load(each) for name, each in found.items()}
    return [stated("evaluation", "in turns", about), *figures, over_product(told), *over_implicit(told, items)]


def _saved(folder: Path, given: World, users: NDArray[np.int64]) -> str:
    """Factors from an SVD of the train matrix, and a held-out pair for every user, which costs what any would."""
    left, values, right = singular_vectors(given.train.by_user, DIM)
    root = np.sqrt(values)
    held = np.random.default_rng(0).integers(given.train.num_items, size=given.train.num_users)
    return saved(
        folder,
        "factors",
        user_factors=np.ascontiguousarray(left * root, dtype=np.float32),
        item_factors=np.ascontiguousarray((right * root[:, None]).T, dtype=np.float32),
        user=given.train.edges[0],
        item=given.train.edges[1],
        held_user=np.arange(given.train.num_users),
        held_item=held,
        users=users,
        k=K,
    )


def over_product(told: Mapping[str, Sequence[Told]]) -> Figure:
    found = min((ratio(told["evaluate"], told[f"product {size}"]) for size in BLOCKS), key=lambda each: -each.median)
    what = f"time of ranking and metrics, ours / the faster product, turns {found.low:.2f} to {found.high:.2f}"
    return at_most("evaluation", what, found.median, MOST_OF_PRODUCT)


def over_implicit(told: Mapping[str, Sequence[Told]], items: Mapping[str, NDArray[np.int64]]) -> list[Figure]:
    found, wall = (ratio(told["rank"], told["implicit"], field) for field in ("cpu_s", "seconds"))
    what = f"time of ranking, ours / implicit, turns {found.low:.2f} to {found.high:.2f}"
    return [
        at_most("evaluation", what, found.median, MOST_OF_PEER),
        stated("evaluation", "the same in wall time", str(wall)),
        at_least("evaluation", f"share of the top {K} that both have found", overlap(*items.values()), SAME),
    ]


def overlap(one: NDArray[np.int64], other: NDArray[np.int64]) -> float:
    """Mean share of a row's items that the other has in the same row: [B, k] each."""
    return float((one[:, :, None] == other[:, None, :]).any(axis=2).mean())
