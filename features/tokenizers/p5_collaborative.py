"""P5's collaborative indexing: an item's path through clusters of items that the same users have."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from features.tokenizers.base import Clusters, Int32, Int64, Largest, Seed, TokenInputs, Tokenizer
from features.tokenizers.spectral import cluster_paths, together


class P5Collaborative(Tokenizer):
    """Spectral clusters of the co-occurrence in train, split again until they have at most `largest` items.

    Codes are the path, 0 where it has ended; one more code is the number in the last cluster. Clusters of a level have
    codes of that level alone. A new item goes the path of the items that most of its users have; one that train does
    not know goes to the cluster of those.
    """

    source: ClassVar[str] = "Hua et al., SIGIR-AP 2023 (P5 indexing: CID), arXiv 2305.06569"
    reads_train: ClassVar[bool] = True

    def __init__(self, *, clusters: Clusters = 20, largest: Largest = 500, seed: Seed = 0) -> None:
        super().__init__()
        self.clusters, self.largest, self.seed = clusters, largest, seed

    @property
    def sizes(self) -> tuple[int, ...]:
        deepest = self.arrays["deepest"].tolist()
        return (self.clusters + 2, *(int(code) + 1 for code in deepest[1:]))

    def encode(self, inputs: TokenInputs) -> Int32:
        known = self.about["rows"]
        row = np.array([known.get(id, -1) for id in inputs.ids])
        found = np.zeros((len(row), self.arrays["paths"].shape[1]), dtype=np.int32)
        found[:, 0] = self.clusters + 1
        found[row >= 0] = self.arrays["paths"][row[row >= 0]]
        if (row < 0).any() and inputs.train is not None:
            self._place(inputs, row, found)
        return found

    def _place(self, inputs: TokenInputs, row: Int64, found: Int32) -> None:
        """Give new items the path that most of their company has; of equally many the first."""
        assert inputs.train is not None, "asked by encode"
        paths, of_path = np.unique(self.arrays["paths"], axis=0, return_inverse=True)
        counts = together(inputs.train)
        for new in np.flatnonzero(row < 0):
            company = counts.indices[counts.indptr[new] : counts.indptr[new + 1]]
            weight = counts.data[counts.indptr[new] : counts.indptr[new + 1]][row[company] >= 0]
            company = company[row[company] >= 0]
            if len(company):
                votes = np.bincount(of_path.ravel()[row[company]], weights=weight, minlength=len(paths))
                found[new] = paths[votes.argmax()]

    def _fit(self, inputs: TokenInputs) -> None:
        assert inputs.train is not None, "checked by fit"
        paths = cluster_paths(together(inputs.train), self.clusters, self.largest, self.seed).astype(np.int32)
        self.arrays = {"paths": paths, "deepest": paths.max(axis=0)}
        self.about = {"rows": {id: row for row, id in enumerate(inputs.ids)}}
