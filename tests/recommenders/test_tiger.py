"""TIGER on a world where the next item's codes follow from the last one's, and what is kept of a training."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file, save_file

from evaluation.protocol import testing as make_test_exam
from evaluation.ranking import rank
from features.codes import ItemCodes
from features.corpus import Corpus, make_corpus
from features.table import FeatureSet
from graph_models.curve import Epoch, Step
from recommenders import check_model, load_recommender
from recommenders.histories import Histories
from recommenders.tiger import Tiger
from schemas.errors import ConfigError, StoreError
from schemas.run import Run
from schemas.sections import Data, Evaluation, Features, Model, SequenceTraining

USERS, ITEMS = 360, 30
SMALL = {"dim": 32, "inner": 64, "heads": 2, "head_dim": 16, "layers": 1, "dropout": 0.0, "max_length": 3}
TRAINING = SequenceTraining(learning_rate=0.003, batch_size=64, max_epochs=20, evaluate_every=5, patience=4)
JUDGED = Evaluation(selection="ndcg@5")
FULL = np.stack([np.arange(ITEMS) // 6, np.arange(ITEMS) % 6], axis=1).astype(np.int32)
SHORT = np.where((np.arange(ITEMS) % 6 == 5)[:, None] & np.array([False, True]), -1, FULL).astype(np.int32)
MODEL = Model(name="tiger", recommender="tiger", features=Features(semantic_ids="made"))


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Everybody goes on by seven items at a time, some for longer than others."""
    rows = []
    for user in range(USERS):
        length = 4 + user % 9
        for place in range(length):
            part = {length - 1: "test", length - 2: "valid"}.get(place, "train")
            rows.append((f"u{user:03}", f"i{(user * 11 + place * 7) % ITEMS:02}", part, place))
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part", "order"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64), weight=pl.lit(1.0, pl.Float32), split_id=pl.lit("seven")
    )
    users = pl.DataFrame({"id": [f"u{user:03}" for user in range(USERS)]})
    return make_corpus(users, pl.DataFrame({"id": [f"i{item:02}" for item in range(ITEMS)]}), splits)


def features(codes: np.ndarray = FULL) -> FeatureSet:
    return FeatureSet(codes=ItemCodes(codes, (5, 6), "made"))


def fitted(corpus: Corpus, codes: np.ndarray = FULL, **options: object) -> Tiger:
    made = Tiger({**SMALL, **options}, TRAINING, JUDGED, seed=1, device="cpu")
    made.fit(corpus, features(codes))
    return made


@pytest.fixture(scope="module")
def tiger(corpus) -> Tiger:
    return fitted(corpus)


def share_right(made: Tiger, corpus: Corpus) -> float:
    exam = make_test_exam(corpus)
    found = rank(made, exam.users, 1, exam.seen)
    return float(exam.truth.toarray()[exam.users, found.item[:, 0]].mean())


def test_it_learns_a_rule_of_codes(tiger, corpus):
    assert share_right(tiger, corpus) > 0.9


@pytest.mark.parametrize("options", [{"history": "items"}, {"separator": True}, {"tau": 0.7}], ids=str)
def test_and_so_it_does_with_other_options(options, corpus):
    assert share_right(fitted(corpus, **options), corpus) > 0.9


def test_and_with_codes_of_several_lengths(corpus):
    assert share_right(fitted(corpus, codes=SHORT), corpus) > 0.9


def test_the_wide_search_is_the_exact_ranking(tiger, corpus):
    users = np.arange(USERS)
    exact = Tiger({**SMALL, "search": "exact"}, TRAINING, JUDGED, device="cpu")
    for name in ("known", "popular", "serving"):
        setattr(exact, name, getattr(tiger, name))
    exact.built = tiger.network(tiger.catalogue, **exact.options)
    exact.built.load_state_dict(tiger.built.state_dict())
    seen = corpus.train.by_user
    found, expected = (each.recommend(users, ITEMS, seen) for each in (tiger, exact))
    assert np.allclose(found.score, expected.score, atol=1e-4)
    assert np.array_equal(found.item, expected.item)
    assert not np.array_equal(found.item[0], found.item[1])


def test_more_items_than_the_beam_is_wide_are_a_wider_beam_and_company_changes_nothing(tiger):
    wide = tiger.recommend(np.arange(40), 12)
    tiger.built.beam, before = 2, tiger.built.beam
    narrow = tiger.recommend(np.arange(40), 12)
    alone = tiger.recommend(np.array([33]), 12)
    tiger.built.beam = before
    assert (narrow.item >= 0).all()
    assert np.array_equal(narrow.item[:, 0], wide.item[:, 0])
    assert np.array_equal(narrow.item[33], alone.item[0])
    assert np.allclose(narrow.score[33], alone.score[0], atol=1e-5)


@pytest.mark.parametrize("search", ["beam", "exact"])
@pytest.mark.parametrize("assistant", ["popularity", "item_knn"])
def test_the_assistant_alone_ranks_by_what_train_has_of_items(search, assistant, corpus):
    """Both searches, at alpha 0, against the mass itself."""
    short = TRAINING.model_copy(update={"max_epochs": 1})
    options = {**SMALL, "alpha": 0.0, "assistant": assistant, "search": search}
    made = Tiger(options, short, JUDGED, device="cpu")
    made.fit(corpus, features())
    users, seen = np.arange(USERS), corpus.train.by_user
    found = made.recommend(users, ITEMS, seen)
    mass = made.built.mass(made.built._tensor(made.serving.last(users, 3, ITEMS)[0]), seen, users).numpy()
    for user, row in zip(found.user, found.item, strict=True):
        listed = row[row >= 0]
        assert set(listed) == set(np.flatnonzero(~seen[user].toarray()[0]))
        assert (np.diff(mass[user, listed]) <= 1e-7).all()
    assert mass.std() > 0


def test_samples_are_all_items_but_the_first_with_what_came_before(tiger):
    histories = Histories(np.array([3, 4, 5, 6, 7, 8]), np.arange(6), np.array([0, 3, 3, 4, 6]))
    samples = tiger.built.samples(histories)
    assert samples.tolist() == [1, 2, 5]
    assert tiger.built.lengths(histories, samples).tolist() == [1, 2, 1]
    batch = tiger.built.batch(histories, samples)
    token = tiger.built.codes.token
    assert batch.codes.tolist() == FULL[[4, 5, 8]].tolist()
    assert batch.token[:, :, 0].tolist() == [[0, 0, *token[3]], [*token[3], *token[4]], [0, 0, *token[7]]]


def test_saved_with_codes_of_several_lengths_it_recommends_the_same(corpus, tmp_path):
    made = fitted(corpus, codes=SHORT, assistant="item_knn", alpha=0.7)
    made.save(tmp_path / "model")
    loaded = load_recommender(tmp_path / "model")
    users = np.arange(10)
    one, other = made.recommend(users, 7), loaded.recommend(users, 7)
    assert np.array_equal(one.item, other.item)
    assert np.array_equal(one.score, other.score)


def test_changed_codes_on_disk_are_refused(tiger, tmp_path):
    tiger.save(tmp_path)
    file = tmp_path / "network.safetensors"
    arrays = load_file(file)
    save_file(arrays | {"codes": arrays["codes"][::-1].copy()}, file)
    with pytest.raises(StoreError, match=r"network\.safetensors: codes have the hash .* was trained with"):
        load_recommender(tmp_path)


class KilledError(Exception):
    """A stop in the middle of a training."""


def test_stopped_and_started_again_it_has_the_same_curve(corpus, tmp_path):
    def kill(told: Epoch | Step) -> None:
        if isinstance(told, Epoch) and told.epoch == 3:
            raise KilledError

    options = {**SMALL, "dropout": 0.2, "assistant": "popularity"}
    settings = TRAINING.model_copy(update={"max_epochs": 5, "evaluate_every": 1})
    whole = Tiger(options, settings, JUDGED, seed=2, device="cpu")
    whole.fit(corpus, features())
    with pytest.raises(KilledError):
        Tiger(options, settings, JUDGED, 2, "cpu", tmp_path, kill).fit(corpus, features())
    told: list[Epoch | Step] = []
    resumed = Tiger(options, settings, JUDGED, 2, "cpu", tmp_path, told.append)
    resumed.fit(corpus, features())
    assert [each.epoch for each in told if isinstance(each, Epoch)] == [4, 5]
    assert [replace(each, seconds=0) for each in resumed.history] == [
        replace(each, seconds=0) for each in whole.history
    ]
    one, other = (each.recommend(np.arange(USERS), 5) for each in (whole, resumed))
    assert np.array_equal(one.score, other.score)


def test_a_checkpoint_of_other_codes_is_not_resumed(corpus, tmp_path):
    settings = TRAINING.model_copy(update={"max_epochs": 1})
    Tiger(SMALL, settings, JUDGED, 2, "cpu", tmp_path).fit(corpus, features())
    told: list[Epoch | Step] = []
    other = Tiger(SMALL, settings, JUDGED, 2, "cpu", tmp_path, told.append)
    other.fit(corpus, features(FULL[::-1].copy()))
    assert [each.epoch for each in told if isinstance(each, Epoch)] == [1]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"options": {"renormalise": True, "search": "exact"}}, r"models\.tiger\.options\.renormalise: .*exact"),
        ({"options": {"separator": True, "history": "items"}}, r"models\.tiger\.options\.separator: .*items"),
        ({"options": {"beem": 5}}, "did you mean beam"),
        ({"features": None}, r"models\.tiger\.features\.semantic_ids: missing"),
    ],
)
def test_what_cannot_be_made_is_refused_before_it_is_trained(model, message, tmp_path):
    run = Run(name="seven", lake="lake", data=Data(path="data"), file=Path("run.toml"))
    with pytest.raises(ConfigError, match=message):
        check_model(MODEL.model_copy(update=model), run)


def test_without_transformers_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        ConfigError, match=r"models\.tiger: no module transformers; run: pip install 'loregraph\[text\]'"
    ):
        check_model(MODEL, Run(name="seven", lake="lake", data=Data(path="data")))
