"""Every backbone and every objective: registered, documented, differentiable, at home on a graph with gaps."""

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

import graph_models
from features.table import FeatureSet, FeatureTable
from graph_models.backbones import BACKBONES
from graph_models.backbones.base import Backbone
from graph_models.checkpoint import Checkpoint
from graph_models.curve import Epoch, Selection
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.model import GraphModel, build_model
from graph_models.objectives import OBJECTIVES
from graph_models.objectives.base import Fusion, Objective
from graph_models.options import check_options, known_options
from graph_models.propagation import layer_mean
from graph_models.sampler import Sampler
from graph_models.trainer import fit
from schemas import sections
from schemas.errors import DataError
from tests.support.communities import community_text, two_communities

PAIRS = [  # every objective on two backbones, and one objective on each of the others
    (backbone, objective)
    for backbone in BACKBONES
    for objective in (OBJECTIVES if backbone in ("lightgcn", "alpharec") else ("rlmrec_con",))
]
CASES = [(*pair, loss) for pair in PAIRS for loss in ("bpr", "infonce")]
PARTS = [(name, None) for name in BACKBONES] + [("lightgcn", name) for name in OBJECTIVES]
FUSIONS = [name for name, each in OBJECTIVES.items() if issubclass(each, Fusion)]
LOSSES = [name for name in OBJECTIVES if name not in FUSIONS]
READ_TEXT = [name for name, each in OBJECTIVES.items() if each.needs_text]
READ_EDGES = [name for name, each in OBJECTIVES.items() if "edges" in known_options(each)]
COMPAT = [
    (name, value)
    for name, each in {**BACKBONES, **OBJECTIVES}.items()
    if "compat" in known_options(each)
    for value in get_args(get_args(known_options(each)["compat"])[0])  # of what is annotated
]


@pytest.fixture(scope="module")
def graph() -> GraphDataset:
    torch.set_num_threads(1)
    return make_dataset(two_communities().train, community_text())


def with_nan(graph: GraphDataset) -> GraphDataset:
    """The same graph, but with NaN in the rows without text."""
    x_user, x_item = graph.x_user.clone(), graph.x_item.clone()
    x_user[~graph.present_user], x_item[~graph.present_item] = torch.nan, torch.nan
    return replace(graph, x_user=x_user, x_item=x_item)


def without_text(graph: GraphDataset) -> torch.Tensor:
    """The nodes without text: the last user and the last item."""
    return (~torch.cat([graph.present_user, graph.present_item])).nonzero()[:, 0]


def build(graph: GraphDataset, objective: str | None, backbone: str = "lightgcn", **options: object) -> GraphModel:
    """The options are the objective's, or the backbone's where there is none."""
    with seeded(0):
        if objective is None:
            return build_model(graph, sections.Part(name=backbone, options=options))
        part = sections.Objective(name=objective, weight=0.5, options=options)
        return build_model(graph, sections.Part(name=backbone), [part])


def losses(model: GraphModel, graph: GraphDataset, loss: str = "bpr") -> dict[str, torch.Tensor]:
    settings = sections.Training(loss=loss, batch_size=50, negatives=8)
    batch = next(Sampler(graph, settings, np.random.default_rng(0)).epoch())
    with seeded(1):
        return model.losses(graph, batch, settings)


def backward(parts: dict[str, torch.Tensor]) -> None:
    torch.stack(list(parts.values())).sum().backward()


def finite(tensors: Sequence[torch.Tensor | None]) -> bool:
    return all(each is None or bool(each.isfinite().all()) for each in tensors)


def classes_in(folder: str, base: type) -> set[type]:
    found: set[type] = set()
    for file in (Path(graph_models.__file__).parent / folder).glob("*.py"):
        if file.stem != "__init__":
            module = importlib.import_module(f"graph_models.{folder}.{file.stem}")
            found |= {each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, base)}
    return {each for each in found if not inspect.isabstract(each)}


def test_the_registries_hold_every_file_of_their_folder():
    assert classes_in("backbones", Backbone) == set(BACKBONES.values())
    assert classes_in("objectives", Objective) - {Fusion} == set(OBJECTIVES.values())


@pytest.mark.parametrize("each", [*BACKBONES.values(), *OBJECTIVES.values()], ids=[*BACKBONES, *OBJECTIVES])
def test_documented_and_every_option_has_a_default(each):
    assert each.source
    assert each.__doc__
    parameters = inspect.signature(each.__init__).parameters
    assert all(parameters[name].default is not inspect.Parameter.empty for name in known_options(each))


@pytest.mark.parametrize("name", BACKBONES)
def test_shapes_and_serving_vectors(name, graph):
    model = BACKBONES[name](graph)
    nodes = graph.num_users + graph.num_items
    assert model.inputs().shape[0] == nodes
    assert model.propagate(model.inputs(), graph).shape == (nodes, model.dim)
    user, item = GraphModel(model).vectors(graph)
    assert user.shape == (graph.num_users, model.dim)
    assert item.shape == (graph.num_items, model.dim)
    assert not item.requires_grad


@pytest.mark.parametrize(("backbone", "objective", "loss"), CASES)
def test_any_objective_on_any_backbone_under_any_loss(backbone, objective, loss, graph):
    """Every parameter gets a finite gradient; a fusion adds no part to the loss."""
    model = build(graph, objective, backbone)
    parts = losses(model, graph, loss)
    alone = losses(build(graph, None, backbone), graph, loss)
    assert set(parts) == set(alone) | ({objective} if objective in LOSSES else set())
    every_parameter_learns(model, parts)


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("loss", ["bpr", "infonce"])
def test_any_backbone_alone_under_any_loss(backbone, loss, graph):
    model = build(graph, None, backbone)
    parts = losses(model, graph, loss)
    assert {loss, "l2"} <= set(parts)
    every_parameter_learns(model, parts)


def every_parameter_learns(model: GraphModel, parts: dict[str, torch.Tensor]) -> None:
    backward(parts)
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", LOSSES)
def test_an_objective_improves_when_trained_alone(name, graph):
    """From free vectors, propagated twice, and through its own hooks."""
    with seeded(0):
        x = torch.randn(graph.num_users + graph.num_items, 8, requires_grad=True)
        objective = OBJECTIVES[name](graph, 8)
        batch = next(Sampler(graph, sections.Training(batch_size=1000), np.random.default_rng(0)).epoch())
        optimizer = torch.optim.Adam([x, *objective.parameters()], lr=0.05)
        curve = []
        for _ in range(50):
            z = objective.outputs(layer_mean(objective.inputs(x), graph.adjacency, 2))
            loss = objective(z, batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            curve.append(loss.item())
    assert np.mean(curve[-5:]) < 0.9 * np.mean(curve[:5])  # some draw anew in each step


@pytest.mark.parametrize(("backbone", "objective"), PARTS)
def test_serving_draws_nothing(backbone, objective, graph):
    model = build(graph, objective, backbone).eval()
    first, again = model.vectors(graph), model.vectors(graph)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert finite(first)


class StopError(Exception):
    """Ends a run from outside."""


def stop_after_three(epoch: Epoch) -> None:
    if epoch.epoch == 3:
        raise StopError


@pytest.mark.parametrize(("backbone", "objective"), PARTS)
def test_a_stopped_run_goes_on_to_the_same_vectors(backbone, objective, graph, tmp_path):
    """What a part draws or freezes is either remembered or drawn again alike."""
    settings = sections.Training(batch_size=100, max_epochs=4, evaluate_every=2)
    selection = Selection(lambda user, item: {"recall@20": float((user @ item.T).std())})
    whole = fit(graph, build(graph, objective, backbone), settings, 1, selection)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", "key")
    with pytest.raises(StopError):
        fit(graph, build(graph, objective, backbone), settings, 1, selection, checkpoint, stop_after_three)
    resumed = fit(graph, build(graph, objective, backbone), settings, 1, selection, checkpoint)
    assert [epoch.loss for epoch in resumed.history] == [epoch.loss for epoch in whole.history]
    assert torch.equal(resumed.user, whole.user)
    assert torch.equal(resumed.item, whole.item)


@pytest.mark.parametrize("name", READ_TEXT)
def test_what_stands_in_rows_without_text_is_never_read(name, graph):
    """Planted NaN change neither a loss nor a vector, and reach no gradient."""
    clean, dirty = build(graph, name), build(with_nan(graph), name)
    expected, found = losses(clean, graph), losses(dirty, with_nan(graph))
    assert {part: value.item() for part, value in found.items()} == {
        part: value.item() for part, value in expected.items()
    }
    backward(found)
    assert finite([parameter.grad for parameter in dirty.parameters()])
    vectors = zip(clean.eval().vectors(graph), dirty.eval().vectors(with_nan(graph)), strict=True)
    assert all(torch.equal(one, two) for one, two in vectors)


@pytest.mark.parametrize("name", [name for name in FUSIONS if OBJECTIVES[name].needs_text])
def test_a_fusion_changes_nothing_of_nodes_without_text(name, graph):
    with seeded(0):
        fusion, x = OBJECTIVES[name](graph, 8), torch.randn(graph.num_users + graph.num_items, 8)
    rows = without_text(graph)
    assert len(rows) == 2
    assert torch.equal(fusion.inputs(x)[rows], x[rows])
    assert torch.equal(fusion.outputs(x)[rows], x[rows])
    assert not torch.equal(fusion.outputs(fusion.inputs(x)), x)


@pytest.mark.parametrize("name", READ_EDGES)
def test_missing_edges_are_named(name, graph):
    assert OBJECTIVES[name](graph, 8).edges_from in graph.edges
    with pytest.raises(DataError, match=rf"{name}: expected edges of .*, found none; .*features\.edges"):
        OBJECTIVES[name](replace(graph, edges={}), 8)


@pytest.mark.parametrize(("name", "value"), COMPAT)
def test_every_value_of_compat_trains(name, value, graph):
    check_options({**BACKBONES, **OBJECTIVES}[name], {"compat": value}, "here")
    part = (None, name) if name in BACKBONES else (name, "lightgcn")
    for loss in ("bpr", "infonce"):
        model = build(graph, *part, compat=value)
        parts = losses(model, graph, loss)
        backward(parts)
        assert finite([*parts.values(), *(parameter.grad for parameter in model.parameters())])


@pytest.mark.parametrize("name", [name for name, each in {**BACKBONES, **OBJECTIVES}.items() if each.needs_text])
def test_a_table_with_no_text_at_all_is_survived(name, graph):
    """Every answer was rejected: the model still trains, from neighbours or without the objective."""
    item, user = (
        FeatureTable(table.kind, np.zeros_like(table.x), np.zeros_like(table.present), "none")
        for table in (community_text().item, community_text().user)
    )
    bare = make_dataset(two_communities().train, FeatureSet(item, user))
    backbone = sections.Part(name=name if name in BACKBONES else "lightgcn")
    objectives = [sections.Objective(name=name, weight=1)] if name in OBJECTIVES else []
    model = build_model(bare, backbone, objectives)
    batch = next(Sampler(bare, sections.Training(), np.random.default_rng(0)).epoch())
    loss = torch.stack(list(model.losses(bare, batch, sections.Training()).values())).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(each.grad is None or each.grad.isfinite().all() for each in model.parameters())
