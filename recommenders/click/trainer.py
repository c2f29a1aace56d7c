"""Training of click models: AdamW, binary cross-entropy, the epoch with the best AUC on validation; resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from evaluation.click import auc, log_loss
from graph_models.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from graph_models.device import seeded
from recommenders.click.tower import Batch, Tower
from schemas.errors import ConfigError
from schemas.sections import ClickTraining

JUDGED_AT_ONCE = 8192  # samples without gradients
EPOCHS = 100_003  # more than any training has: seeds of epochs of two seeds differ


@dataclass(frozen=True)
class ClickEpoch:
    """One pass over the train samples."""

    epoch: int  # from 1
    loss: float  # mean over batches
    auc: float  # on validation
    log_loss: float  # on validation
    seconds: float


def train(
    tower: Tower,
    learn: Batch,
    valid: Batch,
    settings: ClickTraining,
    seed: int,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[ClickEpoch], None] | None = None,
) -> list[ClickEpoch]:
    """Train in place, leave the best epoch's weights in `tower`, and return the curve.

    With a checkpoint a stopped training goes on after its last epoch with the curve it would have had, and a finished
    one is read. Every epoch draws its order and its dropout from seed and number, so that no random state is kept.
    Raises ConfigError when the loss is not finite.
    """
    run = _Training(tower, settings, seed, checkpoint)
    run.resume()
    while not run.finished:
        with seeded(seed * EPOCHS + len(run.history)):
            epoch = run.epoch(learn, valid)
        if progress:
            progress(epoch)
    tower.load_state_dict(run.best)
    return run.history


def probabilities(tower: Tower, batch: Batch) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Click probabilities [n] of samples."""
    tower.eval()
    rows = torch.arange(len(batch), device=batch.user.device)
    with torch.no_grad():
        found = [tower(batch.take(chunk)).sigmoid() for chunk in torch.split(rows, JUDGED_AT_ONCE)]
    return torch.cat(found).float().cpu().numpy() if found else np.zeros(0, dtype=np.float32)


def best_of(history: list[ClickEpoch]) -> ClickEpoch:
    """The epoch with the best AUC on validation, the first of several."""
    return max(history, key=lambda epoch: epoch.auc)


class _Training:
    """The state of a training."""

    def __init__(self, tower: Tower, settings: ClickTraining, seed: int, checkpoint: Checkpoint | None) -> None:
        self.tower, self.settings, self.seed, self.checkpoint = tower, settings, seed, checkpoint
        self.optimizer = torch.optim.AdamW(
            tower.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self.history: list[ClickEpoch] = []
        self.best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        since = len(self.history) - best_of(self.history).epoch if self.history else 0
        return len(self.history) >= self.settings.max_epochs or since >= self.settings.patience

    def epoch(self, learn: Batch, valid: Batch) -> ClickEpoch:
        start, number = time.perf_counter(), len(self.history) + 1
        loss = self._pass(learn, number)
        label, chance = valid.label.cpu().numpy(), probabilities(self.tower, valid)
        seconds = time.perf_counter() - start
        self.history.append(ClickEpoch(number, loss, auc(label, chance), log_loss(label, chance), seconds))
        if best_of(self.history).epoch == number:
            self.best = {name: value.detach().cpu().clone() for name, value in self.tower.state_dict().items()}
        self._save()
        return self.history[-1]

    def _pass(self, learn: Batch, number: int) -> float:
        self.tower.train()
        order = torch.from_numpy(np.random.default_rng([self.seed, number]).permutation(len(learn)))
        total = torch.zeros((), device=learn.user.device)
        batches = torch.split(order.to(learn.user.device), self.settings.batch_size)
        for rows in batches:
            batch = learn.take(rows)
            loss = binary_cross_entropy_with_logits(self.tower(batch), batch.label)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.detach()
        mean = float(total) / len(batches)
        if not math.isfinite(mean):
            rate = self.settings.learning_rate
            raise ConfigError(
                f"click.training: the loss is not finite in epoch {number}; lower learning_rate (found {rate:g}, try"
                f" {rate / 10:g})"
            )
        return mean

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"model.{name}": value for name, value in self.tower.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer) | {f"best.{name}": value for name, value in self.best.items()}
        self.checkpoint.save(tensors, {"history": [asdict(epoch) for epoch in self.history]})

    def resume(self) -> None:
        found = self.checkpoint.load() if self.checkpoint else None
        if found is None:
            return
        tensors, state = found
        self.tower.load_state_dict(_inside(tensors, "model."))
        restore_optimizer(self.optimizer, tensors)
        self.best = _inside(tensors, "best.")
        self.history = [ClickEpoch(**epoch) for epoch in state["history"]]


def _inside(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
