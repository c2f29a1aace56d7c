"""Histories, batches, and whose history a user is served with."""

import numpy as np
import polars as pl
import pytest

from evaluation.ranking import rank
from features.corpus import Part, make_corpus
from features.table import FeatureSet
from recommenders.histories import Histories
from recommenders.sasrec import SASRec, SASRecNetwork
from recommenders.sequential.sequences import Catalogue, NextItems
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Data, Evaluation, Features, Model, SequenceTraining

EDGES = np.array([[1, 0, 1, 1, 0, 3], [5, 2, 4, 5, 3, 1]])
PART = Part(4, 6, EDGES, np.array([30, 5, 10, 20, 6, 1]), np.ones(6, np.float32))
PAD = 6


@pytest.fixture
def histories() -> Histories:
    return Histories.of(PART)


def test_items_are_ordered_by_time_and_repeats_stay(histories):
    item, time = histories.last(np.array([1, 0]), 4, PAD)
    assert item.tolist() == [[PAD, 4, 5, 5], [PAD, PAD, 2, 3]]
    assert time.tolist() == [[10, 10, 20, 30], [5, 5, 5, 6]]


def test_only_the_last_n_are_read(histories):
    item, _ = histories.last(np.array([1, 3]), 2, PAD)
    assert item.tolist() == [[5, 5], [PAD, 1]]


def test_who_has_nothing_is_all_padding(histories):
    item, time = histories.last(np.array([2]), 3, PAD)
    assert item.tolist() == [[PAD] * 3]
    assert time.tolist() == [[0] * 3]
    nobody = Histories(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(3, np.int64))
    assert nobody.last(np.array([0, 1]), 2, PAD)[0].tolist() == [[PAD, PAD]] * 2


def test_one_moment_keeps_the_order_of_the_part():
    part = Part(1, 4, np.array([[0, 0, 0], [3, 1, 2]]), np.zeros(3, np.int64), np.ones(3, np.float32))
    assert Histories.of(part).item.tolist() == [3, 1, 2]


def test_prefixes_end_before_a_place(histories):
    item, _ = histories.before(np.array([4]), np.array([2]), 3, PAD)  # user 1 has places 2 to 4
    assert item.tolist() == [[PAD, 4, 5]]


def test_every_sample_is_in_one_batch_and_batches_teach_alike():
    rng = np.random.default_rng(0)
    degree = rng.geometric(0.15, size=500) + 1
    user = np.repeat(np.arange(500), degree)
    part = Part(500, 50, np.stack([user, rng.integers(50, size=len(user))]), np.arange(len(user)), np.ones(len(user)))
    histories = Histories.of(part)
    network = SASRecNetwork(Catalogue(50), dim=4, max_length=20)
    task = NextItems(network, histories, network.samples(histories))
    drawn = []
    network.batch = lambda _, samples: drawn.append(samples)
    list(task.batches(16, np.random.default_rng(1)))
    assert len(drawn) == task.steps(16) == 32
    assert np.array_equal(np.sort(np.concatenate(drawn)), np.arange(500))
    taught = [int(network.targets(histories, each).sum()) for each in drawn]
    assert max(taught) - min(taught) <= 40  # two of the longest, of about 90
    spread = [int(np.ptp(network.lengths(histories, each))) for each in drawn]
    assert np.mean(spread) < 4  # at random it would be 19


def corpus(*rows: tuple[str, str, str], users: tuple[str, ...] = ("u1", "u2", "u9")):
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        split_id=pl.lit("s"),
    )
    items = pl.DataFrame({"id": [f"i{number}" for number in range(6)]})
    return make_corpus(pl.DataFrame({"id": list(users)}), items, splits)


ROWS = (
    ("u1", "i0", "train"),
    ("u1", "i1", "train"),
    ("u1", "i2", "train"),
    ("u1", "i3", "valid"),
    ("u1", "i4", "test"),
    ("u2", "i2", "train"),
    ("u2", "i5", "train"),
    ("u2", "i1", "valid"),
    ("u2", "i0", "test"),
)
SETTINGS = SequenceTraining(max_epochs=2, evaluate_every=1, batch_size=2)


def fitted(given=None, options=None, settings=SETTINGS, features=None, **extra) -> SASRec:
    made = SASRec(
        {"dim": 4, "dropout": 0.0, **(options or {})}, settings, Evaluation(ks=(2,), selection="ndcg@5"), **extra
    )
    made.fit(given or corpus(*ROWS), features or FeatureSet())
    return made


def test_validation_knows_train_and_test_knows_validation_too():
    made = fitted()
    item, _ = made.serving.last(np.array([0, 1]), 4, 6)
    assert item.tolist() == [[0, 1, 2, 3], [6, 2, 5, 1]]
    judged = made.for_validation()
    assert judged.serving.last(np.array([0]), 4, 6)[0].tolist() == [[6, 0, 1, 2]]
    assert made.serving.length.tolist() == [4, 3, 0]


def test_test_rows_change_nothing():
    other = [(user, "i5" if part == "test" and user == "u1" else item, part) for user, item, part in ROWS]
    one, two = fitted(), fitted(corpus(*other))
    users, seen = np.array([0, 1]), corpus(*ROWS).train.by_user
    assert np.array_equal(one.recommend(users, 6, seen).score, two.recommend(users, 6, seen).score)


def test_users_come_back_in_the_order_they_were_asked_in():
    made, seen = fitted(), corpus(*ROWS).train.by_user
    some = made.recommend(np.array([2, 1, 0]), 3, seen)
    each = [rank(made, np.array([user]), 3, seen) for user in (2, 1, 0)]
    assert some.user.tolist() == [2, 1, 0]
    assert np.array_equal(some.item, np.concatenate([one.item for one in each]))


def test_a_stopped_fit_goes_on_in_its_folder(tmp_path):
    longer = SETTINGS.model_copy(update={"max_epochs": 4})
    whole = fitted(settings=longer)

    def stop(event):
        if event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(settings=longer, folder=tmp_path, progress=stop)
    told = []
    again = fitted(settings=longer, folder=tmp_path, progress=lambda event: told.append(event.epoch))
    assert told == [3, 4]
    assert [epoch.loss for epoch in again.history] == [epoch.loss for epoch in whole.history]


def test_a_checkpoint_of_other_settings_is_not_used(tmp_path):
    fitted(folder=tmp_path)
    told = []
    fitted(options={"layers": 1}, folder=tmp_path, progress=lambda event: told.append(event.epoch))
    assert told == [1, 2]


def test_validation_on_some_users_is_drawn_once():
    made = fitted(settings=SETTINGS.model_copy(update={"valid_users": 1}))
    assert made.valid["recall@2"] in (0.0, 1.0)


def run_with(**keys) -> tuple[Run, Model]:
    model = Model(name="m", recommender=keys.pop("recommender", "sasrec"), **keys)
    return Run(name="r", lake="lake", data=Data(path="data"), models=(model,), baseline="m"), model


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"options": {"dims": 3}}, r"models.m.options: dims: unknown, did you mean dim"),
        ({"options": {"dropout": 1.5}}, r"models.m.options.dropout"),
        ({"backbone": {"name": "lightgcn"}}, "takes no backbone or objectives"),
        ({"options": {"items": "text"}}, r"features.item: missing; items = text reads text"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_is_trained(keys, message):
    run, model = run_with(**keys)
    with pytest.raises(ConfigError, match=message):
        SASRec.check(model, run)


def test_text_is_taken_where_the_run_file_names_it():
    run, model = run_with(options={"items": "text"}, features=Features(item="title"))
    SASRec.check(model, run)
