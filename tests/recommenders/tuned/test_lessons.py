"""What is learned from: next items of train, and negatives that train alone decides."""

import numpy as np
import pytest

from recommenders.tuned.lessons import TrainHistories
from tests.support.planted import LENGTH, USERS, planted


def test_every_next_item_of_train_is_a_lesson_with_all_before_it():
    corpus = planted()
    source = TrainHistories.of(corpus, 0, seed=1)
    assert len(source.places) == USERS * (LENGTH - 3)
    for place in source.places[:20].tolist():
        lesson = source.lesson(place)
        own = corpus.train.edges[1][corpus.train.edges[0] == lesson.user]
        before = source.histories.item[lesson.before]
        assert [*before, lesson.item] == own[: len(before) + 1].tolist()
        assert len(before) >= 1


def test_so_many_are_drawn_by_the_seed():
    corpus = planted()
    some, same, other = (TrainHistories.of(corpus, 40, seed).places for seed in (1, 1, 2))
    assert len(some) == 40
    assert np.array_equal(some, same)
    assert not np.array_equal(some, other)
    assert set(some) <= set(TrainHistories.of(corpus, 0, 1).places)


@pytest.mark.parametrize("count", [1, 5, 30, 100])
def test_negatives_are_distinct_and_not_of_train(count):
    corpus = planted()
    source, generator = TrainHistories.of(corpus, 0, 1), np.random.default_rng(0)
    for user in range(5):
        own = set(corpus.train.by_user[user].indices)
        found = source.negatives(user, count, generator)
        assert len(found) == len(set(found)) == min(count, (corpus.train.item_degree > 0).sum() - len(own))
        assert not set(found) & own


def test_a_held_out_item_may_be_drawn_because_nobody_looks_at_it():
    corpus = planted()
    source, generator = TrainHistories.of(corpus, 0, 1), np.random.default_rng(0)
    test = set(corpus.test.by_user[0].indices)
    assert any(test & set(source.negatives(0, 20, generator)) for _ in range(20))
