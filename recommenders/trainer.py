"""One trainer for sequential, generative and language models: AdamW, warm-up, early stopping, resumable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from graph_models.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from graph_models.curve import Epoch, Progress, Step
from graph_models.device import seeded
from schemas.errors import ConfigError
from schemas.sections import SequenceTraining

SECONDS_BETWEEN_WORDS = 5.0


class Task(Protocol):
    """What is trained: a module, its batches, and its loss."""

    @property
    def module(self) -> nn.Module:
        """Whose parameters are trained."""
        ...

    def steps(self, batch_size: int) -> int:
        """How many batches an epoch has."""
        ...

    def batches(self, batch_size: int, generator: np.random.Generator) -> Iterator[Any]:
        """The batches of one epoch, in an order drawn from the generator."""
        ...

    def loss(self, batch: Any) -> Tensor:
        """The mean loss of a batch: a scalar."""
        ...


@dataclass(frozen=True)
class Curve:
    """A finished training: its epochs, which was best on validation, and what was measured then."""

    history: tuple[Epoch, ...]
    best_epoch: int
    valid: dict[str, float]


def train(
    task: Task,
    settings: SequenceTraining,
    seed: int,
    judge: Callable[[], Mapping[str, float]],
    metric: str,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> Curve:
    """Train until validation stops improving or `max_epochs`, and leave the module with its best parameters.

    `judge` measures the module as it is on validation. With a checkpoint a stopped training goes on after its last
    whole epoch, with the curve that it would have had. `progress` hears of steps every few seconds and of every epoch.
    Raises ConfigError when the loss is not finite.
    """
    run = _Run(task, settings, judge, metric, np.random.default_rng(seed), checkpoint, progress)
    with seeded(seed):
        run.resume()
        while not run.finished:
            run.epoch()
    return run.result()


class _Run:
    """The state of a training."""

    def __init__(
        self,
        task: Task,
        settings: SequenceTraining,
        judge: Callable[[], Mapping[str, float]],
        metric: str,
        generator: np.random.Generator,
        checkpoint: Checkpoint | None,
        progress: Progress | None,
    ) -> None:
        self.task, self.settings, self.judge, self.metric = task, settings, judge, metric
        self.generator, self.checkpoint, self.progress = generator, checkpoint, progress
        self.parameters = [each for each in task.module.parameters() if each.requires_grad]
        self.optimizer = torch.optim.AdamW(
            _groups(task.module, settings.weight_decay), lr=settings.learning_rate, betas=(0.9, 0.98)
        )
        self.batches = task.steps(settings.batch_size)  # of an epoch
        self.total = max(1, math.ceil(self.batches / settings.accumulate) * settings.max_epochs)
        self.taken = 0  # steps of the optimiser
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}
        self.device = next(task.module.parameters()).device

    @property
    def finished(self) -> bool:
        values = self._validations()
        since_best = len(values) - 1 - int(np.argmax(values)) if values else 0
        return len(self.history) >= self.settings.max_epochs or since_best >= self.settings.patience

    def epoch(self) -> None:
        began, number = time.perf_counter(), len(self.history) + 1
        loss = self._pass(number, began)
        due = number % self.settings.evaluate_every == 0 or number == self.settings.max_epochs
        valid = self._validate() if due else None
        self.history.append(Epoch(number, {"loss": loss}, valid, time.perf_counter() - began))
        self._save()
        if self.progress:
            self.progress(self.history[-1])

    def result(self) -> Curve:
        judged = [epoch for epoch in self.history if epoch.valid is not None]
        best = judged[int(np.argmax(self._validations()))]
        self.task.module.load_state_dict(self.best, strict=False)  # what is frozen is in no state
        self.task.module.eval()
        return Curve(tuple(self.history), best.epoch, dict(best.valid or {}))

    def _pass(self, number: int, began: float) -> float:
        """One pass over the batches; the sum of losses stays on the device, so that no step waits for it."""
        self.task.module.train()
        total, told = torch.zeros((), device=self.device), began
        count = self.settings.accumulate
        for done, batch in enumerate(self.task.batches(self.settings.batch_size, self.generator), 1):
            with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.precision == "bfloat16"):
                loss = self.task.loss(batch)
            last = self.batches - (done - 1) // count * count  # batches of this step, at the end perhaps fewer
            (loss / min(count, last)).backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
            if done % count == 0 or done == self.batches:
                self._step()
            if self.progress and time.perf_counter() - told > SECONDS_BETWEEN_WORDS:
                told = time.perf_counter()
                self.progress(Step(number, done, self.batches, self.settings.max_epochs, told - began))
        return self._checked(float(total) / max(self.batches, 1), number)

    def _step(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self._share()
        nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.taken += 1

    def _share(self) -> float:
        """Of the learning rate, before the next step: rises to one over the warm-up, then stays, or falls to zero."""
        warm = self.settings.warmup_steps
        if self.taken < warm:
            return (self.taken + 1) / warm
        if self.settings.schedule == "constant":
            return 1.0
        passed = (self.taken - warm) / max(self.total - warm, 1)
        return 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))

    def _checked(self, loss: float, number: int) -> float:
        if not math.isfinite(loss):
            rate = self.settings.learning_rate
            raise ConfigError(
                f"sequence_training: the loss is not finite in epoch {number}; lower learning_rate"
                f" (found {rate}, try {rate / 10:g})"
            )
        return loss

    def _validate(self) -> dict[str, float]:
        self.task.module.eval()
        valid = dict(self.judge())
        if self.metric not in valid:
            measured = ", ".join(sorted(valid))
            raise ConfigError(f"evaluation.selection: {self.metric}: not measured (measured: {measured})")
        if valid[self.metric] > max(self._validations(), default=-math.inf):
            self.best = {name: value.detach().cpu().clone() for name, value in state_of(self.task.module).items()}
        return valid

    def _validations(self) -> list[float]:
        return [epoch.valid[self.metric] for epoch in self.history if epoch.valid is not None]

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"model.{name}": value for name, value in state_of(self.task.module).items()}
        tensors |= optimizer_tensors(self.optimizer) | {f"best.{name}": value for name, value in self.best.items()}
        tensors["torch_random"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["cuda_random"] = torch.cuda.get_rng_state(self.device)
        history = [asdict(epoch) for epoch in self.history]
        state = {"history": history, "taken": self.taken, "random": self.generator.bit_generator.state}
        self.checkpoint.save(tensors, state)

    def resume(self) -> None:
        found = self.checkpoint.load() if self.checkpoint else None
        if found is None:
            return
        tensors, state = found
        self.task.module.load_state_dict(_inside(tensors, "model."), strict=False)
        restore_optimizer(self.optimizer, tensors)
        self.best = _inside(tensors, "best.")
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.taken, self.generator.bit_generator.state = state["taken"], state["random"]
        torch.set_rng_state(tensors["torch_random"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["cuda_random"], self.device)


def state_of(module: nn.Module) -> dict[str, Tensor]:
    """What training may change: buffers, and parameters that are not frozen, few of those of a large language model.

    Of names that share a tensor the first alone.
    """
    found, seen = dict[str, Tensor](), set[int]()
    for name, value in module.state_dict(keep_vars=True).items():
        frozen = isinstance(value, nn.Parameter) and not value.requires_grad
        if not frozen and id(value) not in seen:
            found[name] = value.detach()
            seen.add(id(value))
    return found


def _groups(module: nn.Module, decay: float) -> list[dict[str, Any]]:
    """Matrices decay; vectors (biases, norms) do not, nor do embeddings, whose padding row must stay zero."""
    embeddings = {id(each.weight) for each in module.modules() if isinstance(each, nn.Embedding)}
    trained = [each for each in module.parameters() if each.requires_grad]
    decays = [each for each in trained if each.dim() > 1 and id(each) not in embeddings]
    kept = {id(each) for each in decays}
    others = [each for each in trained if id(each) not in kept]
    return [{"params": decays, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]


def _inside(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
