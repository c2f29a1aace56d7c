"""Candidates of a base model: never a train item, never anything that a held-out interaction could have told."""

from dataclasses import replace

import numpy as np
import pytest

from recommenders.candidates import BASES, candidates, check_base
from schemas.errors import ConfigError
from tests.support.communities import ITEMS, two_communities


@pytest.fixture(params=sorted(BASES))
def base(request):
    return request.param


def offered(corpus, base, k=8):
    return list(candidates(corpus, base, k))


def test_everybody_is_offered_items_that_he_does_not_have(base):
    corpus = two_communities()
    seen = corpus.train.by_user
    lists = offered(corpus, base)
    assert len(lists) == corpus.num_users
    for user, items in enumerate(lists):
        assert len(set(items)) == len(items) == 8
        assert not set(items) & set(seen[user].indices)


def test_of_few_items_fewer_are_offered(base):
    corpus = two_communities()
    everything = [corpus.num_items - corpus.train.user_degree[user] for user in range(corpus.num_users)]
    assert [len(items) for items in offered(corpus, base, k=100)] == everything


def test_held_out_interactions_change_nothing(base):
    corpus = two_communities()
    held = corpus.part > 0
    moved = corpus.edges.copy()
    moved[1, held] = (moved[1, held] + ITEMS + 3) % (2 * ITEMS)  # the other community's
    without = replace(
        corpus, **{name: getattr(corpus, name)[..., ~held] for name in ("edges", "time", "weight", "part")}
    )
    assert offered(corpus, base) == offered(replace(corpus, edges=moved), base) == offered(without, base)


def test_a_train_interaction_does_change_something(base):
    """The other side of the proof: the lists are no constants."""
    corpus = two_communities()
    first = int(np.flatnonzero(corpus.part == 0)[0])
    user, item = corpus.edges[:, first]
    moved = corpus.edges.copy()
    moved[1, first] = corpus.num_items - 1
    assert offered(corpus, base, k=20)[user] != offered(replace(corpus, edges=moved), base, k=20)[user]
    assert item in offered(replace(corpus, edges=moved), base, k=20)[user]


def test_the_same_again(base):
    assert offered(two_communities(), base) == offered(two_communities(), base)


def test_the_best_come_first():
    """The item of the own community that is missing in train is what a base model should find."""
    lists = offered(two_communities(), "pure_svd", k=2)
    for user in range(40):
        community = user // 20
        assert set(lists[user]) == {community * ITEMS + user % ITEMS, community * ITEMS + (user + 1) % ITEMS}


def test_a_base_that_trains_on_validation_is_refused():
    for name in BASES:
        check_base(name, "recipes.llmrec.edges.options.base")
    with pytest.raises(ConfigError, match=r"base: recommender without training: graph: unknown.*popularity.*pure_svd"):
        check_base("graph", "run.toml: recipes.llmrec.edges.options.base")
    with pytest.raises(ConfigError, match="did you mean pure_svd"):
        check_base("puresvd", "base")
