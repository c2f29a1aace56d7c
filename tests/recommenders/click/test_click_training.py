import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from evaluation.click import auc
from features.table import FeatureSet, FeatureTable
from recommenders.click import check_click_model, make_predictor
from recommenders.click.fields import make_fields
from recommenders.click.predictor import Predictor
from recommenders.click.samples import make_click_data
from recommenders.click.search import draws
from recommenders.click.trainer import ClickEpoch, best_of
from schemas.errors import ConfigError, StoreError
from schemas.run import Run
from schemas.sections import Click, ClickModel, ClickTraining, Data, Features, Part
from tests.support.click_world import told_by_text

TRAINING = ClickTraining(learning_rate=3e-3, batch_size=128, max_epochs=5, patience=5, dropout=0.1)
RUN = Run(name="c", lake="lake", data=Data(path="d"), device="cpu", click=Click(training=TRAINING))
MODEL = ClickModel(name="m", options={"dim": 4, "own": 1, "expert_hidden": 8}, features=Features(item="title"))


class StoppedError(Exception):
    """What kills a training in a test."""


@pytest.fixture(scope="module")
def world():
    torch.set_num_threads(1)
    corpus, texts = told_by_text(users=60, items=300)
    return make_click_data(corpus, RUN.click), make_fields(corpus, RUN.click), texts


def stop_after(epochs: int):
    def progress(epoch: ClickEpoch) -> None:
        if epoch.epoch == epochs:
            raise StoppedError

    return progress


def curve(predictor: Predictor) -> list[dict]:
    return [{**asdict(epoch), "seconds": 0} for epoch in predictor.history]


def fitted(world, folder=None, progress=None, model=MODEL, settings=None, seed=1) -> Predictor:
    predictor = make_predictor(model, RUN, seed, settings, folder, progress)
    predictor.fit(*world)
    return predictor


def test_a_stopped_training_goes_on_with_the_curve_that_it_would_have_had(world, tmp_path):
    whole = fitted(world)
    with pytest.raises(StoppedError):
        fitted(world, tmp_path, stop_after(2))
    heard = []
    resumed = fitted(world, tmp_path, heard.append)
    assert [epoch.epoch for epoch in heard] == [3, 4, 5]
    assert curve(resumed) == curve(whole)
    test = world[0].test
    assert np.array_equal(resumed.predict(test), whole.predict(test))
    heard.clear()
    again = fitted(world, tmp_path, heard.append)
    assert heard == []
    assert np.array_equal(again.predict(test), whole.predict(test))


@pytest.mark.parametrize(
    "change",
    [
        {"settings": replace_settings}
        for replace_settings in (
            TRAINING.model_copy(update={"weight_decay": 0.1}),
            TRAINING.model_copy(update={"learning_rate": 1e-3}),
        )
    ]
    + [{"seed": 2}, {"model": MODEL.model_copy(update={"model": "dcn_v2"})}],
    ids=["weight decay", "learning rate", "seed", "model"],
)
def test_another_setting_trains_anew_and_another_name_does_not(world, tmp_path, change):
    fitted(world, tmp_path)
    heard = []
    fitted(world, tmp_path, heard.append, model=MODEL.model_copy(update={"name": "other"}))
    assert heard == []
    fitted(world, tmp_path, heard.append, **change)
    assert heard[0].epoch == 1


def test_other_texts_train_anew(world, tmp_path):
    data, fields, texts = world
    fitted(world, tmp_path)
    heard = []
    item = replace(texts.item, x=texts.item.x + 1)
    fitted((data, fields, FeatureSet(item, texts.user)), tmp_path, heard.append)
    assert heard[0].epoch == 1


def test_the_best_epoch_on_validation_predicts_and_patience_ends_the_training(world):
    settings = TRAINING.model_copy(update={"learning_rate": 0.1, "max_epochs": 20, "patience": 2})
    predictor = fitted(world, settings=settings)
    best = predictor.best
    assert best.auc == max(epoch.auc for epoch in predictor.history)
    assert len(predictor.history) == best.epoch + 2 < 20
    valid = world[0].valid
    assert auc(valid.label, predictor.predict(valid)) == best.auc


def test_of_equal_epochs_the_first_is_best():
    history = [ClickEpoch(number, 1.0, area, 1.0, 0.0) for number, area in ((1, 0.6), (2, 0.7), (3, 0.7))]
    assert best_of(history).epoch == 2


def test_a_checkpoint_is_read_without_pickle(world, tmp_path):
    fitted(world, tmp_path)
    [file] = tmp_path.iterdir()
    content = file.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert json.loads(header["__metadata__"]["state"])["history"][0]["epoch"] == 1


def test_a_loss_that_is_not_finite_says_what_to_change(world):
    with pytest.raises(ConfigError, match="lower learning_rate"):
        fitted(world, settings=TRAINING.model_copy(update={"learning_rate": 1e30}))


def test_nothing_is_predicted_before_it_is_learned(world):
    with pytest.raises(StoreError, match="m: not fitted"):
        make_predictor(MODEL, RUN, 1).predict(world[0].test)


def test_texts_of_two_widths_cannot_share_experts(world):
    data, fields, texts = world
    user = FeatureTable("user", texts.user.x[:, :3], texts.user.present, "narrow")
    with pytest.raises(ConfigError, match="found 3 of users and 6 of items"):
        fitted((data, fields, FeatureSet(texts.item, user)))


# ---- the search


def test_every_model_tries_the_same_draws_and_the_run_files_settings_first():
    settings = Click(trials=4, learning_rates=(1e-4, 1e-2), training=TRAINING)
    tried = draws(settings, TRAINING, MODEL)
    assert len(tried) == 4
    assert tried[0] == TRAINING
    assert tried == draws(settings, TRAINING, MODEL.model_copy(update={"name": "base", "features": None}))
    assert len({each.learning_rate for each in tried}) == 4
    assert all(1e-4 <= each.learning_rate <= 1e-2 for each in tried[1:])
    assert all(each.batch_size == TRAINING.batch_size for each in tried)


def test_what_a_model_sets_itself_is_not_searched():
    settings = Click(trials=4, training=TRAINING)
    own = MODEL.model_copy(update={"training": {"learning_rate": 0.5}})
    base = TRAINING.model_copy(update={"learning_rate": 0.5})
    tried = draws(settings, base, own)
    assert {each.learning_rate for each in tried} == {0.5}
    assert [each.weight_decay for each in tried] == [each.weight_decay for each in draws(settings, TRAINING, MODEL)]


# ---- what a run file may say


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": "dinn"}, r"click_models\.m\.model: dinn: unknown, did you mean din\?"),
        ({"options": {"dimm": 3}}, "did you mean dim"),
        ({"options": {"dim": 0}}, "greater than 0, found 0"),
        ({"features": None, "control": "shuffled"}, "add features or remove it"),
        ({"features": Features()}, r"features\.item: missing"),
        ({"features": Features(item="title", edges=("llmrec.edges",))}, "remove edges and adaptor"),
        ({"features": Features(item="title", adaptor=Part(name="gate"))}, "remove edges and adaptor"),
    ],
)
def test_a_wrong_click_model_is_refused_before_it_is_made(change, said):
    with pytest.raises(ConfigError, match=said):
        check_click_model(MODEL.model_copy(update=change), RUN)
