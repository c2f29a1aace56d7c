"""Small random train parts and text tables."""

import numpy as np

from features.corpus import Part
from features.table import FeatureTable


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
