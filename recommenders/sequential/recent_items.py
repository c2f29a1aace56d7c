"""The base of closed forms that look at a user's most recent items alone: controls of sequential models."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from features.corpus import Corpus, Part
from graph_models.options import Size
from recommenders.base import Recommender
from recommenders.histories import Histories
from recommenders.item_kernel import ItemKernel, Kernel

Recent = Annotated[Size, Field(description="last items of a user that are looked at")]


class RecentItems(ItemKernel):
    """Scores are the last `recent` items times a kernel; at test those of validation are among them.

    As with sequential models, on validation a user has his train history alone.
    """

    def serve_recent(self, corpus: Corpus, kernel: Kernel, recent: int) -> None:
        """Take the kernel into service."""
        self.serve(corpus, kernel)
        self._train_only = _last(corpus.served, recent)
        self.state = replace(self.state, history=_last(corpus.joined.served, recent))

    def for_validation(self) -> Recommender:
        judged = copy(self)
        judged.state = replace(self.state, history=self._train_only)
        return judged


def _last(part: Part, recent: int) -> csr_matrix:
    """Every user's last items: float32 [U, I], a repeated one once."""
    histories = Histories.of(part)
    item, _ = histories.last(np.arange(part.num_users), recent, part.num_items)
    user, place = np.nonzero(item < part.num_items)
    pairs = (np.ones(len(user), dtype=np.float32), (user, item[user, place]))
    matrix = csr_matrix(pairs, shape=(part.num_users, part.num_items))
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix
