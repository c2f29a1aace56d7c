"""A model that is a table of random logits, over items with codes of one to three levels."""

import numpy as np
import torch
from torch import Tensor

from features.codes import ItemCodes
from recommenders.generative.beam_search import Beams
from recommenders.generative.code_tokens import CodeTokens
from recommenders.generative.trie import Trie

USERS, SIZES = 3, (4, 5, 3)


class Table:
    """Logits that depend on the user and on all codes before: what no short cut can guess."""

    def __init__(self, sizes: tuple[int, ...], users: int = USERS, seed: int = 0) -> None:
        self.sizes, self.users, self.seed = sizes, users, seed
        self.told: list[list[tuple[int, ...]]] = [[()] for _ in range(users)]
        self.begun = False

    def logits(self, user: int, before: tuple[int, ...]) -> Tensor:
        drawn = np.random.default_rng([self.seed, user, *(each + 1 for each in before)])
        return torch.from_numpy(3 * drawn.normal(size=self.sizes[len(before)])).float()

    def __call__(self, parent: Tensor, code: Tensor) -> Tensor:
        if self.begun:
            self.told = [
                [(*self.told[user][above], each) for above, each in zip(*rows, strict=True)]
                for user, rows in enumerate(zip(parent.tolist(), code.tolist(), strict=True))
            ]
        self.begun = True
        return torch.stack(
            [torch.stack([self.logits(user, each) for each in self.told[user]]) for user in range(self.users)]
        )

    def forced(self, codes: Tensor) -> list[Tensor]:
        return [
            torch.stack(
                [
                    torch.stack([self.logits(user, tuple(row[:level])) for row in codes.tolist()])
                    for user in range(self.users)
                ]
            )
            for level in range(len(self.sizes))
        ]


def world(count: int, seed: int) -> tuple[CodeTokens, Trie]:
    """Distinct tuples of one to three codes, some of which begin others."""
    rng = np.random.default_rng(seed)
    drawn = {tuple(int(rng.integers(size)) for size in SIZES[: rng.integers(1, 4)]) for _ in range(count)}
    rows = [[*each, *[-1] * (3 - len(each))] for each in sorted(drawn, key=lambda each: rng.random())]
    tokens = CodeTokens.of(ItemCodes(np.array(rows, dtype=np.int32), SIZES, "made"), separator=False)
    return tokens, Trie.of(tokens.codes)


def items(trie: Trie, beams: Beams) -> list[list[int]]:
    return [[int(trie.item[trie.first[node]]) for node in row if node >= 0] for row in beams.node]
