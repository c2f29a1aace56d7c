"""Small random train parts, text tables, proposed edges and batches."""

import numpy as np
import torch

from features.corpus import Part
from features.table import EdgeTable, FeatureTable
from graph_models.dataset import GraphDataset
from graph_models.sampler import Batch, Candidates


def make_part(users: int = 12, items: int = 9, edges: int = 40, seed: int = 0) -> Part:
    """Random edges with duplicates; the last user and the last item have none."""
    rng = np.random.default_rng(seed)
    pairs = np.stack([rng.integers(users - 1, size=edges), rng.integers(items - 1, size=edges)])
    return Part(users, items, pairs, np.arange(edges), np.ones(edges, dtype=np.float32))


def make_text(kind: str, rows: int, dim: int = 6, missing: tuple[int, ...] = (), seed: int = 0) -> FeatureTable:
    x = np.random.default_rng(seed).normal(size=(rows, dim)).astype(np.float32)
    present = np.ones(rows, dtype=bool)
    x[list(missing)], present[list(missing)] = 0, False
    return FeatureTable(kind, x, present, f"made.{kind}")


def make_edges(*rows: tuple[int, int, int, float], source: str = "llmrec.edges") -> EdgeTable:
    """Of (user, item, label, weight)."""
    user, item, label, weight = zip(*rows, strict=True) if rows else ((), (), (), ())
    return EdgeTable(
        np.array(user, np.int64),
        np.array(item, np.int64),
        np.array(label, np.int8),
        np.array(weight, np.float32),
        source,
    )


def make_batch(user: list[int], positive: list[int], negative: list[int], shared: bool = False) -> Batch:
    """One negative for each pair, or some that all pairs share, none of them masked."""
    pairs = [torch.tensor(each) for each in (user, positive, negative)]
    if not shared:
        return Batch(*pairs)
    distinct, row = pairs[0].unique(return_inverse=True)
    return Batch(*pairs, Candidates(distinct, row, pairs[2], torch.empty(2, 0, dtype=torch.int64)))


def make_vectors(graph: GraphDataset, dim: int = 4, seed: int = 0) -> torch.Tensor:
    """Random vectors of all nodes that want a gradient."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(graph.num_users + graph.num_items, dim, generator=generator, requires_grad=True)
