import numpy as np
import pytest
import torch

from graph_models import model as model_module
from graph_models.backbones.alpharec import AlphaRec
from graph_models.backbones.lightgcn import LightGCN
from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.model import GraphModel
from graph_models.propagation import layer_mean
from graph_models.sampler import Sampler
from schemas.errors import DataError
from schemas.sections import Training
from tests.support.graphs import make_part


def nodes(graph) -> int:
    return graph.num_users + graph.num_items


def test_lightgcn_starts_from_small_normal_vectors(part):
    with seeded(0):
        start = LightGCN(make_dataset(part), dim=500).inputs()
    assert start.std().item() == pytest.approx(0.1, rel=0.05)


def test_lightgcn_scores_are_inner_products_of_the_layer_mean(graph):
    model = LightGCN(graph, layers=2, dim=4)
    expected = layer_mean(model.embedding, graph.adjacency, 2)
    user, item = GraphModel(model).vectors(graph)
    assert torch.allclose(torch.cat([user, item]), expected)
    assert not user.requires_grad


def test_lightgcn_without_layers_is_matrix_factorisation(graph):
    model = LightGCN(graph, layers=0, dim=4)
    assert torch.equal(torch.cat(GraphModel(model).vectors(graph)), model.embedding)


@pytest.mark.parametrize("make", [lambda graph: LightGCN(graph, score="cosine"), AlphaRec])
def test_cosine_scores_come_from_unit_vectors(graph, make):
    with seeded(0):
        lengths = torch.cat(GraphModel(make(graph)).vectors(graph)).norm(dim=1)
    assert torch.allclose(lengths, torch.tensor(1.0), atol=1e-3)


def test_alpharec_is_one_perceptron_for_users_and_items(graph):
    model = AlphaRec(graph, ratio=0.5, dim=4)
    first, second = model.tower[0], model.tower[2]
    assert first.weight.shape == (3, 6)  # half of the six text dimensions
    by_hand = torch.nn.functional.leaky_relu(graph.x_item[1] @ first.weight.T + first.bias, 0.01)
    by_hand = by_hand @ second.weight.T + second.bias
    assert torch.allclose(model.inputs()[graph.num_users + 1], by_hand, atol=1e-6)


def test_alpharec_gives_nodes_without_text_the_learned_vector(graph):
    """Users 0 and 5 and item 2 have no text."""
    model = AlphaRec(graph, dim=4)
    start = model.inputs()
    same = (start == model.missing).all(dim=1).nonzero()[:, 0].tolist()
    assert same == [0, 5, graph.num_users + 2]
    start.sum().backward()
    assert torch.equal(model.missing.grad, torch.full((4,), 3.0))


def test_alpharec_does_not_keep_the_text_in_its_state(graph):
    assert set(AlphaRec(graph).state_dict()) == {
        "missing",
        "tower.0.weight",
        "tower.0.bias",
        "tower.2.weight",
        "tower.2.bias",
    }


def test_alpharec_without_text_is_an_error(part):
    with pytest.raises(DataError, match="expected text vectors, found none"):
        AlphaRec(make_dataset(part))


def test_isolated_nodes_have_finite_vectors_and_gradients(graph):
    model = AlphaRec(graph, dim=4)
    out = model.scored(model.propagate(model.inputs(), graph))
    out.square().sum().backward()
    assert out.isfinite().all()
    assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in model.parameters())


@pytest.mark.parametrize("loss", ["bpr", "infonce", "sampled_softmax"])
@pytest.mark.parametrize("compat", ["none", "sslrec"])
def test_a_small_batch_takes_its_rows_alone_and_learns_the_same(loss, compat, monkeypatch):
    graph = make_dataset(make_part(users=60, items=60, edges=300))
    settings = Training(loss=loss, batch_size=4, negatives=3)
    batch = next(Sampler(graph, settings, np.random.default_rng(0)).epoch())
    found, taken = [], []
    some_rows = LightGCN.some_rows
    monkeypatch.setattr(LightGCN, "some_rows", lambda *given: taken.append(some_rows(*given)) or taken[-1])
    for few in (8, 10**6):
        monkeypatch.setattr(model_module, "FEW", few)
        with seeded(0):
            model = GraphModel(LightGCN(graph, dim=4, compat=compat))
        value = torch.stack(list(model.losses(graph, batch, settings).values())).sum()
        found.append((value, *torch.autograd.grad(value, model.backbone.embedding)))
    assert len(taken) == 1
    assert len(taken[0]) <= 12
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-6)
