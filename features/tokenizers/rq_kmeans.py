"""Residual k-means of text vectors: the default, without gradients (TIGER's RQ-VAE without the network)."""

from __future__ import annotations

from typing import ClassVar

from features.quantiser import fit_residual_kmeans
from features.tokenizers.base import Codes, Float32, Levels, Seed, TokenInputs
from features.tokenizers.residual import ResidualTokenizer
from features.tokenizers.ties import Ties


class RqKMeans(ResidualTokenizer):
    """Level by level k-means of what the levels before leave of a vector: c_l = argmin_k |r_(l-1) - C_l[k]|."""

    source: ClassVar[str] = "Rajput et al., NeurIPS 2023 (TIGER), arXiv 2305.05065, with k-means for the RQ-VAE"

    def __init__(self, *, levels: Levels = 3, size: Codes = 256, seed: Seed = 0, ties: Ties = "extra") -> None:
        super().__init__()
        self.levels, self.size, self.seed, self.ties = levels, size, seed, ties

    def _fit(self, inputs: TokenInputs) -> None:
        books = fit_residual_kmeans(inputs.x[inputs.present], self.levels, self.size, self.seed)
        self.keep_books(books, books.mean)

    def latent(self, x: Float32) -> Float32:
        return x
