"""LightGCL: its layers and the truncated SVD, against dense matrices."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from graph_models.backbones.lightgcl import LightGCL
from graph_models.contrast import Contrast
from graph_models.dataset import GraphDataset, make_dataset
from tests.support.graphs import make_batch, make_part

BATCH = make_batch([0, 1, 1, 7], [2, 3, 2, 5], [4, 4, 6, 0])
USERS, NODES = 40, 70


@pytest.fixture(scope="module")
def graph() -> GraphDataset:
    """The last user and the last item have no edge."""
    return make_dataset(make_part(users=40, items=30, edges=600))


def truncated(graph: GraphDataset, rank: int) -> torch.Tensor:
    """The adjacency with the leading singular values of its block of users and items alone: [N, N]."""
    block = graph.adjacency.to_dense()[:USERS, USERS:].double().numpy()
    left, values, right = np.linalg.svd(block)
    part = torch.from_numpy((left[:, :rank] * values[:rank]) @ right[:rank]).float()
    whole = torch.zeros(NODES, NODES)
    whole[:USERS, USERS:], whole[USERS:, :USERS] = part, part.T
    return whole


def activated(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.5 * x)


@pytest.mark.parametrize("rank", [1, 5, 29])
def test_the_low_rank_view_equals_the_dense_product(graph, rank):
    model, x = LightGCL(graph, dim=8, rank=rank, compat="reference"), torch.randn(NODES, 8)
    assert torch.allclose(model._low_rank(x), truncated(graph, rank) @ x, atol=1e-5)


def test_all_singular_values_are_the_graph_itself(graph):
    """A rank above what the graph has is its whole spectrum, but for the last value."""
    model, x = LightGCL(graph, rank=1000, compat="reference"), torch.randn(NODES, 8)
    assert model.left.shape == (USERS, 29)
    assert torch.allclose(model._low_rank(x), graph.adjacency @ x, atol=1e-4)  # the isolated item's value is zero


def test_final_vectors_are_the_sum_of_layers_with_a_residual(graph):
    model = LightGCL(graph, dim=8, layers=2)
    a, x = graph.adjacency.to_dense(), model.embedding
    first = activated(a @ x) + x
    second = activated(a @ first) + first
    assert torch.allclose(model.propagate(model.inputs(), graph), x + first + second, atol=1e-5)


def test_the_loss_contrasts_every_layer_with_its_low_rank_twin(graph):
    model = LightGCL(graph, dim=8, layers=2, weight=0.3, temperature=0.4, rank=3)
    z, own = model.training_pass(model.inputs(), graph, BATCH)
    a, low, x = graph.adjacency.to_dense(), truncated(graph, 3), model.embedding
    first = activated(a @ x) + x
    contrast = Contrast(0.4, "all", 100)
    expected = contrast(activated(a @ x), activated(low @ x), BATCH, USERS) + contrast(
        activated(a @ first), activated(low @ first), BATCH, USERS
    )
    assert own["contrast"].item() == pytest.approx(0.3 * expected.item(), rel=1e-4)
    ours, theirs = (torch.autograd.grad(each, x, retain_graph=True)[0] for each in (own["contrast"], 0.3 * expected))
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert torch.allclose(z, model.propagate(model.inputs(), graph))


def test_the_published_code_contrasts_sums_by_inner_products(graph):
    model = LightGCL(graph, dim=8, layers=1, weight=1.0, temperature=0.01, rank=3, compat="reference")
    z, own = model.training_pass(model.inputs(), graph, BATCH)
    x = model.embedding
    total, low = x + graph.adjacency.to_dense() @ x, x + truncated(graph, 3) @ x
    assert torch.allclose(z, total, atol=1e-5)
    expected, bounded = 0, 0
    items = [USERS + item for item in (2, 3, 2, 5, 4, 4, 6, 0)]
    for rows, kind in (([0, 1, 1, 7], slice(0, USERS)), (items, slice(USERS, NODES))):
        positive = torch.stack([low[row] @ total[row] / 0.01 for row in rows])
        bounded += int((positive.abs() > 5).sum())
        negative = torch.stack([torch.logsumexp(total[kind] @ low[row] / 0.01, dim=0) for row in rows])
        expected = expected + negative.mean() - positive.clamp(-5, 5).mean()
    assert bounded > 0
    assert own["contrast"].item() == pytest.approx(expected.item(), rel=1e-4)
    ours, theirs = (torch.autograd.grad(each, x, retain_graph=True)[0] for each in (own["contrast"], expected))
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_dropped_entries_change_training_alone(graph):
    model = LightGCL(graph, dim=8, drop=0.5)
    passes = [model.training_pass(model.inputs(), graph, BATCH)[0] for _ in range(2)]
    assert not torch.equal(*passes)
    assert torch.equal(model.propagate(model.inputs(), graph), model.propagate(model.inputs(), graph))


def test_without_layers_there_is_nothing_to_contrast(graph):
    model = LightGCL(graph, dim=8, layers=0)
    z, own = model.training_pass(model.inputs(), graph, BATCH)
    assert torch.equal(z, model.embedding)
    assert own["contrast"] == 0


def test_a_graph_of_one_user_trains():
    single = make_dataset(make_part(users=2, items=9))
    model = LightGCL(single, dim=4)
    model.training_pass(model.inputs(), single, make_batch([0], [1], [2]))[1]["contrast"].backward()
    assert model.embedding.grad.isfinite().all()


@pytest.mark.parametrize("compat", ["none", "reference"])
def test_gradients_are_finite_with_isolated_nodes_in_the_batch(graph, compat):
    model = LightGCL(graph, dim=8, temperature=0.05, compat=compat)
    batch = make_batch([USERS - 1, 0], [29, 1], [29, 2])
    z, own = model.training_pass(model.inputs(), graph, batch)
    (z.square().sum() + own["contrast"]).backward()
    assert model.embedding.grad.isfinite().all()


def test_its_activation_is_a_leaky_relu(graph):
    model, x = LightGCL(graph), torch.randn(NODES, 8)
    assert torch.equal(model._activated(x), F.leaky_relu(x, 0.5))
