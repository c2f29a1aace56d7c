"""Rerankers order a retriever's first items anew, leave the others, and say who retrieves for whom."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recommenders.reranking import Reranker
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Data, Model, Part, Training
from tests.support.communities import ITEMS, two_communities
from tests.support.communities import community_text as text


class Backwards(Reranker):
    """Whoever is last among the candidates comes first, where the user is even; of others nothing is known."""

    name = "backwards"
    source = "a test"

    def __init__(self, candidates: int) -> None:
        self.candidates = candidates
        self.asked: list[int] = []

    def fit(self, corpus, features):
        self.remember(corpus, features)
        self.fit_retriever(corpus, features, 1)

    def scores(self, users, items):
        self.asked += users.tolist()
        places = np.arange(items.shape[1], dtype=np.float32)
        return places[None] * (users[:, None] % 2 == 0)

    def save(self, folder):
        raise NotImplementedError

    load = save


def run(*models: Model) -> Run:
    return Run(name="r", lake="lake", data=Data(path="data"), models=models, baseline=models[0].name if models else "x")


@pytest.fixture(scope="module")
def fitted() -> Backwards:
    made = Backwards(4)
    made.retrieve_with(Model(name="backwards", recommender="llmrank", options={"retriever": "popularity"}), run())
    made.fit(two_communities(), text())
    return made


def test_the_first_candidates_are_ordered_anew_and_the_others_stay(fitted):
    corpus = two_communities()
    users, seen = np.arange(10), corpus.train.by_user
    before, after = (each.recommend(users, 8, seen).item for each in (fitted.retriever, fitted))
    even, odd = users % 2 == 0, users % 2 == 1
    assert np.array_equal(after[even, :4], before[even, 3::-1])
    assert np.array_equal(after[even, 4:], before[even, 4:])
    assert np.array_equal(after[odd], before[odd])


def test_a_given_list_is_ranked_by_masking_all_else(fitted):
    corpus = two_communities()
    mask = np.ones((corpus.num_users, corpus.num_items), dtype=bool)
    mask[0, [3, 5, 12]] = False
    found = fitted.recommend(np.array([0]), 5, csr_matrix(mask))
    assert sorted(found.item[0, :3].tolist()) == [3, 5, 12]
    assert found.item[0, 3:].tolist() == [-1, -1]
    assert found.score[0, :3].tolist() == [0, -1, -2]


def test_fewer_are_asked_for_than_there_are_candidates(fitted):
    users, seen = np.array([0, 2]), two_communities().train.by_user
    assert np.array_equal(fitted.recommend(users, 2, seen).item, fitted.recommend(users, 8, seen).item[:, :2])


def test_nobody_is_asked_about_a_user_without_history_or_about_one_candidate(fitted):
    corpus = two_communities()
    stranger, alone = corpus.num_users - 1, np.ones((corpus.num_users, corpus.num_items), dtype=bool)
    alone[0, 2 * ITEMS] = False
    fitted.asked.clear()
    fitted.recommend(np.array([stranger]), 5, corpus.train.by_user)
    fitted.recommend(np.array([0]), 5, csr_matrix(alone))
    assert fitted.asked == []


def test_on_validation_the_history_is_that_of_train(fitted):
    corpus, judged = two_communities(), fitted.for_validation()
    for user in range(5):
        assert set(judged.serving.of_user(user)) == set(corpus.train.by_user[user].indices)
        assert set(fitted.serving.of_user(user)) - set(judged.serving.of_user(user)) == set(
            corpus.valid.by_user[user].indices
        )


def test_who_retrieves():
    base = Model(name="base", recommender="sasrec")
    asks = Model(name="asks", recommender="llmrank", options={"retriever": "base"})
    over = Model(name="over", recommender="llmrank", options={"retriever": "asks"})
    alone = Model(name="alone", recommender="llmrank", options={"retriever": "ease"})
    whole = run(base, asks, over, alone)
    assert Reranker.retriever_of(asks, whole) is base
    assert Reranker.retriever_of(over, whole) is asks
    assert Reranker.retriever_of(alone, whole).recommender == "ease"


def test_a_circle_is_refused():
    one = Model(name="one", recommender="llmrank", options={"retriever": "two"})
    two = Model(name="two", recommender="llmrank", options={"retriever": "one"})
    with pytest.raises(ConfigError, match="would retrieve for itself"):
        Reranker.retriever_of(one, run(one, two))


def test_a_retriever_that_has_learned_from_validation_is_refused():
    from recommenders import check_model

    graph = Model(name="graph", backbone=Part(name="lightgcn"), training={"refit": True})
    asks = Model(name="asks", recommender="llmrank", options={"retriever": "graph"})
    with pytest.raises(ConfigError, match="refitted on train and valid"):
        check_model(asks, run(graph, asks).model_copy(update={"training": Training()}))
