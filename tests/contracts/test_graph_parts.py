"""Every backbone and every objective: registered, documented, differentiable, at home on a graph with gaps."""

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

import graph_models
from features.table import FeatureTable
from graph_models.backbones import BACKBONES
from graph_models.backbones.base import Backbone
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.model import build_model
from graph_models.objectives import OBJECTIVES
from graph_models.objectives.base import Objective
from graph_models.options import known_options
from graph_models.sampler import Sampler
from schemas import run
from tests.support.communities import community_text, two_communities

CASES = [
    (backbone, objective, loss) for backbone in BACKBONES for objective in OBJECTIVES for loss in ("bpr", "infonce")
]


@pytest.fixture(scope="module")
def graph() -> GraphDataset:
    torch.set_num_threads(1)
    return make_dataset(two_communities().train, community_text())


def classes_in(folder: str, base: type) -> set[type]:
    found: set[type] = set()
    for file in (Path(graph_models.__file__).parent / folder).glob("*.py"):
        if file.stem != "__init__":
            module = importlib.import_module(f"graph_models.{folder}.{file.stem}")
            found |= {each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, base)}
    return found - {base}


def test_the_registries_hold_every_file_of_their_folder():
    assert classes_in("backbones", Backbone) == set(BACKBONES.values())
    assert classes_in("objectives", Objective) == set(OBJECTIVES.values())


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
    user, item = model.vectors(graph)
    assert user.shape == (graph.num_users, model.dim)
    assert item.shape == (graph.num_items, model.dim)
    assert not item.requires_grad


@pytest.mark.parametrize(("backbone", "objective", "loss"), CASES)
def test_any_objective_on_any_backbone_under_any_loss(backbone, objective, loss, graph):
    """Every parameter gets a finite gradient, and all the gradient of a table without text in it."""
    settings = run.Training(loss=loss, batch_size=50, negatives=8)
    with seeded(0):
        model = build_model(graph, run.Part(name=backbone), [run.Objective(name=objective, weight=0.5)])
    batch = next(Sampler(graph, settings, np.random.default_rng(0)).epoch())
    parts = model.losses(graph, batch, settings)
    assert set(parts) == {loss, "l2", objective}
    torch.stack(list(parts.values())).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_improves_when_trained_alone(name, graph):
    with seeded(0):
        z = torch.randn(graph.num_users + graph.num_items, 8, requires_grad=True)
        objective = OBJECTIVES[name](graph, 8)
        batch = next(Sampler(graph, run.Training(batch_size=1000), np.random.default_rng(0)).epoch())
        optimizer = torch.optim.Adam([z, *objective.parameters()], lr=0.05)
        first = objective(z, batch).item()
        for _ in range(30):
            optimizer.zero_grad()
            objective(z, batch).backward()
            optimizer.step()
    assert objective(z, batch).item() < 0.9 * first


@pytest.mark.parametrize("name", [name for name, each in {**BACKBONES, **OBJECTIVES}.items() if each.needs_text])
def test_a_table_with_no_text_at_all_is_survived(name, graph):
    """Every answer was rejected: the model still trains, from neighbours or without the objective."""
    empty = {
        kind: FeatureTable(kind, np.zeros_like(table.x), np.zeros_like(table.present), "none")
        for kind, table in community_text().items()
    }
    bare = make_dataset(two_communities().train, empty)
    backbone = run.Part(name=name if name in BACKBONES else "lightgcn")
    objectives = [run.Objective(name=name, weight=1)] if name in OBJECTIVES else []
    model = build_model(bare, backbone, objectives)
    batch = next(Sampler(bare, run.Training(), np.random.default_rng(0)).epoch())
    loss = torch.stack(list(model.losses(bare, batch, run.Training()).values())).sum()
    loss.backward()
    assert loss.isfinite()
    assert all(each.grad is None or each.grad.isfinite().all() for each in model.parameters())
