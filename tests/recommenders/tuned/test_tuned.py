"""What tuned language models share: prompts, checks of a run file, stopping and going on, keeping."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.protocol import validation
from graph_models.curve import Epoch
from recommenders import check_model, load_recommender
from recommenders.tuned.listed import Listed, put_back
from schemas.errors import ConfigError, DataError, StoreError
from schemas.sections import Evaluation, Features, Llm, Model
from tests.support.planted import ITEMS, buried, planted, save_reader
from tests.support.tuned import made, planted_features, planted_run

SMALL = {"candidates": 6, "samples": 16, "history": 3}
LISTS = ("llamarec", "llara", "s_dpo")
RERANKERS = ("tallrec", "rella", "collm", *LISTS)
ALL = (*RERANKERS, "bigrec", "lc_rec")


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> Path:
    return save_reader(tmp_path_factory.mktemp("reader"), planted())


class StopError(Exception):
    pass


def small(name: str) -> dict[str, int]:
    return SMALL if name in RERANKERS else {key: value for key, value in SMALL.items() if key != "candidates"}


@pytest.mark.parametrize("name", ALL)
def test_a_stopped_training_goes_on_with_the_curve_that_it_would_have_had(name, reader, tmp_path):
    corpus, run = planted(), planted_run(reader, 3, evaluate_every=1, valid_users=8)
    whole = made(name, run, {**small(name), "tune": "lora"}, tmp_path / "whole")
    whole.fit(corpus, planted_features(corpus))

    def stop(told):
        if isinstance(told, Epoch) and told.epoch == 2:
            raise StopError

    with pytest.raises(StopError):
        made(name, run, {**small(name), "tune": "lora"}, tmp_path / "parts", stop).fit(corpus, planted_features(corpus))
    again = made(name, run, {**small(name), "tune": "lora"}, tmp_path / "parts")
    again.fit(corpus, planted_features(corpus))
    assert [epoch.loss for epoch in again.history] == [epoch.loss for epoch in whole.history]
    assert again.valid == whole.valid
    users = np.arange(20)
    assert np.array_equal(again.recommend(users, 5).item, whole.recommend(users, 5).item)


@pytest.mark.parametrize("name", ALL)
def test_prompts_show_no_held_out_item_and_at_test_what_validation_knew(name, reader):
    """Titles of held-out items are words of their own, which no prompt of training or validation may have."""
    corpus, run = planted(), planted_run(reader, 1)
    found = made(name, run, small(name))
    found.fit(corpus, planted_features(corpus))
    shown = _shown_at(found.for_validation(), corpus, 3)
    assert shown == set(corpus.train.by_user[3].indices)
    assert _shown_at(found, corpus, 3) == shown | set(corpus.valid.by_user[3].indices)
    assert not _shown_at(found, corpus, 3) & set(corpus.test.by_user[3].indices)


def _shown_at(recommender, corpus, user) -> set[int]:
    return set(recommender.serving.item[recommender.serving.places(user)].tolist())


@pytest.mark.parametrize("name", LISTS)
def test_candidates_stand_in_an_order_of_each_user(name, reader):
    corpus, run = planted(), planted_run(reader, 1)
    found = made(name, run, SMALL)
    found.fit(corpus, planted_features(corpus))
    users, items = np.arange(30), np.tile(np.arange(6), (30, 1))
    orders = [tuple(each.items) for each in found.listed(users, items)]
    assert len(set(orders)) > 20
    assert all(sorted(order) == list(range(6)) for order in orders)
    assert orders == [tuple(each.items) for each in found.listed(users, items)]
    first = np.bincount([order[0] for order in orders], minlength=6)
    assert first.max() < 15


def test_scores_come_back_to_the_candidates_they_belong_to():
    items = np.array([[4, 2, -1], [7, 8, 9]])
    listed = [Listed(0, np.zeros(0, np.int64), [2, 4]), Listed(1, np.zeros(0, np.int64), [9, 7, 8])]
    found = put_back([[0.2, 0.4], [0.9, 0.7, 0.8]], listed, items)
    assert found.tolist() == [[pytest.approx(0.4), pytest.approx(0.2), -np.inf], pytest.approx([0.7, 0.8, 0.9])]


def test_a_prompt_loses_its_oldest_items_where_it_would_be_too_long(reader):
    corpus, run = planted(), planted_run(reader, 1)
    found = made("tallrec", run, {**SMALL, "history": 5, "max_tokens": 60})
    found.fit(corpus, planted_features(corpus))
    prompt = found._prompt(0, 40)
    assert len(prompt) <= 60
    text = found.model.tokenizer.decode(prompt.ids)
    own = [found.shown.titles[item] for item in found.serving.item[found.serving.places(0)]]
    kept = [title in text for title in own]
    assert kept == sorted(kept)  # the newest stay
    assert kept[-1]
    assert not kept[0]
    with pytest.raises(DataError, match="tokens"):
        made("tallrec", run, {**SMALL, "max_tokens": 20}).fit(corpus, planted_features(corpus))


@pytest.mark.parametrize(
    ("name", "llm", "expected"),
    [
        ("tallrec", Llm(engine="openai", model="m"), "tallrec needs logits.*engine openai offers none.*llm_pointwise"),
        ("llamarec", Llm(engine="offline"), "llamarec needs logits.*llm_listwise"),
        ("llara", Llm(engine="openai", model="m"), "inputs_embeds"),
        ("bigrec", Llm(engine="hf", model="/no/such/model"), "no/such/model"),
    ],
)
def test_what_cannot_be_tuned_is_refused_with_the_run_file(name, llm, expected, reader):
    run = planted_run(reader).model_copy(update={"llm": llm})
    with pytest.raises(ConfigError, match=expected):
        check_model(Model(name="x", recommender=name), run)


def test_what_a_system_lacks_is_named(reader):
    run = planted_run(reader)
    for name, expected in (("rella", "features.item"), ("lc_rec", "features.semantic_ids")):
        with pytest.raises(ConfigError, match=f"models.x.{expected}: missing"):
            check_model(Model(name="x", recommender=name), run)
    for options, expected in (
        ({"retriever": "poplarity"}, "did you mean popularity"),
        ({"vectors": "popularity"}, "recommender with vectors"),
        ({"candidates": 1}, "greater than or equal to 2"),
        ({"lora_rnk": 4}, "lora_rank"),
    ):
        with pytest.raises(ConfigError, match=expected):
            check_model(Model(name="x", recommender="llara", options=options), run)
    blind = run.model_copy(update={"evaluation": Evaluation(selection="recall@20")})
    with pytest.raises(ConfigError, match="is the same however 20 candidates"):
        check_model(Model(name="x", recommender="tallrec"), blind)


def test_another_language_model_at_its_place_is_refused(tmp_path):
    corpus, own = planted(), save_reader(tmp_path / "reader", planted())
    found = made("tallrec", planted_run(own, 1), SMALL)
    found.fit(corpus, planted_features(corpus))
    found.save(tmp_path / "saved")
    assert load_recommender(tmp_path / "saved").name == "tallrec"
    save_reader(own, corpus, seed=9)
    with pytest.raises(StoreError, match="not the language model that was tuned"):
        load_recommender(tmp_path / "saved")


def test_lora_trains_few_and_leaves_the_language_model_as_it_was(reader):
    corpus, run = planted(), planted_run(reader, 1)
    found = made("tallrec", run, {**SMALL, "tune": "lora", "lora_rank": 2})
    found.fit(corpus, planted_features(corpus))
    trained = sum(each.numel() for each in found.network.parameters() if each.requires_grad)
    assert 0 < trained < 0.05 * sum(each.numel() for each in found.network.parameters())


def test_rella_shows_what_is_nearest_to_the_candidate_and_learns_from_both_views(reader):
    corpus, run = buried(), planted_run(reader, 1, valid_users=4)
    found = made("rella", run, {**SMALL, "history": 2})
    found.fit(corpus, planted_features(corpus))
    places = found.serving.places(1)  # of a user of the second theme
    items = found.serving.item
    own = [place for place in places if items[place] // ITEMS == 1]
    assert set(found.view(found.serving, places, 1 * ITEMS + 11)) <= set(own)
    latest, near = found.views(found.serving, places, 1 * ITEMS + 11)
    assert np.array_equal(latest, places[-2:])
    assert np.array_equal(near, found.view(found.serving, places, 1 * ITEMS + 11))
    assert len(found.examples([found.learned.lesson(int(found.learned.places[9]))], np.random.default_rng(0))) >= 3


def test_in_bfloat16_frozen_weights_are_narrow_and_what_is_trained_is_not(reader):
    corpus, run = planted(), planted_run(reader, 1, precision="bfloat16", valid_users=4)
    found = made("tallrec", run, {**SMALL, "tune": "lora"})
    found.fit(corpus, planted_features(corpus))
    kinds = {each.requires_grad: each.dtype for each in found.network.parameters()}
    assert kinds == {True: torch.float32, False: torch.bfloat16}
    assert np.isfinite(found.history[-1].loss["loss"])


def test_profiles_stand_in_prompts_where_the_run_file_shows_them(reader):
    corpus, run = planted(), planted_run(reader, 1)
    features = replace(
        planted_features(corpus), profiles={"user": tuple(f"person {row}" for row in range(corpus.num_users))}
    )
    found = made("llamarec", run, SMALL)
    found.fit(corpus, features)
    exam = validation(corpus)
    assert len(found.recommend(exam.users, 3).item) == len(exam.users)
    shown = found.listed(np.array([3]), np.array([[1, 2, 3]]))[0]
    assert "person 3" in found.word(found.serving, shown, shown.places).user


def test_features_of_a_model_may_name_profiles():
    assert Features(user_profile="rlmrec.user/summarization").profile("user") == "rlmrec.user/summarization"
    assert "user_profile" not in Features(item="title").model_dump()
