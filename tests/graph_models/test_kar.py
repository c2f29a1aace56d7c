from dataclasses import replace

import pytest
import torch

from features.table import FeatureSet
from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.experts import ROWS_AT_ONCE
from graph_models.objectives.kar import KAR
from schemas import sections
from schemas.errors import DataError
from tests.support.graphs import make_part, make_text

DIM = 4
WITHOUT = torch.tensor([0, 5, 12 + 2])  # nodes without text


def kar(graph, **options) -> KAR:
    with seeded(0):
        return KAR(graph, DIM, **options)


def start(graph, seed: int = 0) -> torch.Tensor:
    return torch.randn(graph.num_users + graph.num_items, DIM, generator=torch.Generator().manual_seed(seed))


def test_value_equals_the_formula_row_by_row(graph):
    objective, x = kar(graph), start(graph)
    found = objective.inputs(x)
    for node in (1, 3, 11):
        knowledge = objective.experts.tower(0, graph.x_user[[node]])[0]
        expected = objective.user_join(torch.cat([x[node], knowledge]))
        assert torch.allclose(found[node], expected, atol=1e-6)
    for item in (0, 8):
        knowledge = objective.experts.tower(1, graph.x_item[[item]])[0]
        expected = objective.item_join(torch.cat([x[12 + item], knowledge]))
        assert torch.allclose(found[12 + item], expected, atol=1e-6)


def test_training_starts_near_the_backbone(graph):
    x = start(graph)
    change = kar(graph).inputs(x) - x
    assert 0 < change.norm() < 0.1 * x.norm()


def test_a_row_without_text_keeps_its_vector_exactly(graph):
    objective, x = kar(graph), start(graph)
    torch.nn.init.normal_(objective.user_join.bias)
    torch.nn.init.normal_(objective.item_join.bias)
    found = objective.inputs(x)
    assert torch.equal(found[WITHOUT], x[WITHOUT])
    assert ((found != x).any(dim=1).sum()) == len(x) - len(WITHOUT)


def test_what_stands_in_rows_without_text_is_never_read(graph):
    x_user, x_item = graph.x_user.clone(), graph.x_item.clone()
    x_user[[0, 5]], x_item[2] = torch.nan, torch.nan
    clean, dirty, x = kar(graph), kar(replace(graph, x_user=x_user, x_item=x_item)), start(graph).requires_grad_()
    found = dirty.inputs(x)
    assert torch.equal(found, clean.inputs(x))
    found.square().sum().backward()
    assert all(each.grad.isfinite().all() for each in (x, *dirty.parameters()))


def test_gradients_reach_every_parameter_and_the_backbone(graph):
    objective, x = kar(graph), start(graph).requires_grad_()
    objective.inputs(x).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in objective.parameters())
    assert (x.grad.abs().sum(dim=1) > 0).all()


def test_the_shared_experts_learn_from_both_kinds(graph):
    objective, x = kar(graph), start(graph)
    for nodes in (slice(0, 12), slice(12, None)):
        (gradient,) = torch.autograd.grad(objective.inputs(x)[nodes].sum(), objective.experts.shared.second)
        assert gradient.abs().sum() > 0


def test_more_rows_than_go_at_once_give_the_same(part):
    """Users beyond the first block are computed like those in it."""
    users = ROWS_AT_ONCE + 7
    text = FeatureSet(make_text("item", 9), make_text("user", users, seed=1))
    graph = make_dataset(make_part(users=users), text)
    objective, x = kar(graph, hidden=8, width=2), start(graph)
    knowledge = objective.experts.tower(0, graph.x_user[-9:])
    expected = objective.user_join(torch.cat([x[users - 9 : users], knowledge], dim=1))
    found = objective.inputs(x)
    assert torch.allclose(found[users - 9 : users], expected, atol=1e-6)
    found.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in objective.parameters())


def test_an_adaptor_comes_before_the_experts(graph):
    objective = kar(replace(graph, adaptor=sections.Part(name="whitening", options={"dim": 5})))
    assert objective.experts.shared.first.in_features == 5
    objective.inputs(start(graph)).square().sum().backward()
    assert objective.user_text.adaptor.map[0].grad.abs().sum() > 0


def test_texts_of_two_widths_are_an_error(part):
    text = FeatureSet(make_text("item", 9, dim=5), make_text("user", 12))
    with pytest.raises(DataError, match="kar: expected user and item text of one dimension, found 6 and 5"):
        KAR(make_dataset(part, text), DIM)


def test_without_text_is_an_error(part):
    with pytest.raises(DataError, match="kar: expected text vectors"):
        KAR(make_dataset(part), DIM)
