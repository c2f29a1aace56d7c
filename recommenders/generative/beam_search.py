"""Beam search over the tuples of a trie, many users at once: every result is an item, always in the same order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from evaluation.best import Dense, best_of
from recommenders.generative.trie import Trie


class Step(Protocol):
    """The model, which remembers what it has read: keys and values of the beams of the call before."""

    def __call__(self, parent: Tensor, code: Tensor) -> Tensor:
        """Logits [B, W, V] of what follows beams [B, W], each beam `parent` of the call before and one `code` more.

        The first call has one beam of each user, with code -1: nothing yet. V may change from call to call. Whatever
        is given for finished and dead beams, whose code is -1 as well, is ignored.
        """
        ...


class Assistant(Protocol):
    """What mixes its own log probabilities into those of the model."""

    def __call__(self, row: Tensor, parent: Tensor, child: Tensor) -> Tensor:
        """Log probability [C] of nodes `child` after nodes `parent`, of users `row`: [C] each."""
        ...


@dataclass(frozen=True)
class Beams:
    """The first leaves of every user, best first, those of equal score in the order of their items."""

    node: Tensor  # int64 [B, W]; -1 pads
    score: Tensor  # float32 [B, W]; -inf where padded


@dataclass(frozen=True)
class Seen:
    """What each user must not get: items as sorted numbers, row * I + place in the order of the trie."""

    key: Tensor  # int64 [S]
    num_items: int

    @classmethod
    def of(cls, trie: Trie, row: Tensor, item: Tensor) -> Seen:
        """Of rows [S] of users and their items [S]."""
        place = torch.empty_like(trie.item)
        place[trie.item] = torch.arange(len(place), device=place.device)
        return cls((row * len(place) + place[item]).sort().values, len(place))

    def covers(self, trie: Trie, row: Tensor, node: Tensor) -> Tensor:
        """Whether all items at and below nodes [C] are seen by users `row` [C]: bool [C]."""
        first, last = trie.first[node], trie.last[node]
        low, high = (torch.searchsorted(self.key, row * self.num_items + each) for each in (first, last))
        return high - low == last - first


@dataclass(frozen=True)
class Search:
    """How to search a trie of tuples none of which begins another: `beam` of them are kept after every code.

    The score of a tuple is the sum of the log probabilities of its codes, without any normalisation for its length.
    They are those of the softmax over all codes of a level, or with `renormalise` over those that the trie allows. With
    an assistant a step's is alpha times the model's and 1 - alpha times the assistant's (D3, arXiv 2406.14900).
    """

    trie: Trie
    beam: int
    renormalise: bool = False
    alpha: float = 1.0

    @torch.no_grad()
    def __call__(self, step: Step, users: int, seen: Seen | None = None, assistant: Assistant | None = None) -> Beams:
        """Search for so many users. What they have seen is left out before a cut, with the prefixes of nothing else."""
        device = self.trie.code.device
        beams = Beams(*(torch.zeros(users, 1, dtype=kind, device=device) for kind in (torch.int64, torch.float32)))
        parent, code = beams.node, beams.node - 1
        for _ in range(self.trie.depth):
            row, child, score = self._candidates(beams, step(parent, code), seen, assistant)
            width = beams.node.shape[1]
            best, place = _best_of_rows(score, row // width, users, self.beam)
            dead = best == -torch.inf
            beams = Beams(_at(child, place).masked_fill(dead, -1), best)
            parent = (_at(row, place) % width).masked_fill(dead, 0)
            node = beams.node.clamp(min=0)
            code = self.trie.code[node].masked_fill(dead | self.trie.is_leaf(node), -1)
            if (code < 0).all():
                break
        return self._in_order(beams)

    def _candidates(
        self, beams: Beams, logits: Tensor, seen: Seen | None, assistant: Assistant | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What may follow the beams: the beam [C], its new node [C] and score [C]."""
        node, logits = beams.node.flatten(), logits.flatten(0, 1).float()  # [B W], [B W, V]
        row, child = self.trie.extended(node)
        if seen is not None:
            dropped = seen.covers(self.trie, row // beams.node.shape[1], child)
        before, finished = node[row], node[row] == child
        logit = logits[row, self.trie.code[child].masked_fill(finished, 0)]
        total = _logsumexp(logit, row, len(node)) if self.renormalise else logits.logsumexp(dim=1)
        gained = logit - total[row]
        if assistant is not None:
            theirs = assistant(row // beams.node.shape[1], before, child)
            gained = _mixed(gained, theirs, self.alpha)
        score = beams.score.flatten()[row] + gained.masked_fill(finished, 0)
        return (row, child, score) if seen is None else (row[~dropped], child[~dropped], score[~dropped])

    def _in_order(self, beams: Beams) -> Beams:
        last = torch.iinfo(torch.int64).max
        item = self.trie.item[self.trie.first[beams.node.clamp(min=0)]].masked_fill(beams.node < 0, last)
        by_item = item.argsort(dim=1)
        best, place = beams.score.gather(1, by_item).sort(dim=1, descending=True, stable=True)
        return Beams(beams.node.gather(1, by_item.gather(1, place)), best)


def _mixed(ours: Tensor, theirs: Tensor, alpha: float) -> Tensor:
    """The weighted sum of log probabilities; a weight of zero leaves out even -inf."""
    if alpha == 0:
        return theirs
    return ours if alpha == 1 else alpha * ours + (1 - alpha) * theirs


def _logsumexp(x: Tensor, group: Tensor, groups: int) -> Tensor:
    """Of the members of each group: [groups], of x [C] and group [C]."""
    highest = x.new_full((groups,), -torch.inf).scatter_reduce(0, group, x, "amax")
    return highest + x.new_zeros(groups).index_add(0, group, (x - highest[group]).exp()).log()


def _best_of_rows(score: Tensor, row: Tensor, rows: int, k: int) -> tuple[Tensor, Tensor]:
    """The k best of each row's scores, and their places in `score`: [rows, at most k]; padded with -inf and 0."""
    count = torch.bincount(row, minlength=rows)
    width = max(int(count.max()), 1) if rows else 1
    column = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    scores = score.new_full((rows, width), -torch.inf)
    scores[row, column] = score
    place = row.new_zeros(rows, width)
    place[row, column] = torch.arange(len(row), device=row.device)
    best, chosen = best_of(Dense(scores), min(k, width), width)
    return best, place.gather(1, chosen)


def _at(values: Tensor, place: Tensor) -> Tensor:
    """Values at places; zeros where there are no values at all."""
    return values[place] if len(values) else torch.zeros_like(place)
