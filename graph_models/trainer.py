"""One trainer for every backbone and objective: Adam, early stopping on validation, resumable, seeded."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graph_models.checkpoint import Checkpoint, optimizer_tensors, restore_optimizer
from graph_models.curve import Epoch, Fit, Selection
from graph_models.dataset import GraphDataset
from graph_models.device import seeded
from graph_models.model import GraphModel
from graph_models.parallel import SINGLE, Group
from graph_models.sampler import Batch, Sampler
from schemas.errors import ConfigError
from schemas.sections import Training


def fit(  # noqa: PLR0913 -- what is trained, how, and who is told
    graph: GraphDataset,
    model: GraphModel,
    settings: Training,
    seed: int,
    selection: Selection | None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Epoch], None] | None = None,
    warm: bool = False,
    group: Group = SINGLE,
) -> Fit:
    """Train on the graph's device until validation stops improving or `max_epochs`; without a selection, all of them.

    With a checkpoint, a stopped run goes on from its last validation, with the curve it would have had, and a finished
    one is returned as it is; the parameters of the best validation are kept. `progress` is called after each epoch.
    `warm`: the model brings parameters that were trained before, so it is validated before its first epoch as well.
    This epoch 0 is told and never chosen: the earlier model was chosen on much the same validation, which flatters it,
    and has learned nothing of what is new. In a group of processes all train, and the first one alone judges, tells and
    writes. Raises ConfigError when the loss is not finite and when the judge does not measure the selection metric.
    """
    run = _Run(graph, model.to(graph.device), settings, seed, selection, checkpoint, group)
    with seeded(seed):
        run.resume()
        while not run.finished:
            epoch = run.start() if warm and not run.history else run.epoch()
            if progress and group.leads:
                progress(epoch)
    return run.result()


class _Run:
    """The state of a training run."""

    def __init__(
        self,
        graph: GraphDataset,
        model: GraphModel,
        settings: Training,
        seed: int,
        selection: Selection | None,
        checkpoint: Checkpoint | None,
        group: Group,
    ) -> None:
        self.graph, self.model, self.settings = graph, model, settings
        self.selection, self.checkpoint, self.group = selection, checkpoint, group
        self.generator = np.random.default_rng(seed)
        self.sampler = Sampler(graph, settings, self.generator)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=True)
        self.history: list[Epoch] = []
        self.best: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        values = self._validations() if self.selection else []
        since_best = len(values) - 1 - int(np.argmax(values)) if values else 0
        return self._trained >= self.settings.max_epochs or since_best >= self.settings.patience

    def start(self) -> Epoch:
        """Validate the model as it came: epoch 0, which is none to choose."""
        began = time.perf_counter()
        return self._add(0, {}, self._validate(), began)

    def epoch(self) -> Epoch:
        began, number = time.perf_counter(), self._trained + 1
        loss = self._train(number)
        return self._add(number, loss, self._validate() if self._is_due(number) else None, began)

    def result(self) -> Fit:
        best = self._best()
        parameters = _inside(self.best, "parameters.")
        return Fit(tuple(self.history), best.epoch, best.valid or {}, self.best["user"], self.best["item"], parameters)

    @property
    def _trained(self) -> int:
        return self.history[-1].epoch if self.history else 0

    def _is_due(self, number: int) -> bool:
        return number % self.settings.evaluate_every == 0 or number == self.settings.max_epochs

    def _add(self, number: int, loss: dict[str, float], valid: dict[str, float] | None, began: float) -> Epoch:
        self.history.append(Epoch(number, loss, valid, time.perf_counter() - began))
        if self._is_due(number):
            self._save()
        return self.history[-1]

    def _train(self, number: int) -> dict[str, float]:
        """One pass; the sums stay on the device until its end, so that no step waits for them."""
        self.model.train()
        self.group.draw_alike(self.graph.device)
        self.model.backbone.start_epoch(self.graph)
        totals: dict[str, Tensor] = {}
        steps = 0
        for batch in self.sampler.epoch():
            parts = self._losses(self.group.share(batch))
            self.optimizer.zero_grad()
            torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
            self.group.add_gradients(self.model.parameters())
            self.optimizer.step()
            steps += 1
            totals = {name: totals.get(name, 0.0) + part.detach() for name, part in parts.items()}
        sums = self.group.add(torch.stack(list(totals.values()))).tolist()
        loss = {name: total / steps for name, total in zip(totals, sums, strict=True)}
        self._check(loss, number)
        return loss

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """The parts of the loss, weighted so that those of all processes add up to the whole batch's."""
        parts = self.model.losses(self.graph, batch, self.settings)
        return parts if self.group.size == 1 else {name: batch.part * part for name, part in parts.items()}

    def _check(self, loss: Mapping[str, float], number: int) -> None:
        bad = [name for name, value in loss.items() if not math.isfinite(value)]
        if bad:
            rate = self.settings.learning_rate
            raise ConfigError(
                f"training: the loss {', '.join(bad)} is not finite in epoch {number}; lower training.learning_rate"
                f" (found {rate}, try {rate / 10:g}), or the weight of the objective that grew first"
            )

    def _validate(self) -> dict[str, float] | None:
        """The metrics; the vectors are kept where they are the best so far, and always where nothing is selected."""
        self.model.eval()
        user, item = self.model.vectors(self.graph)
        if self.selection is None:
            self._keep(user, item)
            return None
        valid = self.group.first(dict(self.selection.judge(user, item)) if self.group.leads else {})
        if self.selection.metric not in valid:
            measured = ", ".join(sorted(valid))
            raise ConfigError(f"evaluation.selection: {self.selection.metric}: not measured (measured: {measured})")
        if valid[self.selection.metric] > max(self._validations(), default=-math.inf):
            self._keep(user, item)
        return valid

    def _keep(self, user: Tensor, item: Tensor) -> None:
        self.best = {"user": user.cpu().clone(), "item": item.cpu().clone(), **self._parameters()}

    def _parameters(self) -> dict[str, Tensor]:
        """A copy in main memory, where the run leaves anything behind."""
        state = {} if self.checkpoint is None else self.model.state_dict()
        return {f"parameters.{name}": value.detach().cpu().clone() for name, value in state.items()}

    def _validations(self) -> list[float]:
        assert self.selection is not None, "asked for where epochs are compared"
        return [epoch.valid[self.selection.metric] for epoch in self._candidates() if epoch.valid is not None]

    def _best(self) -> Epoch:
        if self.selection is None:
            return self.history[-1]
        return self._candidates()[int(np.argmax(self._validations()))]

    def _candidates(self) -> list[Epoch]:
        return [epoch for epoch in self.history if epoch.epoch > 0 and epoch.valid is not None]

    def _save(self) -> None:
        if self.checkpoint is None or not self.group.leads:
            return
        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= optimizer_tensors(self.optimizer) | {f"best.{name}": value for name, value in self.best.items()}
        tensors |= _random_state(self.graph.device)
        history = [asdict(epoch) for epoch in self.history]
        self.checkpoint.save(tensors, {"history": history, "random": self.generator.bit_generator.state})

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one, all processes from the same."""
        self.group.wait()  # the first process may still be writing this very file for the fit before
        if found := self.checkpoint.load() if self.checkpoint else None:
            self._restore(*found)
        self.group.agree(len(self.history), "epochs in the checkpoint")
        self.group.start_alike(self.model.state_dict().values())

    def _restore(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(_inside(tensors, "model."))
        restore_optimizer(self.optimizer, tensors)
        self.best = _inside(tensors, "best.")
        self.history = [Epoch(**epoch) for epoch in state["history"]]
        self.generator.bit_generator.state = state["random"]
        torch.set_rng_state(tensors["torch_random"])
        if self.graph.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["cuda_random"], self.graph.device)


def _random_state(device: torch.device) -> dict[str, Tensor]:
    own = {"cuda_random": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {}
    return {"torch_random": torch.get_rng_state(), **own}


def _inside(tensors: Mapping[str, Any], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
