"""A trie over tuples of codes, as arrays: what a constrained search walks; the items below a node are one range."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Trie:
    """Nodes level by level, the root first; the children of a node are consecutive, in the order of their codes.

    Items are in depth-first order, those that end at a node before those below it, so that the items at and below a
    node are `item[first:last]`, and any sum over them is a difference of two prefix sums.
    """

    code: Tensor  # int64 [N] of the edge that leads to a node; -1 of the root
    begin: Tensor  # int64 [N + 1] children of node n: begin[n] to begin[n + 1]
    first: Tensor  # int64 [N]
    last: Tensor  # int64 [N]
    item: Tensor  # int64 [I] rows of the codes that it was made of
    depth: int  # codes of the longest tuple

    @classmethod
    def of(cls, codes: NDArray[Any]) -> Self:
        """Build from codes [I, L], tuples that end where -1 begins; equal tuples share a node, in row order."""
        order = np.lexsort(codes.T[::-1]) if codes.shape[1] else np.arange(len(codes))
        ordered = codes[order].astype(np.int64)
        real = ordered >= 0
        assert not (real[:, 1:] & ~real[:, :-1]).any(), "only the end of a tuple is -1"
        fresh = np.ones(codes.shape, dtype=bool)  # whether a row is the first with its prefix
        fresh[1:] = np.logical_or.accumulate(ordered[1:] != ordered[:-1], axis=1)
        levels = [_level(ordered[:, level], real[:, level], fresh[:, level]) for level in range(codes.shape[1])]
        code = np.concatenate([[-1], *(each[0] for each in levels)])
        first = np.concatenate([[0], *(each[1] for each in levels)])
        last = np.concatenate([[len(codes)], *(each[2] for each in levels)])
        begin = 1 + np.concatenate([[0], np.cumsum(_children(real & fresh, len(code)))])
        depth = int(real.sum(axis=1).max(initial=0))
        return cls(_tensor(code), _tensor(begin), _tensor(first), _tensor(last), _tensor(order), depth)

    def to(self, device: torch.device) -> Trie:
        """The same on a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "depth"}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})

    def extended(self, node: Tensor) -> tuple[Tensor, Tensor]:
        """What may follow nodes [M]: the place in `node` [C] and the child [C], place by place.

        A node without children is followed by itself, and -1 by nothing.
        """
        at = node.clamp(min=0)
        start = self.begin[at]
        children = self.begin[at + 1] - start
        count = torch.where(node < 0, 0, children.clamp(min=1))
        place = torch.repeat_interleave(count)
        offset = torch.arange(len(place), device=node.device) - (count.cumsum(0) - count)[place]
        return place, torch.where(children > 0, start, at)[place] + offset

    def is_leaf(self, node: Tensor) -> Tensor:
        """Whether nodes have no children: bool, of the shape of `node`, none of which is -1."""
        return self.begin[node + 1] == self.begin[node]


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(array.astype(np.int64))


def _level(code: Int64, real: NDArray[np.bool_], fresh: NDArray[np.bool_]) -> tuple[Int64, Int64, Int64]:
    """The nodes of one level: their codes, and the first row and the row after the last below each."""
    begins = np.flatnonzero(fresh)
    ends = np.append(begins[1:], len(code))
    kept = real[begins]
    return code[begins[kept]], begins[kept], ends[kept]


def _children(node: NDArray[np.bool_], num_nodes: int) -> Int64:
    """How many children every node has: [N], of `node` [I, L], whether a row brings a new node at a level."""
    count, parent, next_free = np.zeros(num_nodes, dtype=np.int64), np.zeros(len(node), dtype=np.int64), 1
    for level in node.T:
        np.add.at(count, parent[level], 1)
        parent = next_free + np.cumsum(level) - 1  # of rows whose tuple has ended a wrong one, which nobody asks for
        next_free += int(level.sum())
    return count
