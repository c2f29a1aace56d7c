"""Fitted models: controls lose only the text, and nothing that was fitted is fitted again."""

import json

import numpy as np
import pytest

from features.table import mean_of_items
from pipelines import steps
from pipelines.fitted import read_fitted
from pipelines.model_inputs import feature_tables
from pipelines.night import open_night
from pipelines.steps.models import select
from schemas.errors import ConfigError, StoreError
from schemas.run import load_run
from schemas.sections import Features, Model
from tests.support.small_world import RUN

DS = "2026-01-01"


@pytest.fixture
def materialized(world):
    """A night up to its embeddings."""
    run = load_run(world())
    for step in ("ingest", "split", "generate", "encode", "materialize"):
        steps.STEPS[step](run, DS)
    return open_night(run, DS)


def test_the_shuffled_control_permutes_items_and_takes_user_means_from_them(materialized) -> None:
    corpus, item = materialized.corpus(), "rlmrec.item/summarization"
    plain = Model(name="a", features=Features(item=item))
    control = Model(name="b", features=Features(item=item), control="shuffled")
    real, permuted = (feature_tables(materialized, model, corpus, seed=1) for model in (plain, control))
    assert sorted(map(tuple, permuted.item.x)) == sorted(map(tuple, real.item.x))
    assert (permuted.item.x == real.item.x).all(axis=1).mean() < 0.2
    np.testing.assert_array_equal(permuted.user.x, mean_of_items(permuted.item, corpus.train).x)


def test_a_user_profile_is_permuted_among_users(materialized) -> None:
    features = Features(item="rlmrec.item/summarization", user="rlmrec.user/summarization")
    real, permuted = (
        feature_tables(materialized, Model(name="a", features=features, control=control), materialized.corpus(), 1)
        for control in ("none", "shuffled")
    )
    assert sorted(map(tuple, permuted.user.x)) == sorted(map(tuple, real.user.x))
    assert (permuted.user.x == real.user.x).all(axis=1).mean() < 0.2


def test_controls_of_one_kind_leave_the_other_as_it_is(materialized) -> None:
    corpus, item = materialized.corpus(), "rlmrec.item/summarization"

    def tables(control: str, user: str = "rlmrec.user/summarization"):
        model = Model(name="a", features=Features(item=item, user=user), control=control)
        return feature_tables(materialized, model, corpus, 1)

    real, items, users = (tables(control) for control in ("none", "shuffled_items", "shuffled_users"))
    np.testing.assert_array_equal(items.user.x, real.user.x)
    np.testing.assert_array_equal(users.item.x, real.item.x)
    for changed, was in ((items.item, real.item), (users.user, real.user)):
        assert sorted(map(tuple, changed.x)) == sorted(map(tuple, was.x))
        assert (changed.x == was.x).all(axis=1).mean() < 0.2
    means = tables("shuffled_users", "mean")  # a mean of items is a user's text as well
    np.testing.assert_array_equal(means.item.x, real.item.x)
    assert not np.allclose(means.user.x, tables("none", "mean").user.x)


def test_the_random_control_has_unit_vectors_and_user_means_of_them(materialized) -> None:
    corpus = materialized.corpus()
    model = Model(name="a", features=Features(item="rlmrec.item/summarization"), control="random")
    real = feature_tables(materialized, model.model_copy(update={"control": "none"}), corpus, 1)
    drawn = feature_tables(materialized, model, corpus, 1)
    np.testing.assert_allclose(np.linalg.norm(drawn.item.x, axis=1), drawn.item.present.astype(float), atol=1e-5)
    np.testing.assert_array_equal(drawn.item.present, real.item.present)
    np.testing.assert_array_equal(drawn.user.x, mean_of_items(drawn.item, corpus.train).x)


def test_train_reuses_what_is_fitted_and_refits_what_changed(materialized) -> None:
    run = materialized.run
    first = steps.train(run, DS)
    assert (first["fitted"], first["reused"]) == (4, 0)
    again = steps.train(run, DS)
    assert (again["fitted"], again["reused"]) == (0, 4)
    assert again["models"] == first["models"]
    run.file.write_text(RUN.replace("learning_rate = 0.01", "learning_rate = 0.02"))
    changed = steps.train(load_run(run.file), DS)
    assert (changed["fitted"], changed["reused"]) == (3, 1)  # popularity has no learning rate


def test_one_model_and_one_seed_can_be_trained_alone(materialized) -> None:
    done = steps.train(materialized.run, DS, model="lightgcn", seed=1)
    assert [model["name"] for model in done["models"]] == ["lightgcn"]
    kept = json.loads((materialized.folder / "steps" / "train--lightgcn--1.json").read_text())
    assert kept["fitted"] == 1
    with pytest.raises(StoreError, match="run train"):
        read_fitted(materialized, materialized.run.models[2], 1, materialized.corpus())
    with pytest.raises(ConfigError, match="did you mean lightgcn"):
        steps.train(materialized.run, DS, model="lightgnc")


def test_a_control_is_never_selected(materialized) -> None:
    results = [
        {"name": "aligned.shuffled", "control_of": "aligned", "valid": {"recall@20": 0.9}},
        {"name": "lightgcn", "control_of": None, "valid": {"recall@20": 0.2}},
        {"name": "lightgcn", "control_of": None, "valid": {"recall@20": 0.4}},
        {"name": "aligned", "control_of": None, "valid": {"recall@20": 0.29}},
    ]
    assert select(materialized.run, results) == "lightgcn"
    with pytest.raises(ConfigError, match="at least one that is no control"):
        select(materialized.run, results[:1])
