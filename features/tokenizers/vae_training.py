"""How an RQ-VAE is trained: k-means start of the codebooks, AdamW, and unused codes started again every epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from features.quantiser import fit_residual_kmeans
from features.tokenizers.residual_vae import Quantised, ResidualVae, quantisation_losses

NOISE = 1e-3  # of a code that is started again, in standard deviations of the residuals


@dataclass(frozen=True)
class VaeTraining:
    """What decides the weights beside the data."""

    hidden: tuple[int, ...]
    dim: int
    levels: int
    size: int
    commitment: float
    epsilon: float  # of Sinkhorn on the last level; 0: nearest
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int


class Terms:
    """What a batch's loss is made of; LETTER adds to it."""

    def start_epoch(self, books: Tensor) -> None:
        """Called before each epoch with the codebooks [L, K, d]."""

    def quantisation(self, found: Quantised, books: Tensor, commitment: float) -> Tensor:
        """The loss of the codebooks: TIGER's sum over levels."""
        del books
        return quantisation_losses(found, commitment).sum()

    def more(self, found: Quantised, rows: Tensor) -> Tensor | float:
        """What is added for a batch of these rows [B] of the catalogue."""
        del found, rows
        return 0.0


def train_vae(x: NDArray[np.float32], training: VaeTraining, terms: Terms) -> ResidualVae:
    """Train on standardised vectors x [N, D]; the same x and settings give the same weights on the same machine."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(training.seed)
        model = ResidualVae(x.shape[1], training.hidden, training.dim, training.levels, training.size)
        rows = torch.from_numpy(np.ascontiguousarray(x))
        start_books(model, rows, training.seed)
        optimiser = torch.optim.AdamW(model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay)
        for epoch in range(training.epochs):
            terms.start_epoch(model.books.detach())
            counts, last = _epoch(model, rows, training, terms, optimiser)
            if epoch < training.epochs - 1:
                restart(model.books, counts, last)
    return model.eval()


def batch_loss(
    model: ResidualVae, x: Tensor, rows: Tensor, training: VaeTraining, terms: Terms
) -> tuple[Tensor, Quantised]:
    """The loss of a batch x [B, D] of these rows: reconstruction, codebooks, and what the terms add."""
    found = model.quantise(model.encoder(x), training.epsilon)
    loss = functional.mse_loss(model.decoder(found.z), x)
    loss = loss + terms.quantisation(found, model.books, training.commitment) + terms.more(found, rows)
    return loss, found


def start_books(model: ResidualVae, x: Tensor, seed: int) -> None:
    """Residual k-means of the untrained encoder's outputs; codes that it does without are near others."""
    levels, size, _ = model.books.shape
    with torch.no_grad():
        fitted = fit_residual_kmeans(model.encoder(x).numpy(), levels, size, seed)
        for level, centres in enumerate(fitted.centres):
            book = torch.from_numpy(centres + (fitted.mean if level == 0 else 0))
            extra = torch.arange(size - len(book)) % len(book)
            model.books[level] = torch.cat([book, book[extra] + NOISE * torch.randn(len(extra), book.shape[1])])


def restart(books: Tensor, counts: Tensor, found: Quantised) -> None:
    """Move codes that no row had in an epoch (counts [L, K]) to residuals of random rows of its last batch."""
    with torch.no_grad():
        for level, count in enumerate(counts):
            dead = torch.nonzero(count == 0).ravel()
            residual = found.residuals[level]
            drawn = residual[torch.randint(len(residual), (len(dead),))]
            books[level, dead] = drawn + NOISE * residual.std(correction=0) * torch.randn_like(drawn)


def _epoch(
    model: ResidualVae, x: Tensor, training: VaeTraining, terms: Terms, optimiser: torch.optim.Optimizer
) -> tuple[Tensor, Quantised]:
    counts = torch.zeros(training.levels, training.size, dtype=torch.int64)
    for rows in torch.split(torch.randperm(len(x)), training.batch_size):
        loss, found = batch_loss(model, x[rows], rows, training, terms)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        for level, code in enumerate(found.codes.T):
            counts[level] += torch.bincount(code, minlength=training.size)
    return counts, Quantised(*(each.detach() for each in found))
