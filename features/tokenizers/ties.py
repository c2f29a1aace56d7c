"""Items that share their codes are told apart: by one more code, or by another last one (TIGER 3.1, LETTER 3.2)."""

from __future__ import annotations

from itertools import chain, count
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

Ties = Annotated[
    Literal["extra", "nearest", "sinkhorn"],
    Field(description="how items of equal codes are told apart: one more code, the nearest free last one, or spread"),
]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Floating = NDArray[np.floating]

ROUNDS = 20  # of Sinkhorn's reassignment, as published for LETTER
EPSILON, ITERATIONS = 0.003, 50


def settle(codes: Int32, taken: Int32, ties: Ties, distance: Floating | None = None) -> Int32:
    """Distinct codes [n, L'] of rows with codes [n, L], none of them in `taken` [M, L'].

    extra: a last code 0, 1, 2, ... in row order, after those that are taken (L' = L + 1). nearest: the first row keeps
    its codes, the others get the nearest last code that is free. sinkhorn: rows that share codes are spread over the
    last codes evenly, and what still ties goes to the nearest; beside `taken` the nearest alone decides.
    `distance` [n, K]: of a row from each code of the last level, for the two that move it.
    """
    if ties == "extra":
        return with_extra_code(codes, taken)
    assert distance is not None, "tokenizers that move codes know their distances"
    if ties == "sinkhorn" and not len(taken):
        codes = spread(codes, distance)
    return with_nearest_free(codes, taken, distance)


def groups(codes: Int32) -> Int64:
    """The number of each row's tuple [N], by order of the tuples; rows without any code are of one."""
    if not codes.shape[1]:
        return np.zeros(len(codes), dtype=np.int64)
    return np.unique(codes, axis=0, return_inverse=True)[1].ravel()


def tied(codes: Int32) -> NDArray[np.bool_]:
    """Which rows share their tuple with another one: [N]."""
    group = groups(codes)
    return np.bincount(group, minlength=1)[group] > 1


def with_extra_code(codes: Int32, taken: Int32) -> Int32:
    """Codes [n, L + 1]: the next free number of a row's tuple, in row order."""
    group = groups(np.concatenate([taken[:, : codes.shape[1]], codes]).astype(np.int32))
    first = np.zeros(group.max(initial=-1) + 1, dtype=np.int64)
    np.maximum.at(first, group[: len(taken)], taken[:, -1] + 1)
    mine = group[len(taken) :]
    return np.column_stack([codes, first[mine] + _rank_in_group(mine)]).astype(np.int32)


def with_nearest_free(codes: Int32, taken: Int32, distance: Floating) -> Int32:
    """Codes [n, L]: a row whose tuple is taken, or another row's before it, moves to the nearest free last code.

    Where all K are taken the level grows: hundreds of items without a vector have the same codes, and none is left out.
    """
    found, used = codes.copy(), set(map(tuple, taken.tolist()))
    late = []
    for row, each in enumerate(map(tuple, codes.tolist())):
        if each in used:
            late.append(row)
        used.add(each)
    for row in late:
        prefix = tuple(codes[row, :-1].tolist())
        preferred = chain(np.argsort(distance[row], kind="stable").tolist(), count(distance.shape[1]))
        code = next(code for code in preferred if (*prefix, code) not in used)
        found[row, -1] = code
        used.add((*prefix, code))
    return found


def spread(codes: Int32, distance: Floating) -> Int32:
    """Codes [n, L] whose tied rows were given last codes by Sinkhorn's balanced assignment, 20 times at most."""
    codes = codes.copy()
    for _ in range(ROUNDS):
        group, before = groups(codes), codes.copy()
        for each in np.flatnonzero(np.bincount(group) > 1):
            rows = np.flatnonzero(group == each)
            codes[rows, -1] = sinkhorn(distance[rows]).argmax(axis=1)
        if np.array_equal(codes, before):
            break
    return codes


def sinkhorn(distance: Floating, epsilon: float = EPSILON, iterations: int = ITERATIONS) -> NDArray[np.float64]:
    """A transport plan [n, K] from rows to codes by distances [n, K]: rows sum to 1/n, columns (but for rest) to 1/K.

    Distances are centred and scaled to [-1, 1] first, as LETTER does; Cuturi, NeurIPS 2013.
    """
    high, low = float(distance.max()), float(distance.min())
    middle = (high + low) / 2
    kernel = np.exp(-(distance.astype(np.float64) - middle) / ((high - middle + 1e-5) * epsilon))
    row, column = np.full(len(kernel), 1.0 / len(kernel)), np.full(kernel.shape[1], 1.0 / kernel.shape[1])
    right = np.ones(kernel.shape[1])
    for _ in range(iterations):
        right = column / np.maximum(kernel.T @ (row / np.maximum(kernel @ right, 1e-300)), 1e-300)
    left = row / np.maximum(kernel @ right, 1e-300)
    plan: NDArray[np.float64] = left[:, None] * kernel * right
    return plan


def ranks(value: Int64) -> Int64:
    """The place of each value in ascending order, equal ones as they come: [n]."""
    place = np.empty(len(value), dtype=np.int64)
    place[np.argsort(value, kind="stable")] = np.arange(len(value))
    return place


def _rank_in_group(group: Int64) -> Int64:
    """How many rows of the same group come before each row: [n]."""
    order = np.argsort(group, kind="stable")
    start = np.searchsorted(group[order], np.arange(group.max(initial=-1) + 1))
    rank = np.empty(len(group), dtype=np.int64)
    rank[order] = np.arange(len(group)) - start[group[order]]
    return rank
