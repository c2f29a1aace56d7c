"""The search against the likelihood of every tuple, on a model that is a table of random logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from torch import Tensor

from evaluation.ranking import top_k
from recommenders.generative.beam_search import Search, Seen
from recommenders.generative.exact_likelihood import log_likelihood
from tests.support.code_world import USERS, Table, items, world


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6), st.floats(0, 0.9))
def test_with_a_beam_for_every_item_it_is_the_exact_ranking_less_what_was_seen(count, seed, share):
    tokens, trie = world(count, seed)
    n = len(tokens.codes)
    hidden = np.random.default_rng(seed).random((USERS, n)) < share
    seen = csr_matrix(hidden)
    row, item = (torch.from_numpy(each.astype(np.int64)) for each in hidden.nonzero())
    table = Table(tokens.sizes, seed=seed)
    found = Search(trie, beam=n)(table, USERS, Seen.of(trie, row, item))
    exact = log_likelihood(table.forced, torch.from_numpy(tokens.codes), at_once=7)
    expected = top_k(exact, np.arange(USERS), seen, n)
    assert items(trie, found) == [[each for each in row if each >= 0] for row in expected.item.tolist()]
    kept = found.score > -torch.inf
    assert torch.equal(kept, found.node >= 0)
    assert np.allclose(found.score[kept], expected.score[expected.item >= 0], atol=1e-5)


@pytest.mark.parametrize("beam", [1, 2, 5])
def test_a_narrow_beam_gives_that_many_unseen_items_and_their_own_likelihood(beam):
    tokens, trie = world(60, seed=1)
    hidden = np.random.default_rng(0).random((USERS, len(tokens.codes))) < 0.7
    row, item = (torch.from_numpy(each.astype(np.int64)) for each in hidden.nonzero())
    table = Table(tokens.sizes)
    found = Search(trie, beam)(table, USERS, Seen.of(trie, row, item))
    exact = log_likelihood(table.forced, torch.from_numpy(tokens.codes), at_once=100)
    for user, listed in enumerate(items(trie, found)):
        assert len(set(listed)) == beam
        assert not hidden[user, listed].any()
        assert torch.allclose(found.score[user], exact[user, listed], atol=1e-5)
    assert (found.score[:, :-1] >= found.score[:, 1:]).all()


def test_renormalised_the_probabilities_of_all_items_sum_to_one():
    tokens, trie = world(40, seed=2)
    whole = Search(trie, len(tokens.codes))(Table(tokens.sizes), USERS)
    inside = Search(trie, len(tokens.codes), renormalise=True)(Table(tokens.sizes), USERS)
    assert torch.allclose(inside.score.exp().sum(dim=1), torch.ones(USERS), atol=1e-5)
    assert (whole.score.exp().sum(dim=1) < 0.9).all()  # the rest is on tuples that are nobody's


def test_a_user_alone_has_what_he_has_among_others():
    tokens, trie = world(60, seed=3)
    together = Search(trie, 4)(Table(tokens.sizes), USERS)
    alone = Search(trie, 4)(Table(tokens.sizes, users=1), 1)
    assert torch.equal(alone.node[0], together.node[0])
    assert torch.equal(alone.score[0], together.score[0])


def test_of_equal_scores_the_lower_item_comes_first():
    tokens, trie = world(30, seed=4)

    def flat(parent: Tensor, code: Tensor) -> Tensor:
        return torch.zeros(*code.shape, 16)

    full = (tokens.codes >= 0).all(axis=1)
    listed = items(trie, Search(trie, 30)(flat, 1))[0]
    assert [each for each in listed if full[each]] == sorted(np.flatnonzero(full).tolist())


def test_a_user_who_has_seen_everything_gets_nothing():
    tokens, trie = world(20, seed=5)
    n = len(tokens.codes)
    seen = Seen.of(trie, torch.ones(n, dtype=torch.int64), torch.arange(n))
    found = Search(trie, 5)(Table(tokens.sizes, users=2), 2, seen)
    assert (found.node[0] >= 0).all()
    assert (found.node[1] == -1).all()
    assert (found.score[1] == -torch.inf).all()
