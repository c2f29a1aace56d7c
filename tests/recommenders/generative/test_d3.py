"""The assistant's probabilities sum to one below every node, and its weight goes from its ranking to the model's."""

import numpy as np
import torch
from scipy.sparse import csr_matrix

from evaluation.ranking import top_k
from recommenders.generative.beam_search import Search, Seen
from recommenders.generative.d3 import ItemMass, TextFree
from recommenders.histories import Histories
from tests.support.code_world import USERS, Table, items, world

TOKENS, TRIE = world(50, seed=7)
ITEMS = len(TOKENS.codes)
HISTORY = Histories(np.array([0, 1, 2, 0, 1, 3, 1]), np.arange(7), np.array([0, 3, 6, 7]))
NOTHING = csr_matrix((USERS, ITEMS), dtype=bool)


def mass(zero: tuple[int, ...] = ()) -> torch.Tensor:
    found = torch.from_numpy(np.random.default_rng(0).random((USERS, ITEMS))).float()
    found[:, list(zero)] = 0
    return found


def test_the_children_of_every_node_sum_to_one():
    assistant = TextFree.of(TRIE, mass())
    inner = torch.tensor([node for node in range(len(TRIE.code)) if not TRIE.is_leaf(torch.tensor(node))])
    place, child = TRIE.extended(inner)
    for user in range(USERS):
        row = torch.full_like(place, user)
        p = assistant(row, inner[place], child).exp()
        assert torch.allclose(torch.zeros(len(inner)).index_add(0, place, p), torch.ones(len(inner)), atol=1e-5)


def test_alpha_zero_is_the_ranking_of_the_assistant_and_alpha_one_that_of_the_model():
    given, table = mass(zero=(3, 8)), Table(TOKENS.sizes)
    assistant = TextFree.of(TRIE, given)
    theirs = Search(TRIE, ITEMS, alpha=0.0)(table, USERS, assistant=assistant)
    expected = top_k(given.clone(), np.arange(USERS), None, ITEMS).item.tolist()
    assert items(TRIE, theirs) == [[each for each in row if each not in (3, 8)] for row in expected]
    ours = Search(TRIE, ITEMS, alpha=1.0)(Table(TOKENS.sizes), USERS, assistant=assistant)
    plain = Search(TRIE, ITEMS)(Table(TOKENS.sizes), USERS)
    assert torch.equal(ours.node, plain.node)
    assert torch.equal(ours.score, plain.score)


def test_between_them_the_score_is_the_weighted_sum():
    given = mass()
    assistant, share = TextFree.of(TRIE, given), (given / given.sum(dim=1, keepdim=True)).log()
    mixed = Search(TRIE, ITEMS, alpha=0.3)(Table(TOKENS.sizes), USERS, assistant=assistant)
    plain = Search(TRIE, ITEMS)(Table(TOKENS.sizes), USERS)
    for user in range(USERS):
        ours = dict(zip(items(TRIE, plain)[user], plain.score[user].tolist(), strict=True))
        for item, score in zip(items(TRIE, mixed)[user], mixed.score[user].tolist(), strict=True):
            assert np.isclose(score, 0.3 * ours[item] + 0.7 * float(share[user, item]), atol=1e-4)


def test_what_was_seen_has_no_mass_and_hides_no_other_item():
    hidden = np.random.default_rng(1).random((USERS, ITEMS)) < 0.8
    row, item = (torch.from_numpy(each.astype(np.int64)) for each in hidden.nonzero())
    given = mass()
    given[row, item] = 0
    found = Search(TRIE, ITEMS, alpha=0.5)(
        Table(TOKENS.sizes), USERS, Seen.of(TRIE, row, item), TextFree.of(TRIE, given)
    )
    assert [sorted(row) for row in items(TRIE, found)] == [np.flatnonzero(~row).tolist() for row in hidden]


def test_popularity_counts_train_and_makes_nothing_impossible():
    counted = ItemMass("popularity", ITEMS)
    counted.learn(HISTORY)
    found = counted(torch.tensor([[0], [1], [1]]), NOTHING, np.arange(USERS))
    assert torch.allclose(found.sum(dim=1), torch.ones(USERS))
    assert torch.allclose(found[0, :5] / found[0, 5], torch.tensor([3.0, 4.0, 2.0, 2.0, 1.0]))
    assert torch.equal(found[0], found[1])


def test_neighbours_are_those_of_the_history_and_seen_items_have_no_share():
    near = ItemMass("item_knn", ITEMS)
    near.learn(HISTORY)
    seen = csr_matrix(([True], ([0], [0])), shape=(USERS, ITEMS))
    history = torch.tensor([[ITEMS, 3], [ITEMS, 2], [7, 8]])  # the last has nothing that others have too
    found = near(history, seen, np.arange(USERS))
    assert found[0, 0] == 0
    assert found[0].argmax() == 1  # who has 3 has 0 and 1
    assert found[1, :2].min() > found[1, 3:].max()
    assert torch.allclose(found[1].sum(), torch.tensor(1.0))
    assert torch.equal(found[2], near.popular)


def test_both_are_kept_in_the_state_of_the_network():
    one, other = ItemMass("item_knn", ITEMS), ItemMass("item_knn", ITEMS)
    one.learn(HISTORY)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.likeness, other.likeness)
    assert one.likeness.sum() > 0
