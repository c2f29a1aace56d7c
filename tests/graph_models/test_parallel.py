"""Two real processes against one: the same curve and parameters; shares, resumption, and what a failure leaves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from features.table import FeatureSet
from graph_models.backbones import BACKBONES
from graph_models.checkpoint import Checkpoint
from graph_models.curve import Fit, Selection
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.model import build_model
from graph_models.parallel import SINGLE, Group, joined, share
from graph_models.sampler import Sampler
from graph_models.trainer import fit
from schemas.errors import ConfigError, LoregraphError
from schemas.sections import Objective, Part, Training
from tests.support.graphs import make_part, make_text
from tests.support.together import together

LOSSES = ("bpr", "infonce", "sampled_softmax", "softmax")
SETTINGS = Training(negatives=4, batch_size=16, max_epochs=3, evaluate_every=1, learning_rate=0.01)
CON = (Objective(name="rlmrec_con", weight=0.1, options={"anchors": 3}),)


def small_graph() -> GraphDataset:
    text = FeatureSet(make_text("item", 9, missing=(2,)), make_text("user", 12, missing=(0, 5), seed=1))
    return make_dataset(make_part(), text)


def fitness(user: torch.Tensor, item: torch.Tensor) -> dict[str, float]:
    return {"recall@20": float((user @ item.T).std())}


def never(user: torch.Tensor, item: torch.Tensor) -> dict[str, float]:
    raise AssertionError(f"only the first process judges {user.shape} {item.shape}")


def train(settings: Training, group: Group = SINGLE, backbone="lightgcn", objectives=(), seed=1, **extra) -> Fit:
    graph = small_graph()
    with seeded(seed + group.rank):  # another start in each process, of which the first one's counts
        model = build_model(graph, Part(name=backbone, options={"dim": 4}), objectives)
    judge = fitness if group.leads else never
    return fit(graph, model, settings, seed, Selection(judge), group=group, **extra)


def kept(found: Fit) -> dict:
    """What is compared: the curve without its seconds, the best vectors and the parameters."""
    curve = [(epoch.epoch, epoch.loss, epoch.valid) for epoch in found.history]
    return {"curve": curve, "user": found.user, "item": found.item, "parameters": dict(found.parameters)}


def work(group: Group, folder: Path) -> None:
    """What each of two processes does; whatever it learns is kept under its rank."""

    def keep(name: str, found: object) -> None:
        torch.save(found, folder / f"{name}.{group.rank}.pt")

    for loss in LOSSES:
        heard: list[int] = []
        checkpoint = Checkpoint(folder / f"{loss}.safetensors", "key")
        told = {"checkpoint": checkpoint, "progress": lambda epoch, heard=heard: heard.append(epoch.epoch)}
        keep(loss, kept(train(SETTINGS.model_copy(update={"loss": loss}), group, **told)) | {"heard": heard})
    short = SETTINGS.model_copy(update={"max_epochs": 2})
    for backbone in BACKBONES:
        keep(backbone, kept(train(short, group, backbone, checkpoint=Checkpoint(folder / f"{backbone}.st", "key"))))
    whole = train(SETTINGS, group, objectives=CON, checkpoint=Checkpoint(folder / "whole.st", "key"))
    stopped = Checkpoint(folder / "stopped.st", "key")
    train(short, group, objectives=CON, checkpoint=stopped)
    keep("resumed", [kept(whole), kept(train(SETTINGS, group, objectives=CON, checkpoint=stopped))])
    keep("refused", said(train, SETTINGS.model_copy(update={"loss": "bpr", "learning_rate": 1e30}), group))
    keep("apart", said(group.agree, group.rank, "the lake"))
    if group.rank == 1:
        raise SystemExit(3)
    keep("left", said(train, SETTINGS, group))


def said(call, *arguments) -> tuple[str, str]:
    try:
        call(*arguments)
    except LoregraphError as error:
        return type(error).__name__, str(error)
    return "", "nothing was wrong"


def differences(one: dict, other: dict) -> float:
    """The largest between two runs, in what each epoch reported and in what was kept."""
    told = [
        abs(mine[name] - yours[name])
        for pair in zip(one["curve"], other["curve"], strict=True)
        for mine, yours in zip(pair[0][1:], pair[1][1:], strict=True)
        for name in mine
    ]
    tensors = [(one[name], other[name]) for name in ("user", "item")]
    tensors += [(one["parameters"][name], other["parameters"][name]) for name in one["parameters"]]
    return max([*told, *((mine - yours).abs().max().item() for mine, yours in tensors)])


def equal(one: dict, other: dict) -> bool:
    return one["curve"] == other["curve"] and differences(one, other) == 0


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Read what each of two processes has kept."""
    folder = tmp_path_factory.mktemp("together")
    assert together(work, folder) == [0, 3]

    def read(name: str, ranks: tuple[int, ...] = (0, 1)) -> list:
        return [torch.load(folder / f"{name}.{rank}.pt", weights_only=False) for rank in ranks]

    read.folder = folder
    return read


def test_several_processes_give_the_curve_and_the_parameters_of_one(both, tmp_path):
    for loss in LOSSES:
        settings = SETTINGS.model_copy(update={"loss": loss})
        one = kept(train(settings, checkpoint=Checkpoint(tmp_path / f"{loss}.st", "key")))
        for found in both(loss):
            assert differences(found, one) < 1e-5, loss
        other = kept(train(settings, seed=2, checkpoint=Checkpoint(tmp_path / f"{loss}.other.st", "key")))
        assert differences(one, other) > 1e-2


def test_all_processes_hold_the_same_parameters_and_the_first_alone_tells(both):
    for name in (*LOSSES, *BACKBONES):
        first, second = both(name)
        assert equal(first, second), name
    assert [found["heard"] for found in both("bpr")] == [[1, 2, 3], []]


def test_processes_that_go_on_from_a_checkpoint_end_like_those_that_never_stopped(both):
    for whole, resumed in both("resumed"):
        assert equal(whole, resumed)


def test_one_process_goes_on_from_what_two_have_left(both, tmp_path):
    left = Checkpoint(both.folder / "lightgcn.st", "key")
    resumed = kept(train(SETTINGS, checkpoint=left))
    assert len(resumed["curve"]) == 3
    assert resumed["curve"][:2] == both("lightgcn")[0]["curve"]
    assert differences(resumed, kept(train(SETTINGS, checkpoint=Checkpoint(tmp_path / "whole.st", "key")))) < 1e-5


def test_an_error_of_all_is_told_by_all_and_they_can_go_on(both):
    for name, message in both("refused"):
        assert name == "ConfigError"
        assert "is not finite in epoch 1" in message
    for name, message in both("apart"):
        assert name == "ConfigError"
        assert message.startswith("the lake: expected the same in all processes, found process 0: 0, process 1: 1")


def test_who_is_left_alone_says_so_and_ends(both):
    name, message = both("left", (0,))[0]
    assert name == "LoregraphError"
    assert message.startswith("process 0 of 2: another process has ended")


@pytest.mark.parametrize("size", [2, 3, 11])
@pytest.mark.parametrize(("loss", "sampler"), [*((loss, "auto") for loss in LOSSES), ("softmax", "user")])
def test_shares_add_up_to_the_batch(graph, loss, sampler, size):
    """Losses, gradients and pairs, also where a share is empty: the last batch of an epoch may have a single user."""
    settings = SETTINGS.model_copy(update={"loss": loss, "sampler": sampler, "l2": 0.5, "batch_size": 9})
    with seeded(1):
        model = build_model(graph, Part(name="lightgcn", options={"dim": 4}))
    empty = 0
    for batch in Sampler(graph, settings, np.random.default_rng(0)).epoch():
        shares = [share(batch, rank, size) for rank in range(size)]
        empty += sum(each.part == 0 for each in shares)
        assert sum(each.part for each in shares) == pytest.approx(1)
        assert torch.equal(torch.cat([each.user for each in shares if each.part]), batch.user)
        whole, *parts = (gradient(model, graph, each, settings) for each in (batch, *shares))
        assert torch.allclose(sum(part[0] for part in parts), whole[0], atol=1e-6)
        assert torch.allclose(sum(part[1] for part in parts), whole[1], atol=1e-6)
    assert empty or size < 11


def gradient(model, graph, batch, settings):
    """The weighted loss of a share, and its gradient."""
    model.zero_grad()
    loss = batch.part * torch.stack(list(model.losses(graph, batch, settings).values())).sum()
    loss.backward()
    return loss.detach(), model.backbone.embedding.grad.clone()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "2", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}, "RANK=2, WORLD_SIZE=2"),
        ({"RANK": "0", "WORLD_SIZE": "two", "LOCAL_RANK": "0"}, "WORLD_SIZE=two"),
    ],
)
def test_variables_that_cannot_be_are_named(monkeypatch, variables, message):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message), joined("cpu"):
        pass


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with joined("cpu") as group:
        assert group == SINGLE
    assert not torch.distributed.is_initialized()
