"""LETTER's two terms beside RQ-VAE's loss: collaborative alignment and code diversity (arXiv 2405.07314, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from features.quantiser import fit_residual_kmeans
from features.tokenizers.residual_vae import Quantised, quantisation_losses
from features.tokenizers.vae_training import Terms


class LetterTerms(Terms):
    """mean_l (codebook and commitment of level l + diversity L_div,l) + collaborative L_CF.

    Collaborative vectors [N, d] are scaled to a mean square of 1, as the texts are.
    """

    def __init__(
        self, vectors: NDArray[np.float32], collaborative: float, diversity: float, clusters: int, seed: int
    ) -> None:
        scale = np.sqrt(np.square(vectors[vectors.any(axis=1)]).mean()) if vectors.any() else 1.0
        self.vectors = torch.from_numpy(np.ascontiguousarray(vectors / scale, dtype=np.float32))  # [N, d]
        self.weights, self.clusters, self.seed = (collaborative, diversity), clusters, seed
        self.of_levels: list[Tensor] = []

    def start_epoch(self, books: Tensor) -> None:
        if self.weights[1] > 0:
            self.of_levels = [
                torch.from_numpy(balanced_clusters(book.numpy(), self.clusters, self.seed)) for book in books
            ]

    def quantisation(self, found: Quantised, books: Tensor, commitment: float) -> Tensor:
        losses = quantisation_losses(found, commitment)
        if self.weights[1] > 0 and self.of_levels[0].max() >= 0:
            apart = [
                diversity_loss(book, code, cluster)
                for book, code, cluster in zip(books, found.codes.T, self.of_levels, strict=True)
            ]
            losses = losses + self.weights[1] * torch.stack(apart)
        return losses.mean()

    def more(self, found: Quantised, rows: Tensor) -> Tensor | float:
        return self.weights[0] * collaborative_loss(found.z, self.vectors[rows]) if self.weights[0] > 0 else 0.0


def collaborative_loss(z: Tensor, vectors: Tensor) -> Tensor:
    """-mean_i log(exp(z_i h_i) / sum_j exp(z_i h_j)) over the batch: z, h [B, d]; items with h = 0 take no part."""
    known = vectors.abs().sum(dim=1) > 0
    if known.sum() < 2:
        return z.sum() * 0.0
    logits = z[known] @ vectors[known].T
    return functional.cross_entropy(logits, torch.arange(len(logits)))


def diversity_loss(book: Tensor, code: Tensor, cluster: Tensor) -> Tensor:
    """-mean_i log(exp(e_c e_+) / sum_(k != c) exp(e_c e_k)), e_+ a random other code of the cluster of c.

    `book` [K, d], `code` [B], `cluster` [K]: every cluster has two codes at least.
    """
    logits = (book[code] @ book.T).scatter(1, code[:, None], -1e12)
    return functional.cross_entropy(logits, companions(code, cluster))


def companions(code: Tensor, cluster: Tensor) -> Tensor:
    """For each code [B] another one of its cluster [K], drawn evenly: [B]."""
    order = torch.argsort(cluster, stable=True)  # codes, cluster after cluster
    place = torch.argsort(order)
    size = torch.bincount(cluster)
    start = (torch.cumsum(size, 0) - size)[cluster[code]]
    step = (torch.rand(len(code)) * (size[cluster[code]] - 1)).long()  # 0 .. size - 2
    return order[start + step + (step >= place[code] - start).long()]


def balanced_clusters(book: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.int64]:
    """Clusters of codes [K, d] that differ in size by one at most: [K], the nearest pairs of code and centre first.

    There are so few that each has two codes at least, since a code alone has no companion; -1 where K = 1.
    """
    clusters = min(clusters, len(book) // 2)
    if clusters == 0:
        return np.full(len(book), -1)
    books = fit_residual_kmeans(book, 1, clusters, seed)
    centres = np.resize(books.mean + books.centres[0], (clusters, book.shape[1]))  # repeats where codes are equal
    distance = np.square(book[:, None] - centres).sum(axis=2)
    small, larger = divmod(len(book), clusters)
    found, size = np.full(len(book), -1), np.zeros(clusters, dtype=np.int64)
    for place in np.argsort(distance, axis=None, kind="stable").tolist():
        code, cluster = divmod(place, clusters)
        if found[code] < 0 and (size[cluster] < small or (size[cluster] == small and larger)):
            larger -= int(size[cluster] == small)
            found[code], size[cluster] = cluster, size[cluster] + 1
    return found
