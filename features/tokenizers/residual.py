"""What residual quantisers share once they are fitted: codebooks, and the vector that they quantise."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from features.quantiser import Codebooks
from features.tokenizers.base import Float32, Int32, TokenInputs, Tokenizer


class ResidualTokenizer(Tokenizer):
    """Codes are the nearest centres of a text vector's residuals, coarse first.

    An item without a vector is coded as the mean of those that `fit` saw.
    """

    reads_text: ClassVar[bool] = True

    @abstractmethod
    def latent(self, x: Float32) -> Float32:
        """What is quantised of text vectors [N, D]: [N, d], each row of itself alone."""

    def keep_books(self, books: Codebooks, missing: Float32) -> None:
        """Remember fitted codebooks, and the vector [d] that stands for an item without one."""
        self.arrays |= {"mean": books.mean, "missing": missing}
        self.arrays |= {f"centres.{level}": centre for level, centre in enumerate(books.centres)}
        self.about["levels"] = len(books.centres)

    @property
    def books(self) -> Codebooks:
        """The fitted codebooks."""
        centres = tuple(self.arrays[f"centres.{level}"] for level in range(self.about["levels"]))
        return Codebooks(self.arrays["mean"], centres)

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.books.sizes

    def encode(self, inputs: TokenInputs) -> Int32:
        return self.books.encode(self._quantised(inputs)).astype(np.int32)

    def last_distances(self, inputs: TokenInputs) -> Float32:
        books, z = self.books, self._quantised(inputs)
        residual = z - books.decode(books.encode(z)[:, :-1])
        last = books.centres[-1]
        squared = np.square(residual).sum(axis=1)[:, None] - 2 * residual @ last.T + np.square(last).sum(axis=1)
        return np.asarray(np.maximum(squared, 0), dtype=np.float32)

    def _quantised(self, inputs: TokenInputs) -> Float32:
        """The vector of every item: its own, or the mean: [N, d]."""
        z = np.repeat(self.arrays["missing"][None], len(inputs.x), axis=0)
        if inputs.present.any():
            z[inputs.present] = self.latent(inputs.x[inputs.present])
        return z
