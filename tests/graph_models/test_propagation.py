import numpy as np
import pytest
import torch

from graph_models.propagation import layer_mean, layer_mean_of


def both_directions(graph) -> torch.Tensor:
    user, item = (torch.from_numpy(np.asarray(each, dtype=np.int64)) for each in graph.seen.nonzero())
    return torch.cat([torch.stack([user, item + graph.num_users]), torch.stack([item + graph.num_users, user])], dim=1)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_values_and_gradients_equal_torch_geometric(graph, layers):
    models = pytest.importorskip("torch_geometric.nn.models")
    nodes = graph.num_users + graph.num_items
    theirs = models.LightGCN(nodes, 5, layers)
    weight = torch.randn(nodes, 5, generator=torch.Generator().manual_seed(1))
    expected = theirs.get_embedding(both_directions(graph))
    (expected * weight).sum().backward()
    x = theirs.embedding.weight.detach().clone().requires_grad_()
    ours = layer_mean(x, graph.adjacency, layers)
    (ours * weight).sum().backward()
    assert torch.allclose(ours, expected, atol=1e-6)
    assert torch.allclose(x.grad, theirs.embedding.weight.grad, atol=1e-6)


def test_gradient_is_that_of_finite_differences(graph):
    adjacency = graph.adjacency.to(torch.float64)
    x = torch.randn(graph.num_users + graph.num_items, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: layer_mean(x, adjacency, 2), x)


def test_an_isolated_node_keeps_its_share_of_layer_zero(graph):
    x = torch.ones(graph.num_users + graph.num_items, 1)
    assert layer_mean(x, graph.adjacency, 3)[graph.num_users - 1].item() == pytest.approx(0.25)


@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_some_rows_are_those_of_all_and_so_are_their_gradients(graph, layers):
    nodes = graph.num_users + graph.num_items
    rows = torch.tensor([0, 3, 4, graph.num_users - 1, graph.num_users + 2, nodes - 1])
    x, weight = torch.randn(nodes, 5, requires_grad=True), torch.randn(len(rows), 5)
    ours = layer_mean_of(rows, x, graph.adjacency, layers)
    theirs = layer_mean(x, graph.adjacency, layers)[rows]
    (gradient,), (expected,) = (torch.autograd.grad((each * weight).sum(), x) for each in (ours, theirs))
    assert torch.allclose(ours, theirs, atol=1e-6)
    assert torch.allclose(gradient, expected, atol=1e-6)
