"""The one trainer of sequential models, on a network small enough to be followed by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from graph_models.checkpoint import Checkpoint
from graph_models.curve import Epoch, Step
from recommenders import trainer
from recommenders.trainer import Curve, train
from schemas.errors import ConfigError
from schemas.sections import SequenceTraining

SHORT = SequenceTraining(learning_rate=0.05, batch_size=4, max_epochs=6, evaluate_every=2, patience=9)


class Line:
    """Fits y = 3 x with dropout, so that the random state matters."""

    def __init__(self, samples: int = 10) -> None:
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.2), nn.Linear(4, 1))
        self.samples, self.seen = samples, []

    def steps(self, batch_size: int) -> int:
        return -(-self.samples // batch_size)

    def batches(self, batch_size, generator):
        order = generator.permutation(self.samples)
        for start in range(0, self.samples, batch_size):
            self.seen.append(order[start : start + batch_size].tolist())
            yield torch.from_numpy(order[start : start + batch_size] / self.samples).float()[:, None]

    def loss(self, batch):
        return (self.module(batch) - 3 * batch).square().mean()

    def judge(self) -> dict[str, float]:
        x = torch.linspace(0, 1, 11)[:, None]
        with torch.no_grad():
            return {"ndcg@10": -float((self.module(x) - 3 * x).square().mean())}


def run(line: Line, settings: SequenceTraining = SHORT, **extra) -> Curve:
    return train(line, settings, 1, line.judge, "ndcg@10", **extra)


def curve(found: Curve) -> list[tuple]:
    return [(epoch.epoch, epoch.loss, epoch.valid) for epoch in found.history]


def test_one_seed_one_curve_and_it_goes_down():
    one, two = run(Line()), run(Line())
    assert curve(one) == curve(two)
    assert one.history[-1].loss["loss"] < one.history[0].loss["loss"]
    assert [epoch.valid is not None for epoch in one.history] == [False, True] * 3


class StopError(Exception):
    """Ends a training from outside."""


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_stopped_training_goes_on_as_if_it_had_not_been(tmp_path, at):
    settings = SHORT.model_copy(update={"schedule": "cosine", "warmup_steps": 4, "accumulate": 2})
    whole = run(Line(), settings)
    checkpoint = Checkpoint(tmp_path / "c.safetensors", "key")

    def stop(event):
        if event.epoch == at:
            raise StopError

    with pytest.raises(StopError):
        run(Line(), settings, checkpoint=checkpoint, progress=stop)
    line = Line()
    again = run(line, settings, checkpoint=checkpoint)
    assert curve(again) == curve(whole)
    assert len(line.seen) == 3 * (6 - at)  # the epochs before are not trained again
    assert again.best_epoch == whole.best_epoch


def test_another_key_starts_anew(tmp_path):
    run(Line(), checkpoint=Checkpoint(tmp_path / "c.safetensors", "one"))
    line = Line()
    run(line, checkpoint=Checkpoint(tmp_path / "c.safetensors", "other"))
    assert len(line.seen) == 18


def test_the_best_validation_is_served():
    line, values = Line(), iter([0.1, 0.3, 0.2])
    states = []

    def judge():
        states.append({name: value.clone() for name, value in line.module.state_dict().items()})
        return {"ndcg@10": next(values)}

    found = train(line, SHORT, 1, judge, "ndcg@10")
    assert (found.best_epoch, found.valid) == (4, {"ndcg@10": 0.3})
    assert all(torch.equal(value, states[1][name]) for name, value in line.module.state_dict().items())


def test_patience_counts_validations():
    line, values = Line(), iter([0.5, 0.4, 0.3, 0.9])
    found = train(line, SHORT.model_copy(update={"patience": 2}), 1, lambda: {"ndcg@10": next(values)}, "ndcg@10")
    assert len(found.history) == 6
    assert found.best_epoch == 2


def test_accumulated_batches_are_one_step_of_their_mean():
    """Batches of 4, 4 and 2 samples: two steps, of two batches and of one."""
    line, rates = Line(), []
    settings = SHORT.model_copy(update={"accumulate": 2, "max_epochs": 2, "warmup_steps": 3})
    original = torch.optim.AdamW.step

    def step(optimizer, closure=None):
        rates.append(optimizer.param_groups[0]["lr"])
        return original(optimizer, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        run(line, settings)
    assert rates == pytest.approx([0.05 / 3, 0.1 / 3, 0.05, 0.05])


def test_cosine_ends_near_zero():
    made = trainer._Run(Line(), replace_settings(), lambda: {}, "ndcg@10", np.random.default_rng(0), None, None)
    assert made.total == 18
    shares = []
    for made.taken in (0, 1, 2, 10, 17):
        shares.append(made._share())
    assert shares[:2] == [0.5, 1.0]
    assert shares[2] == pytest.approx(1.0)
    assert shares[3] == pytest.approx(0.5)
    assert shares[4] < 0.01


def replace_settings() -> SequenceTraining:
    return SHORT.model_copy(update={"schedule": "cosine", "warmup_steps": 2})


def test_matrices_decay_and_vectors_and_embeddings_do_not():
    module = nn.Sequential(nn.Embedding(3, 2, padding_idx=2), nn.Linear(2, 2), nn.LayerNorm(2))
    decays, others = trainer._groups(module, 0.1)
    assert [each.shape for each in decays["params"]] == [(2, 2)]
    assert (decays["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert len(others["params"]) == 4


def test_a_loss_that_is_not_finite_names_the_next_step():
    line = Line()
    line.loss = lambda batch: line.module(batch).mean() * float("nan")
    with pytest.raises(ConfigError, match=r"not finite in epoch 1; lower learning_rate \(found 0.05, try 0.005\)"):
        run(line)


def test_a_selection_that_nobody_measures_is_refused():
    line = Line()
    with pytest.raises(ConfigError, match=r"recall@7: not measured \(measured: ndcg@10\)"):
        train(line, SHORT, 1, line.judge, "recall@7")


def test_steps_are_told_with_the_time_that_is_left(monkeypatch):
    monkeypatch.setattr(trainer, "SECONDS_BETWEEN_WORDS", 0.0)
    told = []
    run(Line(), SHORT.model_copy(update={"max_epochs": 2}), progress=told.append)
    steps = [event for event in told if isinstance(event, Step)]
    assert [(event.epoch, event.done, event.batches) for event in steps] == [
        (e, d, 3) for e in (1, 2) for d in (1, 2, 3)
    ]
    assert [event.epoch for event in told if isinstance(event, Epoch)] == [1, 2]
    assert replace(steps[0], seconds=2.0).left == pytest.approx(2.0 * 3 * 2 - 2.0)
