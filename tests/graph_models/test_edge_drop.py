"""Graphs that lack a share of their edges, against dense matrices."""

import pytest
import torch

from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.edge_drop import EdgeDrop, directed_mean
from tests.support.graphs import make_part


@pytest.fixture(scope="module")
def large() -> GraphDataset:
    """Some 3,400 edges; the last user and the last item have none."""
    return make_dataset(make_part(users=90, items=60, edges=5000))


def dense(matrix: torch.Tensor) -> torch.Tensor:
    return matrix.to_dense()


def linked(graph: GraphDataset) -> torch.Tensor:
    return dense(graph.adjacency) > 0


def test_every_entry_knows_its_twin(large):
    edges = EdgeDrop(large.adjacency)
    row = torch.repeat_interleave(torch.arange(150), large.adjacency.crow_indices().diff().long())
    assert torch.equal(row[edges.twin], edges.column.long())
    assert torch.equal(edges.column[edges.twin].long(), row)


def test_a_copy_of_both_ways_is_symmetric_and_lacks_the_share(large):
    view = dense(EdgeDrop(large.adjacency).both_ways(0.3))
    assert torch.allclose(view, view.T)
    assert not (view > 0)[~linked(large)].any()
    share = 1 - (view > 0).sum() / linked(large).sum()
    assert share.item() == pytest.approx(0.3, abs=0.03)  # 3,400 draws: standard deviation 0.008


def test_it_is_normalised_by_the_degrees_that_are_left(large):
    view = dense(EdgeDrop(large.adjacency).both_ways(0.9))  # some nodes lose every edge
    left = (view > 0).float()
    scale = left.sum(dim=1).clamp(min=1).rsqrt()
    assert (left.sum(dim=1) == 0).sum() > 2
    assert torch.allclose(view, scale[:, None] * left * scale, atol=1e-6)


def test_or_keeps_its_values(large):
    view = dense(EdgeDrop(large.adjacency).both_ways(0.5, "same"))
    assert torch.equal(view, dense(large.adjacency) * (view > 0))
    assert (view > 0).sum() < linked(large).sum()


@pytest.mark.parametrize(("rescale", "factor"), [(True, 1 / 0.6), (False, 1.0)])
def test_a_copy_of_each_way_comes_with_its_transpose(large, rescale, factor):
    matrix, transpose = (dense(each) for each in EdgeDrop(large.adjacency).each_way(0.4, rescale))
    assert torch.equal(matrix.T, transpose)
    kept = matrix > 0
    assert torch.allclose(matrix, dense(large.adjacency) * kept * factor)
    both = (kept & kept.T).sum() / linked(large).sum()
    assert both.item() == pytest.approx(0.6 * 0.6, abs=0.03)  # on their own: not 0.6


def test_nothing_dropped_is_the_graph_itself(large):
    edges = EdgeDrop(large.adjacency)
    for each in (edges.both_ways(0.0), *edges.each_way(0.0, True)):
        assert torch.allclose(dense(each), dense(large.adjacency), atol=1e-6)
        assert each.crow_indices().dtype == each.col_indices().dtype == torch.int32


def test_copies_differ_and_a_seed_repeats_them(large):
    edges = EdgeDrop(large.adjacency)
    with seeded(3):
        first, second = dense(edges.both_ways(0.5)), dense(edges.both_ways(0.5))
    with seeded(3):
        again = dense(edges.both_ways(0.5))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_it_leaves_nothing_in_a_checkpoint(large):
    assert not EdgeDrop(large.adjacency).state_dict()


def test_the_mean_over_layers_and_its_gradient_equal_dense_ones(large):
    matrix, transpose = EdgeDrop(large.adjacency).each_way(0.4, rescale=True)
    x, weight = torch.randn(150, 3, requires_grad=True), torch.randn(150, 3)
    a = dense(matrix)
    expected = (x + a @ x + a @ (a @ x)) / 3
    found = directed_mean(x, matrix, transpose, 2)
    assert torch.allclose(found, expected, atol=1e-5)
    ours, theirs = (torch.autograd.grad((each * weight).sum(), x)[0] for each in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-5)
