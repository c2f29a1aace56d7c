import math

import pytest
import torch

from graph_models.checkpoint import Checkpoint
from graph_models.curve import Epoch, Fit, Selection
from graph_models.device import seeded
from graph_models.model import build_model
from graph_models.sampler import Batch
from graph_models.trainer import fit
from schemas.errors import ConfigError
from schemas.sections import Objective, Part, Training

SHORT = Training(loss="infonce", negatives=4, batch_size=16, max_epochs=6, evaluate_every=2, learning_rate=0.01)


def fitness(user: torch.Tensor, item: torch.Tensor) -> dict[str, float]:
    """Any number that depends on the vectors."""
    return {"recall@20": float((user @ item.T).std())}


def train(graph, settings=SHORT, seed=1, selection=None, backbone=None, objectives=(), **extra) -> Fit:
    with seeded(seed):
        model = build_model(graph, backbone or Part(name="lightgcn", options={"dim": 4}), objectives)
    return fit(graph, model, settings, seed, selection or Selection(fitness), **extra)


def curve(found: Fit) -> list[tuple]:
    return [(epoch.epoch, epoch.loss, epoch.valid) for epoch in found.history]


class Scripted:
    """A judge that answers from a list."""

    def __init__(self, *values: float) -> None:
        self.values, self.seen = list(values), []

    def __call__(self, user, item):
        self.seen.append(user.clone())
        return {"recall@20": self.values[len(self.seen) - 1]}


CON = (Objective(name="rlmrec_con", weight=0.1, options={"anchors": 3}),)


@pytest.mark.parametrize("objectives", [(), CON])
def test_two_runs_with_one_seed_are_equal(graph, objectives):
    one, two, other = (train(graph, seed=seed, objectives=objectives) for seed in (1, 1, 2))
    assert curve(one) == curve(two)
    assert torch.equal(one.user, two.user)
    assert curve(one) != curve(other)


def test_the_loss_goes_down_and_its_parts_are_named(graph):
    settings = SHORT.model_copy(update={"max_epochs": 30, "learning_rate": 0.05})
    found = train(graph, settings, objectives=CON)
    assert set(found.history[0].loss) == {"infonce", "l2", "rlmrec_con"}
    assert found.history[-1].loss["infonce"] < 0.8 * found.history[0].loss["infonce"]


def test_the_best_validation_is_kept_and_patience_stops(graph):
    judge = Scripted(0.1, 0.3, 0.2, 0.25, 0.9)
    settings = SHORT.model_copy(update={"max_epochs": 100, "patience": 2})
    found = train(graph, settings, selection=Selection(judge))
    assert [epoch.epoch for epoch in found.history if epoch.valid] == [2, 4, 6, 8]
    assert (found.best_epoch, found.valid) == (4, {"recall@20": 0.3})
    assert torch.equal(found.user, judge.seen[1])


def test_the_last_epoch_is_validated_as_well(graph):
    found = train(graph, SHORT.model_copy(update={"max_epochs": 3}))
    assert [epoch.valid is not None for epoch in found.history] == [False, True, True]


class StopError(Exception):
    """Ends a run from outside."""


def stop_at(number: int):
    def progress(epoch: Epoch) -> None:
        if epoch.epoch == number:
            raise StopError

    return progress


@pytest.mark.parametrize("objectives", [(), CON])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
def test_a_stopped_run_goes_on_with_the_same_curve(graph, tmp_path, at, objectives):
    whole = train(graph, objectives=objectives)
    checkpoint = Checkpoint(tmp_path / "run" / "checkpoint.safetensors", "key")
    with pytest.raises(StopError):
        train(graph, objectives=objectives, checkpoint=checkpoint, progress=stop_at(at))
    heard: list[int] = []
    resumed = train(
        graph, objectives=objectives, checkpoint=checkpoint, progress=lambda epoch: heard.append(epoch.epoch)
    )
    assert heard[0] == at - at % 2 + 1
    assert curve(resumed) == curve(whole)
    assert torch.equal(resumed.user, whole.user)
    assert torch.equal(resumed.item, whole.item)


def test_a_finished_run_is_not_trained_again(graph, tmp_path):
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", "key")
    first = train(graph, checkpoint=checkpoint)
    again = train(graph, checkpoint=checkpoint, progress=stop_at(1), selection=Selection(Scripted()))
    assert curve(again) == curve(first)
    assert torch.equal(again.item, first.item)


def test_another_key_or_a_torn_file_starts_anew(graph, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    train(graph, checkpoint=Checkpoint(file, "other"))
    assert Checkpoint(file, "key").load() is None
    file.write_bytes(file.read_bytes()[:50])
    assert Checkpoint(file, "other").load() is None
    assert len(train(graph, checkpoint=Checkpoint(file, "other")).history) == 6


def test_no_draft_is_left(graph, tmp_path):
    train(graph, checkpoint=Checkpoint(tmp_path / "checkpoint.safetensors", "key"))
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_a_loss_that_is_not_finite_names_the_setting(graph):
    settings = SHORT.model_copy(update={"learning_rate": 1e30, "loss": "bpr", "max_epochs": 50})
    with pytest.raises(
        ConfigError, match=r"loss .* is not finite in epoch \d+; lower training.learning_rate \(found 1e\+30"
    ):
        train(graph, settings)


def test_a_metric_that_is_not_measured_is_named(graph):
    with pytest.raises(ConfigError, match="ndcg@20: not measured \\(measured: recall@20\\)"):
        train(graph, selection=Selection(fitness, "ndcg@20"))


def test_the_callers_random_state_is_not_touched(graph):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    train(graph, objectives=CON)
    assert torch.equal(torch.rand(1), expected)


def test_the_sum_is_ranking_plus_l2_plus_weighted_objective(graph):
    """One BPR batch of two pairs, every part against its formula."""
    with seeded(0):
        model = build_model(graph, Part(name="lightgcn", options={"dim": 4, "layers": 1}), CON)
    batch = Batch(torch.tensor([1, 2]), torch.tensor([0, 1]), torch.tensor([3, 4]))
    parts = model.losses(graph, batch, Training(l2=0.5))
    x = model.backbone.embedding
    user, item = model.vectors(graph)
    margins = ((user[[1, 2]] * (item[[0, 1]] - item[[3, 4]])).sum(1)).tolist()
    assert parts["bpr"].item() == pytest.approx(sum(math.log(1 + math.exp(-each)) for each in margins) / 2, rel=1e-5)
    nodes = x[[1, 2, *(graph.num_users + each for each in (0, 1, 3, 4))]]
    assert parts["l2"].item() == pytest.approx(0.5 * nodes.square().sum().item() / 4, rel=1e-5)
    z = torch.cat([user, item])
    assert parts["rlmrec_con"].item() == pytest.approx(0.1 * model.objectives["rlmrec_con"](z, batch).item(), rel=1e-5)


def test_build_checks_first(graph):
    with pytest.raises(ConfigError, match="lightgnc: unknown, did you mean lightgcn"):
        build_model(graph, Part(name="lightgnc"))
    with pytest.raises(ConfigError, match=r"objectives\.name: rlmrec: unknown"):
        build_model(graph, Part(name="lightgcn"), [Objective(name="rlmrec", weight=1)])
    with pytest.raises(ConfigError, match="each objective once"):
        build_model(graph, Part(name="lightgcn"), CON * 2)


def test_a_warm_model_is_validated_before_its_first_epoch_and_never_chosen_as_it_came(graph):
    judge = Scripted(0.9, 0.3, 0.4, 0.2, 0.1)
    settings = SHORT.model_copy(update={"max_epochs": 100, "patience": 2})
    found = train(graph, settings, selection=Selection(judge), warm=True)
    assert [epoch.epoch for epoch in found.history if epoch.valid] == [0, 2, 4, 6, 8]
    assert found.history[0].loss == {}
    assert (found.best_epoch, found.valid) == (4, {"recall@20": 0.4})
    assert torch.equal(found.user, judge.seen[2])


def test_a_warm_run_trains_as_many_epochs_and_as_a_cold_one_does(graph):
    warm, cold = train(graph, warm=True), train(graph)
    assert curve(warm)[1:] == curve(cold)


@pytest.mark.parametrize("at", [0, 1, 2, 5])
def test_a_stopped_warm_run_goes_on_with_the_same_curve(graph, tmp_path, at):
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", "key")
    whole = train(graph, objectives=CON, warm=True, checkpoint=Checkpoint(tmp_path / "whole.safetensors", "key"))
    with pytest.raises(StopError):
        train(graph, objectives=CON, checkpoint=checkpoint, progress=stop_at(at), warm=True)
    resumed = train(graph, objectives=CON, checkpoint=checkpoint, warm=True)
    assert curve(resumed) == curve(whole)
    assert torch.equal(resumed.user, whole.user)
    assert {name: value.tolist() for name, value in resumed.parameters.items()} == {
        name: value.tolist() for name, value in whole.parameters.items()
    }


def test_the_parameters_of_the_best_epoch_give_its_vectors(graph, tmp_path):
    settings = SHORT.model_copy(update={"max_epochs": 8})
    judge = Scripted(0.1, 0.3, 0.2, 0.25)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", "key")
    found = train(graph, settings, selection=Selection(judge), objectives=CON, checkpoint=checkpoint)
    model = build_model(graph, Part(name="lightgcn", options={"dim": 4}), CON)
    model.load_state_dict(dict(found.parameters))
    assert torch.equal(model.eval().vectors(graph)[0], found.user)
    assert found.best_epoch == 4
    assert train(graph, settings).parameters == {}  # nobody would read them
