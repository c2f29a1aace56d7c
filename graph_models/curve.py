"""What a training run is told and what it tells: a selection in, epochs and the best vectors out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

Judge = Callable[[Tensor, Tensor], Mapping[str, float]]


@dataclass(frozen=True)
class Epoch:
    """One pass over the train edges; epoch 0 is a warm start before any pass: without a loss, and never the best."""

    epoch: int  # from 1
    loss: dict[str, float]  # part -> mean over the epoch's batches, weighted as in the sum
    valid: dict[str, float] | None  # metric -> mean over users, where this epoch was validated
    seconds: float  # training and validation


@dataclass(frozen=True)
class Step:
    """How far an epoch is, of models whose epochs take minutes."""

    epoch: int  # from 1
    done: int  # batches
    batches: int  # of the epoch
    max_epochs: int
    seconds: float  # of this epoch so far

    @property
    def left(self) -> float:
        """Seconds until the last epoch ends, at most: training may stop before."""
        whole = self.seconds / self.done * self.batches
        return whole * (self.max_epochs - self.epoch + 1) - self.seconds


Progress = Callable[[Epoch | Step], None]


@dataclass(frozen=True)
class Fit:
    """A training run: its curve, and the vectors of the best validation."""

    history: tuple[Epoch, ...]
    best_epoch: int
    valid: dict[str, float]
    user: Tensor  # float32 [U, d]
    item: Tensor  # float32 [I, d]
    parameters: Mapping[str, Tensor] = field(default_factory=dict)  # of the best validation; empty without a checkpoint


@dataclass(frozen=True)
class Selection:
    """How epochs are compared: the judge knows the validation part only."""

    judge: Judge  # user [U, d], item [I, d] -> metric -> value; the score of a pair is the inner product
    metric: str = "recall@20"  # larger is better
