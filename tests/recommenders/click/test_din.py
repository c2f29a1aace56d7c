"""DIN reads the history with the candidate in mind: a rule that a mean of the history cannot tell."""

import numpy as np
import pytest
import torch

from evaluation.click import auc
from features.table import FeatureSet
from recommenders.click.dcn_v2 import DCNv2
from recommenders.click.din import DIN
from recommenders.click.fields import make_fields
from recommenders.click.predictor import Predictor
from recommenders.click.samples import Samples, make_click_data
from recommenders.click.tower import Inputs, Tower, on_device
from schemas.sections import Click, ClickModel, ClickTraining
from tests.support.click_world import told_by_target

SETTINGS = Click(max_history=4, attributes={"kind": ""})
TRAINING = ClickTraining(learning_rate=5e-3, batch_size=64, max_epochs=10, patience=10)


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    corpus = told_by_target()
    return make_click_data(corpus, SETTINGS), make_fields(corpus, SETTINGS)


def found(tower: type[Tower], world) -> float:
    data, fields = world
    predictor = Predictor(tower, ClickModel(name="m", options={"dim": 8}), TRAINING, seed=1, device="cpu")
    predictor.fit(data, fields, FeatureSet())
    return auc(data.test.label, predictor.predict(data.test))


def test_din_finds_the_event_of_the_candidates_kind_and_the_mean_of_the_history_does_not(world):
    assert found(DIN, world) > 0.95
    assert found(DCNv2, world) < 0.6


def test_a_weight_depends_on_the_candidate_and_events_that_are_not_there_on_nothing(world):
    data, fields = world
    torch.manual_seed(0)
    tower = DIN(Inputs(fields, data.ratings, FeatureSet()), dim=8).eval()
    history, rating = np.array([[-1, 3, 7, 9]] * 2), np.array([[0, 1, 2, 1]] * 2)
    batch = on_device(
        Samples(np.array([0, 0]), np.array([2, 12]), history, rating, np.zeros(2, dtype=np.float32)),
        torch.device("cpu"),
    )
    events, there = tower.events(batch)
    weight = tower.unit(events, tower.embed.items(batch.item))
    assert not torch.allclose(weight[0], weight[1])
    assert there.tolist() == [[False, True, True, True]] * 2
    before = tower(batch)
    batch.rating[:, 0] = 2  # of the event that is not there
    assert torch.equal(tower(batch), before)


def test_options_reach_the_parts(world):
    data, fields = world
    tower = DCNv2(Inputs(fields, data.ratings, FeatureSet()), 0.2, dim=4, crosses=2)
    assert len(tower.crosses) == 2
    assert tower.embed.item.weight.shape == (20, 4)
    assert tower.deep[2].p == 0.2
