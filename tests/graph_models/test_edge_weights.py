"""Learned weights on edges against dense matrices, with their gradients."""

import pytest
import torch

from graph_models.edge_weights import EdgeWeights


@pytest.fixture
def edges(graph) -> EdgeWeights:
    return EdgeWeights(graph.adjacency.crow_indices(), graph.adjacency.col_indices())


def vectors(edges: EdgeWeights, dim: int = 3) -> torch.Tensor:
    return torch.randn(edges.nodes, dim, dtype=torch.float64, requires_grad=True)


def dense(edges: EdgeWeights, weight: torch.Tensor) -> torch.Tensor:
    return torch.zeros(edges.nodes, edges.nodes, dtype=weight.dtype).index_put((edges.row, edges.column.long()), weight)


def test_products_and_sums_are_those_of_dense_matrices(edges):
    x, y, weight = vectors(edges), vectors(edges), torch.rand(len(edges.column), dtype=torch.float64)
    products = (x @ y.T)[edges.row, edges.column.long()]
    torch.testing.assert_close(edges.products(x, y), products)
    torch.testing.assert_close(edges.sums(weight, x), dense(edges, weight) @ x)
    whole = dense(edges, weight)
    expected = whole @ x / whole.sum(dim=1, keepdim=True).clamp(min=1e-12)
    torch.testing.assert_close(edges.means(weight, x), expected)
    assert (edges.means(weight, x)[-1] == 0).all()  # the last item has no edge


def test_gradients_are_those_of_finite_differences(edges):
    x, y = vectors(edges), vectors(edges)
    weight = torch.rand(len(edges.column), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(edges.products, (x, y))
    assert torch.autograd.gradcheck(edges.sums, (weight, x))
    assert torch.autograd.gradcheck(edges.means, (weight, x))


def test_a_twin_is_the_same_edge_turned_round(edges):
    assert torch.equal(edges.row[edges.twin], edges.column.long())
    assert torch.equal(edges.twin[edges.twin], torch.arange(len(edges.twin)))


def test_nothing_is_kept_in_a_checkpoint(edges):
    assert not edges.state_dict()
