"""memory, closed_form, quality: whole runs on Gowalla, each in a process of its own from its first line to its last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.child import run_json
from benchmarks.environment import ROOT
from benchmarks.figures import Figure, at_least, at_most, stated
from benchmarks.graph.turns import THREADS, environment, ours
from benchmarks.graph.world import MISSING, is_there
from schemas.sections import Option

MOST_MB = 1300.0
GF_CF: Mapping[str, Option] = {  # chosen on the validation part of infra/runs/gowalla.toml, by Recall@20
    "user_power": 0.6,
    "in_power": 0.6,
    "out_power": 0.4,
    "alpha": 0.15,
    "rank": 512,
}
CLOSED_RECALL, CLOSED_S = 0.186, 60.0
RUN = ROOT / "infra" / "runs" / "gowalla.toml"
RECALL, NDCG = 0.1824, 0.1547  # He et al. 2020, three layers, 1,000 epochs
MOST_S = 1800.0


def memory(folder: Path, batch: int) -> list[Figure]:
    """The peak of a training run with validation and test; Gowalla, or the synthetic graph of its size."""
    found = run_json(ours("clients.training", str(folder), str(batch)), **environment(THREADS))
    name = "Gowalla" if is_there() else "synthetic"
    about = f"an epoch of {found['edges']:,} pairs in batches of {batch:,} and its validation, {name}"
    what = "peak of a training run of LightGCN, dim 64, reading, validation and test included"
    return [
        at_most("memory", what, found["peak_mb"], MOST_MB, " MB"),
        stated("memory", about, f"{found['seconds']:.0f} s, Recall@20 {found['recall']:.4f}"),
    ]


def closed_form() -> list[Figure]:
    """GF-CF from the published train part to every test user's 20 items."""
    if not is_there():
        return [stated("closed_form", "GF-CF on Gowalla", MISSING)]
    found = run_json(ours("clients.closed_form", json.dumps(dict(GF_CF))), **environment(THREADS))
    parts = f"fit {found['fit_s']:.1f} s, ranking {found['users']:,} users {found['rank_s']:.1f} s"
    return [
        at_least("closed_form", "Recall@20 of GF-CF on Gowalla's test part", found["recall@20"], CLOSED_RECALL),
        stated("closed_form", "NDCG@20", f"{found['ndcg@20']:.4f}"),
        less_of("closed_form", f"time of all ({parts})", found, CLOSED_S),
        stated("closed_form", "peak of memory, reading included", f"{found['peak_mb']:,.0f} MB"),
    ]


def quality(folder: Path) -> list[Figure]:
    """How long the run file's graph model takes to LightGCN's published quality."""
    if not is_there():
        return [stated("quality", "Gowalla", MISSING)]
    found = run_json(ours("clients.quality", str(RUN), str(folder)))
    return [
        stated(
            "quality",
            f"{found['name']}, epochs with validation",
            f"{found['epochs']}, {found['peak_mb']:,.0f} MB at most",
        ),
        at_least("quality", "Recall@20 on test", found["recall@20"], RECALL),
        at_least("quality", "NDCG@20 on test", found["ndcg@20"], NDCG),
        less_of("quality", "time of fitting, selection and refit", found, MOST_S),
    ]


def quality_short(folder: Path) -> list[Figure]:
    """Whether all of it runs: two epochs on the dense core, without a mark."""
    if not is_there():
        return [stated("quality", "Gowalla", MISSING)]
    found = run_json(ours("clients.quality", str(RUN), str(folder), "short"), **environment(THREADS))
    values = f"{found['seconds']:.0f} s, Recall@20 {found['recall@20']:.4f}, NDCG@20 {found['ndcg@20']:.4f}"
    return [stated("quality", f"{found['name']}, two epochs and a refit on the dense core of Gowalla", values)]


def less_of(requirement: str, what: str, found: Mapping[str, Any], most: float) -> Figure:
    """The less of wall and CPU time: an idle machine takes at most that, and other work on this one must not decide."""
    told = f"{what}; wall {found['seconds']:.0f} s, CPU {found['cpu_s']:.0f} s, the less of them"
    return at_most(requirement, told, min(found["seconds"], found["cpu_s"]), most, " s")
