"""Items without train interactions stand where their text says: on a catalogue whose truth is planted."""

import numpy as np
import polars as pl
import pytest

from evaluation.judge import examine
from evaluation.protocol import testing as make_test_exam
from features.corpus import make_corpus
from features.splits import make_splits
from features.table import FeatureSet, FeatureTable, shuffled
from recommenders import check_model, make_recommender
from recommenders.cold_items import place_cold_items
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Data, Evaluation, Features, Model, Part, Split, Training

GENRES, USERS, ITEMS, EACH = 12, 400, 240, 16
TRAINING = Training(
    loss="infonce", negatives=50, batch_size=1024, learning_rate=0.02, max_epochs=8, evaluate_every=8, l2=0.0
)
RUN = Run(name="x", lake="x", data=Data(path="x"), training=TRAINING, device="cpu")
TEXT = Features(item="title")
LIGHTGCN = Part(name="lightgcn", options={"dim": 16, "layers": 2, "score": "cosine"})
MODELS = {
    "pure_svd": Model(name="m", recommender="pure_svd", options={"dim": 16}, features=TEXT),
    "lightgcn": Model(name="m", backbone=LIGHTGCN, features=TEXT),
}


@pytest.fixture(scope="module")
def corpus():
    """Users read the books of two genres of twelve, three of four times; a fifth of the books is held out of train."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(USERS):
        liked = rng.choice(GENRES, 2, replace=False)
        inside = np.flatnonzero(np.isin(np.arange(ITEMS) % GENRES, liked))
        books = {*rng.choice(inside, 3 * EACH // 4, replace=False), *rng.choice(ITEMS, EACH // 4, replace=False)}
        rows += [(f"u{user:03}", f"i{book:03}") for book in books]
    pairs = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    splits = make_splits(pairs, Split(rule="ratio", test=0.2, cold_items=0.2))
    tables = [
        pl.DataFrame({"id": [f"{kind}{n:03}" for n in range(size)]}) for kind, size in (("u", USERS), ("i", ITEMS))
    ]
    return make_corpus(*tables, splits)


@pytest.fixture(scope="module")
def text():
    """A direction for every genre and noise; the last item has no text."""
    rng = np.random.default_rng(1)
    x = np.eye(GENRES)[np.arange(ITEMS) % GENRES] @ rng.normal(size=(GENRES, 32)) + rng.normal(size=(ITEMS, 32))
    present = np.arange(ITEMS) < ITEMS - 1
    return FeatureTable("item", (x * present[:, None]).astype(np.float32), present, "title")


def judged(name, corpus, table, **keys):
    model = make_recommender(MODELS[name].model_copy(update=keys), RUN, 1)
    model.fit(corpus, FeatureSet(item=table))
    verdict = examine(model, make_test_exam(corpus), Evaluation(cold=1))
    new = verdict.slices["new items"].values["recall@20"].mean()
    shown = np.isin(model.recommend(np.arange(USERS), 20).item, np.flatnonzero(corpus.train.item_degree == 0)).mean()
    return new, verdict.means()["recall@20"], shown, model


@pytest.mark.parametrize("name", MODELS)
def test_new_items_are_found_by_their_text_and_not_by_anothers(name, corpus, text):
    chance, cold = 20 / (ITEMS - EACH), float((corpus.train.item_degree == 0).mean())
    without, overall, _, _ = judged(name, corpus, text)
    found, with_text, shown, _ = judged(name, corpus, text, cold_items="text")
    control, with_control, control_shown, _ = judged(name, corpus, shuffled(text, 0), cold_items="text")
    assert without < chance / 3
    assert found > 4 * chance
    assert control < 1.5 * chance
    assert cold / 2 < shown < 2 * cold, "neither always first nor never shown"
    assert control_shown < cold / 2, "a text that says nothing leaves them at the mean"
    assert with_text > overall + 0.01
    assert with_control > overall - 0.02


@pytest.mark.parametrize("name", MODELS)
def test_all_other_items_keep_their_vectors(name, corpus, text):
    plain, placed = (judged(name, corpus, text, cold_items=value)[-1] for value in ("none", "text"))
    moved = (plain.item != placed.item).any(axis=1)
    assert moved.sum() > 40
    assert (corpus.train.item_degree[moved] == 0).all()
    assert not moved[-1], "it has no text"
    assert np.array_equal(plain.user, placed.user)
    told = placed.report["cold_items"]
    assert (told["placed"], told["spread"]) == (moved.sum(), 0.9)
    assert 0.2 < told["explained"] < 1
    assert "cold_items" not in plain.report


def test_the_spread_is_that_of_the_guess_or_that_of_the_others():
    """Half of the variance can be told from the text: guesses have half the variance of what they guess."""
    rng = np.random.default_rng(0)
    x, mean = rng.normal(size=(4000, 8)).astype(np.float32), np.full(8, 3, dtype=np.float32)
    item = (mean + x + rng.normal(size=(4000, 8))).astype(np.float32)
    degree = np.where(np.arange(4000) < 3000, 5, 0)
    text = FeatureTable("item", x, np.ones(4000, dtype=bool), "title")
    guess, told = place_cold_items(item, text, degree, spread=0)
    assert told["explained"] == pytest.approx(0.5, abs=0.02)
    assert np.corrcoef(guess[3000:].ravel(), (mean + x)[3000:].ravel())[0, 1] > 0.99
    for spread, variance in ((0, 1.0), (0.5, 2**0.5), (1, 2.0)):
        placed = place_cold_items(item, text, degree, spread)[0]
        assert np.var(placed[3000:], axis=0).mean() == pytest.approx(variance, rel=0.1)
        assert np.allclose(placed[3000:].mean(axis=0), mean, atol=0.15)
    assert np.array_equal(guess[:3000], item[:3000])


@pytest.mark.parametrize(("warm", "cold"), [(1, 3), (4, 0)], ids=["nothing to fit on", "nothing to place"])
def test_where_nothing_can_be_placed_nothing_changes(warm, cold):
    item, degree = np.eye(6, dtype=np.float32), np.array([1] * warm + [0] * cold + [1] * (6 - warm - cold))
    text = FeatureTable("item", np.eye(6, dtype=np.float32), np.arange(6) < warm + cold, "title")
    placed, told = place_cold_items(item, text, degree, 1.0)
    assert np.array_equal(placed, item)
    assert told["placed"] == 0


def test_equal_texts_put_every_item_at_the_mean():
    item = np.arange(12, dtype=np.float32).reshape(6, 2)
    text = FeatureTable("item", np.ones((6, 3), dtype=np.float32), np.ones(6, dtype=bool), "title")
    placed = place_cold_items(item, text, np.array([1, 1, 1, 1, 0, 0]), 1.0)[0]
    assert np.allclose(placed[4:], item[:4].mean(axis=0), atol=1e-4)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Model(name="m", recommender="pure_svd", cold_items="text"), "models.m.cold_items: needs item text"),
        (Model(name="m", backbone=LIGHTGCN, cold_items="text"), "models.m.cold_items: needs item text"),
        (Model(name="m", recommender="lore_filter", features=TEXT, cold_items="text"), "lore_filter does not place"),
        (Model(name="m", recommender="gf_cf", features=TEXT, cold_items="text"), "gf_cf does not place items by text"),
        (Model(name="m", backbone=Part(name="alpharec"), features=TEXT, cold_items="text"), "reach new items already"),
    ],
)
def test_where_it_cannot_be_or_need_not_be_it_is_refused(model, said):
    with pytest.raises(ConfigError, match=said):
        check_model(model, RUN)


def test_a_model_without_cold_items_is_written_as_before_there_were_any():
    """Its hash names the folder of what was fitted."""
    assert not {"cold_items", "cold_spread"} & set(MODELS["lightgcn"].model_dump())
    asked = MODELS["lightgcn"].model_copy(update={"cold_items": "text"})
    assert Model.model_validate(asked.model_dump()) == asked
    assert Model.model_validate(MODELS["lightgcn"].model_dump()) == MODELS["lightgcn"]
