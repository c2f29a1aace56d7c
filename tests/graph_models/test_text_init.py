from dataclasses import replace

import numpy as np
import pytest
import torch

from features.table import FeatureSet, joined
from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.model import GraphModel, build_model
from graph_models.objectives.text_init import TextInit
from schemas.errors import DataError
from schemas.sections import Objective, Part, Training
from tests.support.graphs import make_batch, make_text, make_vectors

USERS, MISSING = 12, [0, 5, 14]  # nodes without text: two users and item 2
PRESENT = [node for node in range(21) if node not in MISSING]


def centred(graph) -> np.ndarray:
    """The text of the nodes that have one, each kind about its own mean: [18, 6]."""
    kinds = ((graph.x_user, graph.present_user), (graph.x_item, graph.present_item))
    rows = [x[present].numpy() for x, present in kinds]
    return np.concatenate([each - each.mean(axis=0) for each in rows])


@pytest.mark.parametrize("dim", [2, 4, 6])
def test_inner_products_are_those_of_the_leading_singular_vectors(graph, dim):
    left, values, _ = np.linalg.svd(centred(graph), full_matrices=False)
    expected = left[:, :dim] * values[:dim]
    expected *= 0.1 / expected.std()
    start = TextInit(graph, dim).start[PRESENT].numpy()
    assert np.allclose(start @ start.T, expected @ expected.T, atol=1e-6)
    assert np.allclose(np.abs(start), np.abs(expected), atol=1e-4)  # a direction has two signs


def test_text_of_fewer_dimensions_keeps_its_geometry_and_ends_in_zeros(graph):
    start, x = TextInit(graph, 10).start, torch.from_numpy(centred(graph))
    assert not start[:, 6:].any()
    scale = 0.1 / x.square().mean().sqrt()
    assert torch.allclose(start[PRESENT] @ start[PRESENT].T, scale**2 * x @ x.T, atol=1e-5)


@pytest.mark.parametrize("dim", [2, 6, 10])
def test_rows_with_text_spread_as_lightgcns_first_embeddings_do(graph, dim):
    start = TextInit(graph, dim).start[PRESENT][:, : min(dim, 6)]
    assert start.std(correction=0).item() == pytest.approx(0.1, rel=1e-4)


def test_rows_without_text_stay_as_they_are_to_the_bit(graph):
    x = make_vectors(graph)
    objective = TextInit(graph, 4)
    assert torch.equal(objective.inputs(x)[MISSING], x[MISSING])
    assert torch.equal(objective.inputs(x), x + objective.start)
    assert (objective.inputs(x) != x).any(dim=1).sum() == len(PRESENT)


def test_the_text_is_frozen_and_kept_in_the_checkpoint(graph):
    objective, x = TextInit(graph, 4), make_vectors(graph)
    assert not list(objective.parameters())
    assert list(objective.state_dict()) == ["start"]
    weight = torch.randn(21, 4)
    (objective.inputs(x) * weight).sum().backward()
    assert torch.equal(x.grad, weight)


def test_it_equals_embeddings_that_start_from_text(graph):
    """Three steps of Adam on either give the same vectors, up to rounding."""
    part, objective = Part(name="lightgcn", options={"dim": 4}), Objective(name="text_init", weight=1)
    with seeded(0):
        added = build_model(graph, part, [objective])
    with seeded(0):
        started = build_model(graph, part)
    with torch.no_grad():
        started.backbone.embedding += added.objectives["text_init"].start
    for model in (added, started):
        _steps(model, graph)
    for one, two in zip(added.vectors(graph), started.vectors(graph), strict=True):
        assert torch.allclose(one, two, atol=1e-5)


def _steps(model: GraphModel, graph) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(3):
        parts = model.losses(graph, make_batch([1, 2, 3], [0, 1, 3], [4, 5, 6]), Training(l2=1e-3))
        assert set(parts) == {"bpr", "l2"}
        optimizer.zero_grad()
        torch.stack(list(parts.values())).sum().backward()
        optimizer.step()


def test_what_stands_in_rows_without_text_is_never_read(graph):
    x_user, x_item = graph.x_user.clone(), graph.x_item.clone()
    x_user[[0, 5]], x_item[2] = torch.nan, torch.nan
    dirty = replace(graph, x_user=x_user, x_item=x_item)
    assert torch.equal(TextInit(dirty, 4).start, TextInit(graph, 4).start)


@pytest.mark.parametrize("missing", [tuple(range(9)), tuple(range(1, 9))])
def test_a_table_without_text_or_with_one_row_changes_nothing(part, missing):
    features = FeatureSet(make_text("item", 9, missing=missing), make_text("user", USERS, missing=tuple(range(USERS))))
    assert not TextInit(make_dataset(part, features), 4).start.any()


def test_texts_of_two_widths_are_named(part):
    items = joined([make_text("item", 9, 3), make_text("item", 9, 4)])
    with pytest.raises(DataError, match="text_init: expected user and item text of one dimension, found 6 and 7"):
        TextInit(make_dataset(part, FeatureSet(items, make_text("user", USERS))), 4)


def test_without_text_is_an_error(part):
    with pytest.raises(DataError, match="text_init: expected text vectors"):
        TextInit(make_dataset(part), 4)
