"""An approximate nearest-neighbour index of served item vectors, and how much of the exact lists it finds.

A graph of near items (HNSW, Malkov and Yashunin, arXiv 1603.09320) by inner product. That is no distance, so nothing
guarantees that a search arrives. One more dimension that brings all items to one length makes it a search by angle in
the same order (Bachrach et al., RecSys 2014); but a few long items then leave all others close together at the pole,
and where lengths differ the plain inner product finds more (measured in tests/recommenders/test_index.py).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from evaluation.ranking import chunks, join
from evaluation.recommendations import Recommendations
from recommenders.base import Float32, InnerProduct
from schemas.errors import ConfigError, StoreError

FILE, ABOUT = "items.usearch", "index.json"
FOUND_AT_ONCE = 2**20  # candidates of all users that are searched together


@dataclass(frozen=True)
class Build:
    """How an index is built: what usearch calls connectivity (M), expansion_add (efConstruction) and expansion_search.

    `metric`: "ip" is the inner product; "augmented" the cosine with one more dimension.
    """

    connectivity: int = 16
    expansion_add: int = 128
    expansion_search: int = 128
    metric: Literal["ip", "augmented"] = "ip"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class ItemIndex:
    """Item vectors [I, d] in a usearch graph; asked with user vectors [B, d], it gives the largest inner products."""

    def __init__(self, graph: Any, item: Float32, build: Build) -> None:
        self.graph, self.item, self.build = graph, item, build

    @classmethod
    def of(cls, item: Float32, build: Build = Build()) -> ItemIndex:
        """Build the index of item vectors [I, d]. Raises ConfigError where usearch is not installed."""
        graph = _graph(item.shape[1] + (build.metric == "augmented"), build)
        graph.add(np.arange(len(item), dtype=np.uint64), _augmented(item) if build.metric == "augmented" else item)
        return cls(graph, item, build)

    def search(self, vectors: Float32, k: int, seen: csr_matrix | None = None) -> Recommendations:
        """Give each of B vectors [B, d] the k items that come first without those of its row of `seen` [B, I].

        Whoever has n items seen is searched for k + n, so that k are left; a list that is shorter all the same is
        searched again, exactly. Scores are inner products. `user` counts the vectors; -1 pads where fewer than k are
        left in the catalogue.
        """
        hidden = np.diff(seen.indptr) if seen is not None else np.zeros(len(vectors), dtype=np.int64)
        groups = _groups(hidden.astype(np.int64), k, len(self.item))
        found = [self._some(vectors, rows, k, seen, wide) for rows, wide in groups]
        return _in_order(join(found, k))

    def save(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Write the graph, and then what is said of it; the item vectors are the recommender's and stay with it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ABOUT).unlink(missing_ok=True)  # no account of a graph that is not whole
        self.graph.save(str(folder / FILE))
        whole = {**about, "build": self.build.to_json(), "sha256": _digest(folder / FILE)}
        said = json.dumps(whole, indent=1)
        (folder / ABOUT).write_text(said, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, item: Float32) -> ItemIndex:
        """Read what `save` wrote, of the item vectors [I, d]. Raises StoreError where it is not there or another's.

        A graph that is not the one that was saved is never opened: usearch's reader trusts what it reads.
        """
        about = read_about(folder)
        if about is None:
            raise StoreError(f'{folder}: no index here; run `loregraph recommend` with index = "usearch" first')
        if not (folder / FILE).is_file() or _digest(folder / FILE) != about["sha256"]:
            raise StoreError(
                f"{folder / FILE}: not the file that {ABOUT} tells of; move the folder away and run recommend again"
            )
        try:
            build = Build(**about["build"])
            graph = _graph(item.shape[1] + (build.metric == "augmented"), build)
            graph.load(str(folder / FILE))
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise StoreError(f"{folder / FILE}: damaged, no index ({error}); run recommend again") from None
        if len(graph) != len(item):
            raise StoreError(f"{folder / FILE}: expected {len(item)} items, found {len(graph)}; run recommend again")
        return cls(graph, item, build)

    def _some(
        self, vectors: Float32, rows: NDArray[np.int64], k: int, seen: csr_matrix | None, wide: int
    ) -> Recommendations:
        some, mask = vectors[rows], None if seen is None else seen[rows]
        item = self._first(some, k, mask, wide)
        short = np.flatnonzero((item < 0).any(axis=1))
        if len(short):
            item[short] = self._first(some[short], k, None if mask is None else mask[short], wide, exact=True)
        score = np.einsum("bd,bkd->bk", some, self.item[item])
        score[item < 0] = -np.inf
        return Recommendations(rows, item, score.astype(np.float32))

    def _first(
        self, some: Float32, k: int, seen: csr_matrix | None, wide: int, exact: bool = False
    ) -> NDArray[np.int64]:
        """Rows of the first k of `wide` found items that are not seen: [B, k], padded with -1."""
        query = np.pad(some, ((0, 0), (0, 1))) if self.build.metric == "augmented" else some
        matches = self.graph.search(np.ascontiguousarray(query, dtype=np.float32), wide, exact=exact)
        keys = np.atleast_2d(matches.keys).astype(np.int64)  # [B, wide]
        counts = np.asarray(getattr(matches, "counts", keys.shape[1]))  # one query alone has none, and is not padded
        free = np.arange(keys.shape[1]) < counts.reshape(-1, 1)
        if seen is not None:
            free &= ~_contains(seen, keys)
        order = np.argsort(~free, axis=1, kind="stable")[:, :k]
        first = np.where(np.take_along_axis(free, order, axis=1), np.take_along_axis(keys, order, axis=1), -1)
        return np.pad(first, ((0, 0), (0, k - first.shape[1])), constant_values=-1)


def read_about(folder: Path) -> dict[str, Any] | None:
    """What is said of the index in a folder; None where there is none that is whole."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return about if isinstance(about, dict) and "sha256" in about else None


def index_of(recommender: InnerProduct, build: Build = Build()) -> ItemIndex:
    """Build the index of what a model has learned of its items; dimensions that only order the rest stay out."""
    return ItemIndex.of(_learned(recommender.item, recommender), build)


def load_index(folder: Path, recommender: InnerProduct) -> ItemIndex:
    """Read the index of a recommender. Raises StoreError where it is not there or another's."""
    return ItemIndex.load(folder, _learned(recommender.item, recommender))


def recommend_by(index: ItemIndex, recommender: InnerProduct, users: NDArray[np.int64], k: int) -> Recommendations:
    """What `recommend` gives users [B], by the index; whoever has no vector of his own is ranked exactly."""
    vectors = _learned(recommender.user[users], recommender)
    own = np.linalg.norm(vectors, axis=1) > 0
    found = index.search(vectors[own], k, recommender.known[users[own]])
    near = Recommendations(np.flatnonzero(own)[found.user], found.item, found.score)
    rest = recommender.recommend(users[~own], k)
    both = _in_order(join([near, Recommendations(np.flatnonzero(~own), rest.item, rest.score)], k))
    return Recommendations(users, both.item, both.score)


def recall(found: Recommendations, exact: Recommendations) -> float:
    """Mean share of the exact lists that the found ones of the same users have; 1 where there is nothing to find."""
    lists = [(ours, theirs[theirs >= 0]) for ours, theirs in zip(found.item, exact.item, strict=True)]
    shares = [float(np.isin(wanted, ours).mean()) for ours, wanted in lists if len(wanted)]
    return float(np.mean(shares)) if shares else 1.0


def check_usearch(where: str) -> None:
    """Raise ConfigError where usearch is not installed."""
    if importlib.util.find_spec("usearch") is None:
        raise ConfigError(f"{where}: usearch is not installed; run `pip install 'loregraph[ann]'`")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _graph(ndim: int, build: Build) -> Any:
    check_usearch("index")
    from usearch.index import Index

    return Index(
        ndim=ndim,
        metric="cos" if build.metric == "augmented" else "ip",
        dtype="f32",
        connectivity=build.connectivity,
        expansion_add=build.expansion_add,
        expansion_search=build.expansion_search,
    )


def _augmented(item: Float32) -> Float32:
    """Item vectors of one length: [I, d + 1]. With [q, 0] their cosine orders as the inner product with q does."""
    square = np.square(item, dtype=np.float64).sum(axis=1)
    most = square.max(initial=0.0) or 1.0
    return np.column_stack([item, np.sqrt(most - square)]).astype(np.float32)


def _learned(vectors: Float32, recommender: InnerProduct) -> Float32:
    return np.ascontiguousarray(vectors[:, : recommender.learned])


def _groups(hidden: NDArray[np.int64], k: int, items: int) -> Iterator[tuple[NDArray[np.int64], int]]:
    """Rows of the vectors that are searched together, and for how many: at least k more than any of them has seen."""
    wide = np.minimum(2 ** np.ceil(np.log2(hidden + k)).astype(np.int64), items)
    for width in np.unique(wide):
        rows = np.flatnonzero(wide == width)
        yield from ((rows[some], int(width)) for some in chunks(len(rows), max(1, FOUND_AT_ONCE // int(width))))


def _contains(seen: csr_matrix, keys: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a row of `seen` [B, I] has the columns `keys` [B, n] of the same row: [B, n]."""
    columns = seen.shape[1]
    row = np.repeat(np.arange(seen.shape[0], dtype=np.int64), np.diff(seen.indptr))
    return np.isin(keys + np.arange(len(keys))[:, None] * columns, row * columns + seen.indices)


def _in_order(found: Recommendations) -> Recommendations:
    order = np.argsort(found.user, kind="stable")
    return Recommendations(found.user[order], found.item[order], found.score[order])
