from collections import Counter

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from features.corpus import Part
from graph_models.dataset import make_dataset
from graph_models.sampler import Sampler
from schemas.sections import Training
from tests.support.graphs import make_part


def sampler(graph, seed=0, **settings) -> Sampler:
    return Sampler(graph, Training(**settings), np.random.default_rng(seed))


def pairs(batches) -> Counter:
    return Counter(pair for batch in batches for pair in zip(batch.user.tolist(), batch.positive.tolist(), strict=True))


def test_edge_uniform_visits_every_edge_once(graph):
    found = pairs(sampler(graph, sampler="edge", batch_size=7).epoch())
    assert found == Counter(zip(*(part.tolist() for part in graph.seen.nonzero()), strict=True))


def test_edges_come_in_another_order_each_epoch(graph):
    drawn = sampler(graph, sampler="edge")
    assert next(drawn.epoch()).user.tolist() != next(drawn.epoch()).user.tolist()


def test_user_uniform_draws_every_user_alike_and_only_his_items():
    """User 0 has nine items, user 1 has one."""
    edges = np.array([[0] * 9 + [1], [*range(9), 9]])
    graph = make_dataset(Part(3, 12, edges, np.arange(10), np.ones(10, np.float32)))
    drawn = sampler(graph, sampler="user", batch_size=100)
    found = sum((pairs(drawn.epoch()) for _ in range(200)), Counter())
    share = sum(count for (user, _), count in found.items() if user == 0) / found.total()
    assert share == pytest.approx(0.5, abs=0.04)
    assert set(found) == set(zip(*edges.tolist(), strict=True))


def test_batches_have_the_asked_size(graph):
    sizes = [len(batch.user) for batch in sampler(graph, batch_size=8).epoch()]
    assert sizes[:-1] == [8] * (len(sizes) - 1)
    assert sum(sizes) == graph.seen.nnz


def test_bpr_negatives_are_uniform_over_the_other_items(graph):
    drawn = sampler(graph, batch_size=64)
    found: dict[int, Counter] = {}
    for _ in range(300):
        for batch in drawn.epoch():
            for user, item in zip(batch.user.tolist(), batch.negative.tolist(), strict=True):
                found.setdefault(user, Counter())[item] += 1
    for user, counts in found.items():
        free = set(range(graph.num_items)) - set(graph.seen[user].indices.tolist())
        assert set(counts) == free
        expected = counts.total() / len(free)
        assert all(abs(count - expected) < 5 * expected**0.5 for count in counts.values())


def test_a_user_with_every_item_gets_his_positive_back():
    edges = np.array([[0, 0, 0], [0, 1, 2]])
    batch = next(sampler(make_dataset(Part(1, 3, edges, np.arange(3), np.ones(3, np.float32)))).epoch())
    assert torch.equal(batch.negative, batch.positive)


def masks(batch, columns: int) -> torch.Tensor:
    """Bool [V, columns] of the batch's distinct users."""
    masked = torch.zeros(len(batch.candidates.user), columns, dtype=torch.bool)
    masked[batch.candidates.masked[0], batch.candidates.masked[1]] = True
    return masked


@pytest.mark.parametrize("loss", ["infonce", "sampled_softmax", "softmax"])
def test_pairs_are_told_by_their_user_and_what_he_has_is_masked(graph, loss):
    seen = torch.from_numpy(graph.seen.toarray())
    for batch in sampler(graph, loss=loss, negatives=6, batch_size=16).epoch():
        among = batch.candidates
        assert torch.equal(among.user[among.row], batch.user)
        assert (among.row.diff() >= 0).all()
        assert (among.masked[0].diff() >= 0).all()
        item = torch.arange(graph.num_items) if among.item is None else among.item
        assert torch.equal(masks(batch, len(item)), seen[among.user][:, item])


def test_infonce_negatives_are_distinct_and_softmax_takes_the_catalogue(graph):
    for batch in sampler(graph, loss="infonce", negatives=6, batch_size=16).epoch():
        assert len(batch.negative.unique()) == 6
        assert torch.equal(batch.candidates.item, batch.negative)
    assert all(batch.candidates.item is None for batch in sampler(graph, loss="softmax").epoch())


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_corrected_draws_estimate_a_sum_over_the_catalogue(graph, power):
    """Whatever the power: the mean of sum exp(offset) f(item) over draws is the sum of f over all items."""
    drawn = sampler(graph, loss="sampled_softmax", negatives=5, negative_power=power)
    value = torch.arange(1.0, graph.num_items + 1)
    batches = [next(drawn.epoch()).candidates for _ in range(4000)]
    sums = torch.stack([(each.offset.exp() * value[each.item]).sum() for each in batches])
    assert sums.mean().item() == pytest.approx(value.sum().item(), abs=4 * sums.std().item() / 4000**0.5)
    assert all(len(each.item.unique()) == len(each.item) for each in batches)


def test_popular_items_are_drawn_more_often(graph):
    drawn = sampler(graph, loss="sampled_softmax", negatives=3, negative_power=1.0)
    popular = np.bincount(graph.seen.indices, minlength=graph.num_items) + 1
    assert np.allclose(drawn.probability, popular / popular.sum())


def test_histories_come_whole_each_once_an_epoch(graph):
    drawn = sampler(graph, loss="softmax", batch_size=12)
    batches = list(drawn.epoch())
    assert pairs(batches) == Counter(zip(*(part.tolist() for part in graph.seen.nonzero()), strict=True))
    for batch in batches:
        users = batch.candidates.user.numpy()
        assert len(batch.user) == np.diff(graph.seen.indptr)[users].sum()
    assert len(batches) > 1
    assert [batch.user.tolist() for batch in drawn.epoch()] != [batch.user.tolist() for batch in batches]


def test_softmax_weights_users_alike_where_they_are_to_be_drawn_alike(graph):
    batches = list(sampler(graph, loss="softmax", sampler="user", batch_size=12).epoch())
    weight = np.zeros(graph.num_users)
    for batch in batches:
        np.add.at(weight, batch.user.numpy(), batch.candidates.weight.numpy())
    has = np.diff(graph.seen.indptr) > 0
    assert np.allclose(weight[has], graph.seen.nnz / has.sum())
    assert not weight[~has].any()
    assert all(batch.candidates.weight is None for batch in sampler(graph, loss="softmax").epoch())


def test_no_more_negatives_than_items(graph):
    batch = next(sampler(graph, loss="infonce", negatives=1000).epoch())
    assert sorted(batch.negative.tolist()) == list(range(graph.num_items))


@pytest.mark.parametrize("loss", ["bpr", "infonce", "sampled_softmax", "softmax"])
def test_same_seed_same_batches(loss):
    graph = make_dataset(make_part())
    one, two, other = (list(sampler(graph, seed, loss=loss, negatives=4).epoch()) for seed in (3, 3, 4))
    assert all(
        torch.equal(a.negative, b.negative) and torch.equal(a.user, b.user) for a, b in zip(one, two, strict=True)
    )
    assert any(not torch.equal(a.negative, b.negative) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("loss", ["softmax", "infonce", "sampled_softmax"])
def test_a_popularity_offset_is_added_to_positives_and_candidates(graph, loss):
    settings = {"loss": loss, "negatives": 6, "batch_size": 9}
    plain, adjusted = (sampler(graph, popularity_offset=offset, **settings).epoch() for offset in (0.0, 0.5))
    own = 0.5 * np.log(np.maximum(np.bincount(graph.seen.indices, minlength=graph.num_items), 1))
    for one, other in zip(plain, adjusted, strict=True):
        item = slice(None) if other.candidates.item is None else other.candidates.item.numpy()
        before = 0 if one.candidates.offset is None else one.candidates.offset.numpy()
        assert one.candidates.shift is None
        assert other.candidates.offset.numpy() == pytest.approx(before + own[item], abs=1e-6)
        assert other.candidates.shift.numpy() == pytest.approx(own[other.positive.numpy()], abs=1e-6)


def test_a_popularity_offset_needs_logits():
    with pytest.raises(ValidationError, match="popularity_offset: only of the softmax losses"):
        Training(loss="bpr", popularity_offset=0.1)
