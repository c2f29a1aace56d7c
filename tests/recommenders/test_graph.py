import numpy as np
import pytest
import torch

from features.table import FeatureSet
from recommenders import Graph, make_recommender
from schemas.run import Run
from schemas.sections import Data, Features, Model, Part, Training
from tests.support.communities import USERS, community_text, two_communities

TRAINING = Training(loss="infonce", negatives=10, batch_size=64, learning_rate=0.02, max_epochs=6, evaluate_every=2)
RUN = Run(name="two", lake="lake", data=Data(path="data"), training=TRAINING, device="cpu")
MODEL = Model(name="lightgcn", backbone=Part(name="lightgcn", options={"dim": 8}))


def fitted(folder=None, model=MODEL, seed=1, progress=None, text=None) -> Graph:
    torch.set_num_threads(1)
    made = make_recommender(model, RUN, seed, folder, progress)
    assert isinstance(made, Graph)
    made.fit(two_communities(), text or FeatureSet())
    return made


def test_the_curve_and_the_validation_are_told():
    heard = []
    made = fitted(progress=heard.append)
    assert list(made.history) == heard
    assert made.valid == made.history[made.best_epoch - 1].valid
    assert {"recall@20", "ndcg@5", "mrr@10"} <= set(made.valid)


def test_the_same_night_again_trains_nothing(tmp_path):
    first = fitted(tmp_path)
    heard = []
    again = fitted(tmp_path, progress=heard.append)
    assert heard == []
    assert np.array_equal(again.user, first.user)
    assert again.valid == first.valid


@pytest.mark.parametrize("change", [{"training": {"l2": 0.1}}, {"backbone": Part(name="lightgcn", options={"dim": 4})}])
def test_another_setting_trains_anew(tmp_path, change):
    fitted(tmp_path)
    heard = []
    fitted(tmp_path, MODEL.model_copy(update=change), progress=heard.append)
    assert len(heard) == 6


def test_another_seed_is_another_run(tmp_path):
    one, two = fitted(tmp_path), fitted(tmp_path, seed=2)
    assert not np.array_equal(one.user, two.user)


def test_a_model_that_reads_no_text_is_the_same_with_and_without():
    assert np.array_equal(fitted().user, fitted(text=community_text()).user)


def test_a_user_known_by_text_alone_is_served_from_it():
    text = community_text()
    user = text.user
    user.x[-1], user.present[-1] = user.x[0], True
    model = Model(name="alpharec", backbone=Part(name="alpharec"), features=Features(item="title", user="a/b"))
    made = fitted(model=model, text=text)
    found = made.recommend(np.array([2 * USERS]), 5)
    assert (found.item < 10).all()  # the community that the text speaks of
    popular = fitted(text=community_text(), model=model).recommend(np.array([2 * USERS]), 5)
    assert not np.array_equal(found.score, popular.score)
