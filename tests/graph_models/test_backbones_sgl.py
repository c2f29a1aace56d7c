"""SGL: two views with other edges dropped, once an epoch, and the published flavours of its loss."""

import pytest
import torch

from graph_models.backbones.sgl import SGL
from graph_models.contrast import Contrast, between
from graph_models.curve import Selection
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.model import GraphModel
from graph_models.propagation import layer_mean
from graph_models.trainer import fit
from schemas.sections import Training
from tests.support.graphs import make_batch, make_part

BATCH = make_batch([0, 1, 1, 7], [2, 3, 2, 5], [4, 4, 6, 0])


@pytest.fixture(scope="module")
def graph() -> GraphDataset:
    """The last user and the last item have no edge."""
    return make_dataset(make_part(users=40, items=30, edges=600))


def own_loss(model: SGL, graph: GraphDataset) -> torch.Tensor:
    return model.training_pass(model.inputs(), graph, BATCH)[1]["contrast"]


def test_the_loss_is_the_weighted_contrast_of_two_views(graph):
    model = SGL(graph, dim=8, layers=2, weight=0.3, temperature=0.5, drop=0.2)
    z, own = model.training_pass(model.inputs(), graph, BATCH)
    one, other = model.drawn
    expected = Contrast(0.5, "all", 100)(*(layer_mean(model.embedding, each, 2) for each in (one, other)), BATCH, 40)
    assert own["contrast"].item() == pytest.approx(0.3 * expected.item(), rel=1e-5)
    assert torch.equal(z, model.propagate(model.inputs(), graph))
    assert not torch.equal(one.to_dense(), other.to_dense())
    for view in (one, other):
        assert torch.allclose(view.to_dense(), view.to_dense().T)
        assert 1 - len(view.values()) / len(graph.adjacency.values()) == pytest.approx(0.2, abs=0.06)


def test_without_dropped_edges_the_views_agree(graph):
    """What is left is -1/t + log of the sum over all others, and smaller than with views that differ."""
    with seeded(0):
        whole, thinned = SGL(graph, drop=0.0), SGL(graph, drop=0.5)
        thinned.load_state_dict(whole.state_dict())
    z = whole.propagate(whole.inputs(), graph)
    assert own_loss(whole, graph).item() == pytest.approx(
        0.1 * Contrast(0.2, "all", 9)(z, z, BATCH, 40).item(), rel=1e-5
    )
    assert own_loss(whole, graph) < own_loss(thinned, graph)


def test_views_are_drawn_once_an_epoch(graph):
    model = SGL(graph)
    own_loss(model, graph)
    first = model.drawn
    own_loss(model, graph)
    assert model.drawn[0] is first[0]
    model.start_epoch(graph)
    own_loss(model, graph)
    assert not torch.equal(model.drawn[0].to_dense(), first[0].to_dense())


def test_or_in_every_step(graph):
    model = SGL(graph, views="step")
    assert len({own_loss(model, graph).item() for _ in range(3)}) == 3


def test_the_trainer_starts_every_epoch(graph):
    class Counting(SGL):
        starts = 0

        def start_epoch(self, graph: GraphDataset) -> None:
            super().start_epoch(graph)
            self.starts += 1

    model = Counting(graph, dim=4)
    selection = Selection(lambda user, item: {"recall@20": 0.5})
    fit(graph, GraphModel(model), Training(max_epochs=3, batch_size=100), 0, selection)
    assert model.starts == 3


def test_sslrec_counts_repetitions_and_negative_items(graph):
    model = SGL(graph, dim=8, layers=2, weight=1.0, compat="sslrec", drop=0.0)
    z = 3 * layer_mean(model.embedding, graph.adjacency, 2)
    assert torch.allclose(model.propagate(model.inputs(), graph), z)
    user, item = z[:40], z[40:]
    expected = sum(
        between(part, part, rows, 0.2)
        for part, rows in ((user, BATCH.user), (item, BATCH.positive), (item, BATCH.negative))
    )
    assert own_loss(model, graph).item() == pytest.approx(expected.item(), rel=1e-5)


def test_sslrec_draws_in_every_step(graph):
    model = SGL(graph, compat="sslrec")
    assert len({own_loss(model, graph).item() for _ in range(3)}) == 3


@pytest.mark.parametrize("compat", ["none", "sslrec"])
def test_gradients_are_finite_where_a_view_isolates_nodes(graph, compat):
    model = SGL(graph, drop=0.95, temperature=0.05, compat=compat)
    own_loss(model, graph).backward()
    assert model.embedding.grad.isfinite().all()
    assert model.embedding.grad.abs().sum() > 0
