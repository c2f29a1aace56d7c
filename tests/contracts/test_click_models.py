"""Every click model: it finds what only texts tell, saves nothing but numbers, and one seed gives one answer."""

import importlib
import inspect
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import recommenders.click
from evaluation.click import auc
from features.table import FeatureSet, shuffled
from recommenders.click import CLICK_MODELS, make_predictor
from recommenders.click.fields import make_fields
from recommenders.click.predictor import Predictor
from recommenders.click.samples import make_click_data
from recommenders.click.tower import Tower, on_device
from schemas.run import Run
from schemas.sections import Click, ClickModel, ClickTraining, Data, Features, Split
from tests.support.click_world import told_by_text

TRAINING = ClickTraining(learning_rate=3e-3, batch_size=128, max_epochs=8, patience=8, weight_decay=0.01)
RUN = Run(
    name="c", lake="lake", data=Data(path="d"), split=Split(rule="oldest"), device="cpu", click=Click(training=TRAINING)
)
OPTIONS = {"dim": 8, "own": 2, "expert_hidden": 16}
NAMES = list(CLICK_MODELS)
NOTHING = FeatureSet()


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    corpus, texts = told_by_text()
    return make_click_data(corpus, RUN.click), make_fields(corpus, RUN.click), texts


def fitted(name: str, world, features: FeatureSet, seed: int = 1) -> Predictor:
    data, fields, _ = world
    read = Features(item="title") if features.item is not None else None
    predictor = make_predictor(ClickModel(name=name, model=name, options=OPTIONS, features=read), RUN, seed)
    predictor.fit(data, fields, features)
    return predictor


def auc_on_test(predictor: Predictor, world) -> float:
    test = world[0].test
    return auc(test.label, predictor.predict(test))


@pytest.mark.parametrize("name", NAMES)
def test_text_tells_what_ids_cannot_and_shuffled_text_does_not(name, world):
    texts = world[2]
    permuted = FeatureSet(shuffled(texts.item, 1), shuffled(texts.user, 1))
    assert auc_on_test(fitted(name, world, texts), world) > 0.8
    assert auc_on_test(fitted(name, world, NOTHING), world) < 0.6
    assert auc_on_test(fitted(name, world, permuted), world) < 0.6


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_one_answer_and_another_seed_another(name, world):
    test = world[0].test
    one, again, other = (fitted(name, world, NOTHING, seed).predict(test) for seed in (1, 1, 2))
    assert one.dtype == np.float32
    assert one.shape == (len(test),)
    assert ((one > 0) & (one < 1)).all()
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_not_looked_at_when_predicting_and_test_not_when_learning(name, world):
    data, fields, texts = world
    predictor = fitted(name, world, NOTHING)
    turned = replace(data, test=replace(data.test, label=1 - data.test.label))
    assert np.array_equal(predictor.predict(turned.test), predictor.predict(data.test))
    without = replace(data, test=data.test.take(np.zeros(0, dtype=np.int64)))
    other = fitted(name, (without, fields, texts), NOTHING)
    assert np.array_equal(other.predict(data.test), predictor.predict(data.test))


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_does_not_depend_on_the_others_of_its_batch(name, world):
    predictor, test = fitted(name, world, world[2]), world[0].test
    alone = [predictor.predict(test.take(np.array([row])))[0] for row in (0, 7, 99)]
    assert alone == pytest.approx(predictor.predict(test)[[0, 7, 99]], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_tower_can_share_the_batch(name, world):
    predictor = fitted(name, world, NOTHING)
    tower = predictor.tower
    batch = on_device(world[0].test.take(np.arange(5)), torch.device("cpu"))
    hidden = tower.represent(batch)
    assert hidden.shape == (5, tower.head.in_features)
    assert torch.equal(tower.head(hidden).squeeze(1), tower(batch))


@pytest.mark.parametrize("name", NAMES)
def test_a_user_or_item_without_text_is_told_from_the_rest_alone(name, world):
    """Whatever stands in the row of somebody without text changes nothing."""
    data, fields, texts = world
    rows = np.unique(data.test.user)[:5]
    present = texts.user.present.copy()
    present[rows] = False
    scored = []
    for value in (0.0, 1e3):
        x = texts.user.x.copy()
        x[rows] = value
        user = replace(texts.user, x=x, present=present, has=present[:, None])
        scored.append(fitted(name, (data, fields, texts), FeatureSet(texts.item, user)).predict(data.test))
    assert np.array_equal(scored[0], scored[1])


def test_the_registry_holds_every_click_model_of_the_folder():
    folder = Path(recommenders.click.__file__).parent
    modules = [importlib.import_module(f"recommenders.click.{file.stem}") for file in folder.glob("[!_]*.py")]
    classes = {each for module in modules for each in vars(module).values() if inspect.isclass(each)}
    assert {each for each in classes if issubclass(each, Tower) and not inspect.isabstract(each)} == set(
        CLICK_MODELS.values()
    )
    assert all(each.source and each.__doc__ for each in CLICK_MODELS.values())
