"""The base of closed forms over items: a user's known items times an item-item kernel, nothing is trained by steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from evaluation.ranking import chunks, join, top_k
from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from recommenders.base import Recommender, known, popularity
from schemas.errors import StoreError

Float32 = NDArray[np.float32]
SCORES_AT_ONCE = 2**24  # 64 MiB of float32 scores
DENSE = 0.1  # share of entries from which a dense kernel is smaller and faster
TIE = 1e-6  # of the largest weight: popularity decides between items that the kernel scores alike


@dataclass(frozen=True)
class Kernel:
    """What an item says of another: K + sum of L R over the low-rank parts, and what users' own vectors add."""

    matrix: csr_matrix | Float32  # [I, I]
    low_rank: tuple[tuple[Float32, Float32], ...] = ()  # ([I, k], [k, I])
    users: tuple[Float32, Float32] | None = None  # ([U, k], [k, I]): scores that do not come from a user's items

    def scores(self, history: csr_matrix, users: NDArray[np.int64]) -> Float32:
        """[B, I] of users with the rows `history` [B, I]."""
        total = history @ self.matrix
        scores = np.asarray(total.toarray() if isinstance(total, csr_matrix) else total, dtype=np.float32)
        for left, right in self.low_rank:
            scores += (history @ left) @ right
        if self.users is not None:
            scores += self.users[0][users] @ self.users[1]
        return scores

    def rows(self, items: NDArray[np.int64]) -> Float32:
        """What some items [B] say of every other one: [B, I]."""
        own = (np.ones(len(items), dtype=np.float32), items, np.arange(len(items) + 1))
        history = csr_matrix(own, shape=(len(items), self.matrix.shape[0]))
        return replace(self, users=None).scores(history, items)

    @cached_property
    def largest(self) -> float:
        """The largest absolute weight of the item-item matrix."""
        values = self.matrix.data if isinstance(self.matrix, csr_matrix) else self.matrix
        return float(np.abs(values).max(initial=0.0)) or 1.0


@dataclass
class _State:
    history: csr_matrix  # float32 [U, I] what is known of a user when he is served
    known: csr_matrix  # bool [U, I] every interaction of the corpus
    kernel: Kernel
    popular: Float32  # [I]
    about: Mapping[str, Any] = field(default_factory=dict)


class ItemKernel(Recommender):
    """Scores are h_u K: the items known of a user (train; of a held-out user his reserved events) times a kernel.

    Users of whom nothing is known get popular items; popularity also decides between items that are scored alike.
    """

    seeded: ClassVar[bool] = False
    compares: ClassVar[Literal["vectors", "kernel"] | None] = "kernel"
    state: _State
    about: Mapping[str, Any] = MappingProxyType({})

    def serve(self, corpus: Corpus, kernel: Kernel) -> None:
        """Take the kernel into service."""
        history = csr_matrix(corpus.served.by_user, dtype=np.float32)
        self.state = _State(history, known(corpus), kernel, popularity(corpus.train.item_degree), dict(self.about))

    def recommend(self, users: NDArray[np.int64], k: int, seen: csr_matrix | None = None) -> Recommendations:
        state = self.state
        seen = state.known if seen is None else seen
        size = max(1, SCORES_AT_ONCE // state.history.shape[1])
        return join([self._some(users[rows], k, seen) for rows in chunks(len(users), size)], k)

    def between(self, items: NDArray[np.int64]) -> Float32:
        return self.state.kernel.rows(items)

    def _some(self, users: NDArray[np.int64], k: int, seen: csr_matrix) -> Recommendations:
        state = self.state
        scores = state.kernel.scores(state.history[users], users)
        scores += np.float32(TIE * state.kernel.largest) * state.popular
        return top_k(torch.from_numpy(scores), users, seen, k)

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        state, kernel = self.state, self.state.kernel
        arrays = {"popular": state.popular, **_csr("history", state.history), **_csr("known", state.known)}
        dense = not isinstance(kernel.matrix, csr_matrix)
        arrays |= {"kernel": _rows(kernel.matrix)} if dense else _csr("kernel", kernel.matrix)
        for number, (left, right) in enumerate(kernel.low_rank):
            arrays |= {f"left.{number}": _rows(left), f"right.{number}": _rows(right)}
        if kernel.users is not None:
            arrays |= {"user": _rows(kernel.users[0]), "user_item": _rows(kernel.users[1])}
        save_file(arrays, folder / "kernel.safetensors")
        shape = list(state.history.shape)
        facts = {**state.about, "recommender": self.name, "shape": shape, "parts": len(kernel.low_rank)}
        (folder / "recommender.json").write_text(json.dumps(facts, indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        file = folder / "kernel.safetensors"
        if not file.is_file():
            raise StoreError(f"{file}: no saved recommender here; run `loregraph train` first")
        arrays, about = load_file(file), json.loads((folder / "recommender.json").read_text())
        users, items = about.pop("shape")
        parts = tuple((arrays[f"left.{number}"], arrays[f"right.{number}"]) for number in range(about.pop("parts")))
        matrix = arrays["kernel"] if "kernel" in arrays else _from_csr(arrays, "kernel", (items, items))
        of_users = (arrays["user"], arrays["user_item"]) if "user" in arrays else None
        made = cls.__new__(cls)
        history, all_known = (_from_csr(arrays, name, (users, items)) for name in ("history", "known"))
        made.state = _State(history, all_known, Kernel(matrix, parts, of_users), arrays["popular"], about)
        return made


def compact(kernel: csr_matrix) -> csr_matrix | Float32:
    """The kernel in float32, dense where that is smaller."""
    kernel = csr_matrix(kernel, dtype=np.float32)
    if kernel.nnz > DENSE * kernel.shape[0] * kernel.shape[1]:
        return np.ascontiguousarray(kernel.toarray())
    kernel.sort_indices()
    return kernel


def _rows(x: NDArray[Any]) -> Float32:
    return np.ascontiguousarray(x, dtype=np.float32)


def _csr(name: str, matrix: csr_matrix) -> dict[str, NDArray[Any]]:
    parts = {f"{name}.indptr": matrix.indptr.astype(np.int64), f"{name}.indices": matrix.indices.astype(np.int32)}
    return parts if matrix.dtype == bool else {**parts, f"{name}.data": matrix.data.astype(np.float32)}


def _from_csr(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, int]) -> csr_matrix:
    indices = arrays[f"{name}.indices"]
    data = arrays.get(f"{name}.data", np.ones(len(indices), dtype=bool))
    return csr_matrix((data, indices, arrays[f"{name}.indptr"]), shape=shape)
