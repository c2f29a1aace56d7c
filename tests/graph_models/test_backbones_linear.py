"""Backbones without a loss of their own: how ids begin, factorisation, GCCF, and LightGCN with dropped edges."""

import math

import pytest
import torch

from graph_models.backbones.gccf import GCCF
from graph_models.backbones.lightgcn import LightGCN
from graph_models.backbones.mf import MatrixFactorisation
from graph_models.dataset import make_dataset
from graph_models.model import GraphModel
from schemas.errors import ConfigError
from tests.support.graphs import make_batch, make_part

BATCH = make_batch([0, 1], [2, 3], [4, 5])


@pytest.fixture(scope="module")
def large():
    return make_dataset(make_part(users=90, items=60, edges=3000))


def adjacency(graph) -> torch.Tensor:
    return graph.adjacency.to_dense()


def powers(matrix: torch.Tensor, x: torch.Tensor, layers: int) -> list[torch.Tensor]:
    found = [x]
    for _ in range(layers):
        found.append(matrix @ found[-1])
    return found


def test_xavier_draws_each_kind_within_its_own_bounds(large):
    start = LightGCN(large, dim=10, init="xavier").inputs().detach()
    for rows, part in ((90, start[:90]), (60, start[90:])):
        bound = math.sqrt(6 / (rows + 10))
        assert 0.95 * bound < part.abs().max() <= bound


def test_factorisation_serves_the_embeddings_themselves(graph):
    model = MatrixFactorisation(graph, dim=4)
    served = torch.cat(GraphModel(model).vectors(graph))
    assert torch.equal(served, model.embedding)
    assert not served.requires_grad
    assert model.training_pass(model.inputs(), graph, BATCH)[1] == {}


def test_gccf_puts_layers_with_self_loops_side_by_side(graph):
    model = GCCF(graph, layers=2, dim=3)
    linked = (adjacency(graph) > 0).float() + torch.eye(21)
    scale = linked.sum(dim=1).rsqrt()
    expected = torch.cat(powers(scale[:, None] * linked * scale, model.embedding, 2), dim=1)
    found = model.propagate(model.inputs(), graph)
    assert found.shape == (21, model.dim) == (21, 9)
    assert torch.allclose(found, expected, atol=1e-6)
    weight = torch.randn(21, 9)
    ours, theirs = (torch.autograd.grad((each * weight).sum(), model.embedding)[0] for each in (found, expected))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_gccf_keeps_a_node_without_neighbours(graph):
    model = GCCF(graph, layers=2, dim=3)
    assert torch.allclose(model.propagate(model.inputs(), graph)[11], model.embedding[11].repeat(3))


def test_lightgcn_of_sslrec_sums_its_layers(graph):
    model = LightGCN(graph, layers=2, dim=4, compat="sslrec")
    expected = sum(powers(adjacency(graph), model.embedding, 2))
    assert torch.allclose(model.propagate(model.inputs(), graph), expected, atol=1e-6)


@pytest.mark.parametrize(("compat", "size"), [("none", 1.0), ("sslrec", 0.5 * 2)])
def test_lightgcn_drops_edges_in_training_alone(large, compat, size):
    """Of one layer of ones: the paper's code keeps the expectation, SSLRec's (of the sum, so twice) does not."""
    model, x = LightGCN(large, layers=1, dim=1, drop=0.5, compat=compat), torch.ones(150, 1)
    passes = [model.training_pass(x, large, BATCH)[0] for _ in range(2)]
    assert not torch.equal(*passes)
    neighbours = adjacency(large) @ x
    from_layer_0 = x / 2 if compat == "none" else x
    mean = torch.stack([(each - from_layer_0).sum() / neighbours.sum() for each in passes]).mean()
    assert mean.item() == pytest.approx(size / 2, rel=0.05)
    assert torch.equal(model.propagate(x, large), model.propagate(x, large))


def test_lightgcn_without_drop_trains_on_the_graph_it_serves(graph):
    model = LightGCN(graph, dim=4)
    z, own = model.training_pass(model.inputs(), graph, BATCH)
    assert torch.equal(z, model.propagate(model.inputs(), graph))
    assert own == {}


def test_length_power_lies_between_cosine_and_inner_product(graph):
    torch.manual_seed(0)
    made = {power: LightGCN(graph, dim=4, score="cosine", length_power=power) for power in (0.0, 0.5, 1.0)}
    for model in made.values():
        model.embedding.data = made[0.0].embedding.data
    z = made[0.0].propagate(made[0.0].embedding, graph).detach()
    length = z[graph.num_users :].norm(dim=1)
    cosine = GraphModel(made[0.0]).vectors(graph)
    for power, model in made.items():
        user, item = GraphModel(model).vectors(graph)
        assert torch.equal(user, cosine[0])
        assert torch.allclose(item, cosine[1] * length[:, None] ** power, atol=1e-6)
    assert torch.allclose(item, z[graph.num_users :], atol=1e-5)


def test_length_power_needs_the_cosine(graph):
    with pytest.raises(ConfigError, match="length_power: only of score"):
        LightGCN(graph, length_power=0.5)
