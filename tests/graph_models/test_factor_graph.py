import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from graph_models.dataset import make_dataset
from graph_models.factor_graph import Mean, Peers, factor_graph, hop
from tests.support.graphs import make_part

USER = np.full((12, 2), -1, dtype=np.int16)
USER[:6] = [[0, 0], [0, 1], [0, 1], [0, 2], [1, 3], [1, 3]]  # code 0 of the second level and code 2 have one member
ITEM = np.array([[0], [0], [-1], [1], [1], [1], [2], [0], [1]], dtype=np.int16)


@pytest.fixture
def bare():
    return make_dataset(make_part())


def links(data, kind: str) -> dict[tuple[int, int, int], float]:
    """(row, level, code) -> weight."""
    edges, nodes = data[kind, "has", f"{kind}_factor"], data[f"{kind}_factor"]
    return {
        (int(row), int(nodes.level[factor]), int(nodes.code[factor])): round(float(weight), 5)
        for (row, factor), weight in zip(edges.edge_index.T, edges.edge_weight, strict=True)
    }


def test_links_by_hand(bare):
    four, two = round(np.log(6 / 4), 5), round(np.log(6 / 2), 5)
    expected = {(row, 0, 0): four for row in range(4)} | {(4, 0, 1): two, (5, 0, 1): two}
    expected |= {(1, 1, 1): two, (2, 1, 1): two, (4, 1, 3): two, (5, 1, 3): two}
    assert links(factor_graph(bare, USER, ITEM), "user") == expected
    assert links(factor_graph(bare, USER, ITEM, "uniform"), "user") == dict.fromkeys(expected, 1.0)


def test_a_heterogeneous_graph_that_pyg_accepts(bare):
    data = factor_graph(bare, USER, ITEM)
    assert data.validate()
    assert {kind: data[kind].num_nodes for kind in data.node_types} == {
        "user": 12,
        "item": 9,
        "user_factor": 4,
        "item_factor": 2,
    }
    assert data["user", "interacts", "item"].num_edges == bare.seen.nnz
    assert data["item", "has", "item_factor"].edge_weight.dtype == torch.float32


def test_a_factor_of_every_row_weighs_nothing_under_idf(bare):
    everybody = np.zeros((12, 1), dtype=np.int16)
    assert factor_graph(bare, everybody, ITEM)["user_factor"].num_nodes == 0
    assert factor_graph(bare, everybody, ITEM, "uniform")["user_factor"].num_nodes == 1


def test_no_codes_at_all(bare):
    nobody = np.full((12, 2), -1, dtype=np.int16)
    data = factor_graph(bare, nobody, ITEM)
    assert data.validate()
    peers = Peers(data, "user")
    assert not peers.reached.any()
    assert not peers(torch.ones(12, 3)).any()


def test_mean_and_its_gradient_equal_a_dense_product():
    rng = np.random.default_rng(0)
    weight = rng.random((5, 7)) * (rng.random((5, 7)) < 0.5)
    weight[2] = 0
    mean = Mean(csr_matrix(weight))
    dense = torch.tensor(weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9), dtype=torch.float32)
    x = torch.tensor(rng.normal(size=(7, 3)), dtype=torch.float32, requires_grad=True)
    assert torch.allclose(mean(x), dense @ x, atol=1e-6)
    assert mean.reached.tolist() == [True, True, False, True, True]
    ours, theirs = (torch.autograd.grad((each**2).sum(), x)[0] for each in (mean(x), dense @ x))
    assert torch.allclose(ours, theirs, atol=1e-5)
    assert not mean.state_dict()


def test_peers_by_hand(bare):
    """A row's message: the mean of its factors' means, weighted by how rare they are."""
    x = torch.arange(12.0)[:, None]
    found = Peers(factor_graph(bare, USER, ITEM), "user")
    four, two = np.log(6 / 4), np.log(6 / 2)
    second = (four * 1.5 + two * 1.5) / (four + two)  # factor (0, 0) has mean 1.5, factor (1, 1) too
    expected = [1.5, second, second, 1.5, 4.5, 4.5, *[0] * 6]
    assert found(x)[:, 0].tolist() == pytest.approx(expected)
    assert found.reached.tolist() == [True] * 6 + [False] * 6


@pytest.mark.parametrize("to", ["user", "item"])
def test_a_hop_averages_over_neighbours_with_a_message(bare, to):
    data = factor_graph(bare, USER, ITEM)
    seen = bare.seen.toarray() if to == "user" else bare.seen.toarray().T
    reached = Peers(data, "item" if to == "user" else "user").reached
    weight = seen * reached.numpy()
    x = np.random.default_rng(0).normal(size=(len(reached), 2)).astype(np.float32)
    expected = weight @ x / np.maximum(weight.sum(axis=1, keepdims=True), 1)
    mean = hop(data, to, reached)
    np.testing.assert_allclose(mean(torch.from_numpy(x)).numpy(), expected, atol=1e-6)
    assert mean.reached.tolist() == weight.any(axis=1).tolist()
