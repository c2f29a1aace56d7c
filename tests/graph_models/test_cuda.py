"""The same on a GPU: values, gradients, ranking and training; skipped where torch finds no CUDA device."""

import numpy as np
import pytest
import torch

from evaluation.ranking import rank_vectors
from graph_models.curve import Selection
from graph_models.device import seeded
from graph_models.model import build_model
from graph_models.propagation import layer_mean
from graph_models.sampler import Sampler
from graph_models.trainer import fit
from schemas.sections import Part, Training

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
LOSSES = ["bpr", "infonce", "sampled_softmax", "softmax"]


@pytest.fixture
def on_gpu(graph):
    return graph.to(torch.device("cuda"))


def test_propagation_is_the_same(graph, on_gpu):
    x = torch.randn(graph.num_users + graph.num_items, 8)
    start = [x.clone().requires_grad_(), x.cuda().requires_grad_()]
    for each, data in zip(start, (graph, on_gpu), strict=True):
        layer_mean(each, data.adjacency, 3).square().sum().backward()
    assert torch.allclose(layer_mean(x, graph.adjacency, 3), layer_mean(x.cuda(), on_gpu.adjacency, 3).cpu(), atol=1e-5)
    assert torch.allclose(start[0].grad, start[1].grad.cpu(), atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_gradients_are_the_same(graph, on_gpu, loss):
    settings, found = Training(loss=loss, negatives=4), []
    for data in (graph, on_gpu):
        with seeded(0):
            model = build_model(data, Part(name="lightgcn", options={"dim": 8})).to(data.device)
        batch = next(Sampler(data, settings, np.random.default_rng(0)).epoch())
        value = torch.stack(list(model.losses(data, batch, settings).values())).sum()
        value.backward()
        found.append((value.detach().cpu(), model.backbone.embedding.grad.cpu()))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-4)
    assert torch.allclose(found[0][1], found[1][1], atol=1e-5)


def test_ranking_is_the_same(graph):
    user, item = torch.randn(graph.num_users, 8), torch.randn(graph.num_items, 8)
    users = np.arange(graph.num_users)
    ours, theirs = (rank_vectors(*each, users, 5, graph.seen) for each in ((user, item), (user.cuda(), item.cuda())))
    assert np.array_equal(ours.item, theirs.item)
    assert np.allclose(ours.score, theirs.score, atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_training_learns(on_gpu, loss, precision):
    settings = Training(loss=loss, precision=precision, negatives=4, max_epochs=30, learning_rate=0.05, l2=0.0)
    with seeded(1):
        model = build_model(on_gpu, Part(name="lightgcn", options={"dim": 8}))
    found = fit(on_gpu, model, settings, 1, Selection(lambda user, item: {"recall@20": float(user.std())}))
    assert found.history[-1].loss[loss] < found.history[0].loss[loss]
    assert found.user.device.type == "cpu"
