"""SimGCL and XSimGCL: the noise, the passes, and the losses against passes that are done one by one."""

import pytest
import torch

from graph_models.backbones.simgcl import SimGCL, random_shift
from graph_models.backbones.xsimgcl import XSimGCL
from graph_models.contrast import Contrast, between
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from schemas.errors import ConfigError
from tests.support.graphs import make_batch, make_part

BATCH = make_batch([0, 1, 1, 7], [2, 3, 2, 5], [4, 4, 6, 0])
USERS, NODES = 40, 70
ISOLATED = USERS - 1


@pytest.fixture(scope="module")
def graph() -> GraphDataset:
    """The last user and the last item have no edge."""
    return make_dataset(make_part(users=40, items=30, edges=600))


def layers_of(x: torch.Tensor, graph: GraphDataset, layers: int) -> list[torch.Tensor]:
    found = [x]
    for _ in range(layers):
        found.append(graph.adjacency.to_dense() @ found[-1])
    return found


def test_noise_has_length_epsilon_and_the_signs_of_the_vector():
    x = torch.randn(200, 8)
    x[3] = 0
    shift = random_shift(x, 0.3)
    others = torch.arange(200) != 3
    assert torch.allclose(shift.norm(dim=1)[others], torch.tensor(0.3), atol=1e-6)
    assert torch.equal(shift.sign(), x.sign())
    assert not shift[3].any()
    assert not torch.equal(shift, random_shift(x, 0.3))


@pytest.mark.parametrize("make", [SimGCL, XSimGCL])
@pytest.mark.parametrize("from_layer", [0, 1])
def test_what_is_served_is_the_mean_of_clean_layers(graph, make, from_layer):
    model = make(graph, layers=3, dim=8, from_layer=from_layer)
    expected = torch.stack(layers_of(model.embedding, graph, 3)[from_layer:]).mean(dim=0)
    assert torch.allclose(model.propagate(model.inputs(), graph), expected, atol=1e-6)
    assert (model.propagate(model.inputs(), graph)[ISOLATED] == 0).all() == bool(from_layer)


@pytest.mark.parametrize("from_layer", [0, 1])
def test_simgcl_views_equal_three_passes_one_by_one(graph, from_layer, monkeypatch):
    """With noise that is a function of the vectors alone, and its gradient held back as torch's sign does."""

    def known(x: torch.Tensor, epsilon: float) -> torch.Tensor:
        return epsilon * x.detach().sign() / x.shape[-1] ** 0.5

    monkeypatch.setattr("graph_models.backbones.simgcl.random_shift", known)
    model = SimGCL(graph, layers=3, dim=8, epsilon=0.2, from_layer=from_layer)
    x, clean = model.embedding, layers_of(model.embedding, graph, 3)
    noisy = [x]
    for _ in range(3):
        layer = graph.adjacency.to_dense() @ noisy[-1]
        noisy.append(layer + known(layer, 0.2))
    expected = [torch.stack(each[from_layer:]).mean(dim=0) for each in (clean, noisy, noisy)]
    found = model._views(model.inputs(), graph.adjacency)
    weights = [torch.randn(NODES, 8) for _ in range(3)]
    for one, two in zip(found, expected, strict=True):
        assert torch.allclose(one, two, atol=1e-6)
    ours, theirs = (
        torch.autograd.grad(sum((a * b).sum() for a, b in zip(each, weights, strict=True)), x)[0]
        for each in (found, expected)
    )
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_simgcl_noise_of_a_later_layer_is_propagated_noise_and_its_own(graph):
    """The two views differ from the clean vectors and from each other, by at most what so many shifts can add up to."""
    model = SimGCL(graph, layers=2, dim=8, epsilon=0.1)
    z, one, other = model._views(model.inputs(), graph.adjacency)
    for view in (one, other):
        assert (view - z).norm(dim=1).max() > 0
    assert not torch.equal(one, other)
    single = SimGCL(graph, layers=1, dim=8, epsilon=0.1)
    z, one, _ = single._views(single.inputs(), graph.adjacency)
    linked = graph.adjacency.crow_indices().diff() > 0
    assert torch.allclose((one - z).norm(dim=1)[linked], torch.tensor(0.1), atol=1e-5)
    assert not (one - z)[~linked].any()


def test_simgcl_loss_is_the_weighted_contrast_of_both_views(graph):
    model = SimGCL(graph, dim=8, weight=0.3, temperature=0.4)
    with seeded(5):
        z, own = model.training_pass(model.inputs(), graph, BATCH)
    with seeded(5):
        clean, one, other = model._views(model.inputs(), graph.adjacency)
    assert own["contrast"].item() == pytest.approx(0.3 * Contrast(0.4, "in_batch", 9)(one, other, BATCH, USERS).item())
    assert torch.equal(z, clean)
    assert torch.allclose(z, model.propagate(model.inputs(), graph), atol=1e-6)


def test_simgcl_of_sslrec_sums_all_layers_and_contrasts_with_all(graph):
    model = SimGCL(graph, layers=2, dim=8, weight=1.0, epsilon=0.9, compat="sslrec")
    z = sum(layers_of(model.embedding, graph, 2))
    assert torch.allclose(model.propagate(model.inputs(), graph), z, atol=1e-5)
    with seeded(5):
        own = model.training_pass(model.inputs(), graph, BATCH)[1]["contrast"]
    with seeded(5):
        _, one, other = model._views(model.inputs(), graph.adjacency)
    expected = between(one[:USERS], other[:USERS], BATCH.user, 0.2) + between(
        one[USERS:], other[USERS:], BATCH.positive, 0.2
    )
    assert own.item() == pytest.approx(expected.item(), rel=1e-5)
    assert (one - z).norm(dim=1).max() > 0.9  # the sum of two shifts, not their mean


def test_xsimgcl_ranks_noisy_vectors_and_contrasts_them_with_a_layer(graph):
    model = XSimGCL(graph, layers=3, dim=8, weight=0.3, temperature=0.4, epsilon=0.2, contrast_layer=2)
    with seeded(5):
        z, own = model.training_pass(model.inputs(), graph, BATCH)
    with seeded(5):
        layers = [model.embedding]
        for _ in range(3):
            layer = graph.adjacency.to_dense() @ layers[-1]
            layers.append(layer + random_shift(layer, 0.2))
    expected = torch.stack(layers[1:]).mean(dim=0)
    assert torch.allclose(z, expected, atol=1e-5)
    contrast = Contrast(0.4, "in_batch", 9)(expected, layers[2], BATCH, USERS)
    assert own["contrast"].item() == pytest.approx(0.3 * contrast.item(), rel=1e-4)
    ours, theirs = (
        torch.autograd.grad(each, model.embedding)[0]
        for each in (z.sum() + own["contrast"], expected.sum() + 0.3 * contrast)
    )
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_xsimgcl_refuses_a_layer_that_it_does_not_have(graph):
    with pytest.raises(ConfigError, match="xsimgcl: contrast_layer: expected at most layers = 1, found 2"):
        XSimGCL(graph, layers=1, contrast_layer=2)


@pytest.mark.parametrize("make", [SimGCL, XSimGCL])
def test_gradients_are_finite_with_isolated_nodes_in_the_batch(graph, make):
    model = make(graph, dim=8, temperature=0.05)
    batch = make_batch([ISOLATED, 0], [29, 1], [29, 2])
    z, own = model.training_pass(model.inputs(), graph, batch)
    (z.square().sum() + own["contrast"]).backward()
    assert model.embedding.grad.isfinite().all()
    assert model.embedding.grad.abs().sum() > 0
