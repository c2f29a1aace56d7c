"""A text model of one catalogue on another: it finds what was held out there, and refuses what it would misread."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from evaluation.protocol import testing as make_test_exam
from evaluation.ranking import rank
from features.corpus import Corpus, make_corpus
from features.table import FeatureSet, FeatureTable, mean_of_items
from recommenders import RECOMMENDERS, check_model, load_recommender, make_recommender
from recommenders.transfer import Transfer
from schemas.errors import ConfigError, DataError
from schemas.run import Run, load_run
from schemas.sections import Data, Encoder, Features, Model, Objective, Part, Training
from tests.support.communities import community_text, two_communities

TRAINING = Training(
    loss="infonce", negatives=20, batch_size=64, learning_rate=0.02, max_epochs=20, evaluate_every=5, patience=2
)
RUN = Run(name="two", lake="lake", data=Data(path="data"), training=TRAINING, device="cpu", file=Path("two.toml"))
TEXT = Features(item="title")
ALPHAREC = Model(name="alpharec", backbone=Part(name="alpharec", options={"dim": 16}), features=TEXT)
READERS, BOOKS = 12, 8  # of each community of the other catalogue


def other_catalogue() -> Corpus:
    """Two communities again, of other sizes and other ids but for the first item, one reader knows nothing."""
    rows = []
    for user in range(2 * READERS):
        for item in range(BOOKS):
            part = {user % BOOKS: "test", (user + 1) % BOOKS: "valid"}.get(item, "train")
            rows.append((f"r{user:02}", name_of(user // READERS * BOOKS + item), part))
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        split_id=pl.lit("other"),
    )
    users = pl.DataFrame({"id": [*(f"r{user:02}" for user in range(2 * READERS)), "r99"]})
    return make_corpus(users, pl.DataFrame({"id": [name_of(item) for item in range(2 * BOOKS)]}), splits)


def name_of(item: int) -> str:
    return f"book{item:02}" if item else "i00"


def other_text(dim: int = 12) -> FeatureSet:
    """The same two subjects in the same encoder's space as `community_text`, other books on them."""
    rng = np.random.default_rng(0)
    centre = rng.normal(size=(2, 12))
    x = np.repeat(centre, BOOKS, axis=0) + 0.3 * np.random.default_rng(7).normal(size=(2 * BOOKS, 12))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)[:, :dim]
    order = [*range(1, 2 * BOOKS), 0]  # ids are sorted, so i00 stands last
    item = FeatureTable("item", x[order], np.ones(2 * BOOKS, dtype=bool), "made.item")
    return FeatureSet(item, mean_of_items(item, other_catalogue().train))


def trained(folder: Path, model: Model = ALPHAREC, run: Run = RUN) -> Path:
    torch.set_num_threads(1)
    made = make_recommender(model, run, 1, folder)
    made.fit(two_communities(), community_text())
    made.save(folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("books") / "alpharec" / "abc-1")


def transfer(home: Path, **changes: object) -> Model:
    return Model(name="m", recommender="transfer", options={"trained": str(home)}, features=TEXT).model_copy(
        update=changes
    )


def applied(home: Path, corpus: Corpus, text: FeatureSet) -> Transfer:
    made = make_recommender(transfer(home), RUN, 1)
    assert isinstance(made, Transfer)
    made.fit(corpus, text)
    return made


def test_it_finds_the_held_out_items_of_a_catalogue_it_never_saw(home):
    corpus = other_catalogue()
    exam = make_test_exam(corpus)
    found = rank(applied(home, corpus, other_text()), exam.users, 1, exam.seen)
    assert exam.truth.toarray()[exam.users, found.item[:, 0]].all()


def test_texts_of_the_other_subject_mislead_it(home):
    """The tower reads the text: with the two subjects exchanged in half of the items the held-out ones are lost."""
    corpus, text = other_catalogue(), other_text()
    x = text.item.x.copy()
    half = np.arange(0, BOOKS, 2)
    x[half], x[half + BOOKS] = text.item.x[half + BOOKS], text.item.x[half]
    wrong = FeatureTable("item", x, text.item.present, "made.item")
    exam = make_test_exam(corpus)
    found = rank(applied(home, corpus, FeatureSet(wrong)), exam.users, 1, exam.seen)
    assert exam.truth.toarray()[exam.users, found.item[:, 0]].mean() < 0.9


def test_on_its_own_catalogue_it_is_the_trained_model(home):
    again, model = applied(home, two_communities(), community_text()), load_recommender(home)
    np.testing.assert_allclose(again.user, model.user, atol=1e-5)
    np.testing.assert_allclose(again.item, model.item, atol=1e-5)


def test_nothing_is_learned_and_the_trained_folder_stays_as_it_is(home, tmp_path):
    before = {file.name: file.read_bytes() for file in home.iterdir()}
    one, two = (applied(home, other_catalogue(), other_text()) for _ in range(2))
    one.save(tmp_path)
    assert np.array_equal(one.item, two.item)
    assert {file.name: file.read_bytes() for file in home.iterdir()} == before
    assert not RECOMMENDERS["transfer"].seeded


def test_it_says_where_it_comes_from_and_what_it_knew_already(home):
    report = applied(home, other_catalogue(), other_text()).report["transfer"]
    assert report["from"] == str(home)
    assert report["encoder"] == "all-MiniLM-L6-v2"
    assert (report["shared_users"], report["shared_items"]) == (0, 1)


def test_who_has_nothing_gets_popular_items_and_what_is_known_is_masked(home):
    corpus = other_catalogue()
    made, popular = applied(home, corpus, other_text()), RECOMMENDERS["popularity"]()
    popular.fit(corpus, FeatureSet())
    stranger = np.array([2 * READERS])
    assert np.array_equal(made.recommend(stranger, 5).item, popular.recommend(stranger, 5).item)
    found = made.recommend(np.arange(2 * READERS), 2 * BOOKS)
    assert not corpus.train.by_user.toarray()[found.user[:, None], found.item][found.item >= 0].any()


def test_saved_and_loaded_it_recommends_the_same_and_follows_sentences(home, tmp_path):
    made = applied(home, other_catalogue(), other_text())
    made.save(tmp_path)
    loaded = load_recommender(tmp_path)
    users, wishes = np.array([0, 20]), other_text().item.x[[3, 9]]
    for ask in (lambda each: each.recommend(users, 4), lambda each: each.recommend_for(users, wishes, 0.5, 4)):
        assert np.array_equal(ask(loaded).item, ask(made).item)
        assert np.array_equal(ask(loaded).score, ask(made).score)


def test_of_a_models_trainings_the_latest_is_taken_and_of_its_seeds_the_best(home, tmp_path):
    for name, at, recall in (("old-1", 1, 0.9), ("new-1", 2, 0.3), ("new-2", 2, 0.5), ("new-3", 2, 0.4)):
        shutil.copytree(home, tmp_path / name)
        result = {"config_hash": name[:3], "origin": {"written_at": at}, "valid": {"recall@20": recall}}
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    made = make_recommender(transfer(tmp_path), RUN, 1)
    assert isinstance(made, Transfer)
    assert made.trained.folder == tmp_path / "new-2"


def test_another_trained_model_is_another_model(home, tmp_path):
    """What decides the vectors is what stands in the folder, not its name."""
    first = RECOMMENDERS["transfer"].outside(transfer(home), RUN)
    other = trained(tmp_path, run=RUN.model_copy(update={"training": TRAINING.model_copy(update={"l2": 0.1})}))
    assert RECOMMENDERS["transfer"].outside(transfer(other), RUN) != first
    shutil.copytree(home, tmp_path / "moved")
    assert RECOMMENDERS["transfer"].outside(transfer(tmp_path / "moved"), RUN) == first


def test_a_path_is_relative_to_the_run_file(tmp_path):
    lines = ['name = "x"', 'lake = "lake"', 'baseline = "m"', "[data]", 'path = "d"', "[[models]]", 'name = "m"']
    lines += ['recommender = "transfer"', 'options = { trained = "../books/_work/models/alpharec" }']
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "run.toml").write_text("\n".join(lines))
    run = load_run(tmp_path / "runs" / "run.toml")
    assert run.models[0].options == {"trained": str(tmp_path / "books" / "_work" / "models" / "alpharec")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"options": {}}, r"two\.toml: models\.m\.options\.trained: missing"),
        ({"options": {"trained": "/nowhere"}}, r"/nowhere: expected the folder of a trained model, such as LAKE/"),
        ({"options": {"trained": 3}}, "trained: Input should be a valid string, found 3"),
        ({"features": None}, r"features\.item: missing; the trained model reads text"),
        ({"features": Features(item=("title", "author"))}, "reads 1 texts of an item, found 2"),
        ({"features": Features(item="title", pca=3)}, "pca has other axes in every catalogue"),
        ({"features": Features(item="title", adaptor=Part(name="gate"))}, "brings its own adaptor"),
        ({"backbone": Part(name="alpharec")}, "transfer takes no backbone"),
    ],
)
def test_what_it_would_misread_is_refused_before_anything_is_paid(home, changes, message):
    with pytest.raises(ConfigError, match=message):
        check_model(transfer(home, **changes), RUN)


def test_another_encoder_is_named(home):
    run = RUN.model_copy(update={"encoder": Encoder(name="bge-small-en-v1.5")})
    with pytest.raises(ConfigError, match=r"was trained on vectors of all-MiniLM-L6-v2, found bge-small.*; give"):
        check_model(transfer(home), run)


def test_two_texts_averaged_are_one(home):
    check_model(transfer(home, features=Features(item=("title", "author"), fuse="mean")), RUN)


def test_texts_of_another_dimension_are_named(home):
    with pytest.raises(DataError, match="was trained on texts of dimension 12, found 9"):
        applied(home, other_catalogue(), other_text(dim=9))


@pytest.mark.parametrize(
    ("model", "found"),
    [
        (Model(name="ids", backbone=Part(name="lightgcn", options={"dim": 8}), features=TEXT), "lightgcn"),
        (ALPHAREC.model_copy(update={"objectives": (Objective(name="rlmrec_con"),)}), r"alpharec \+ rlmrec_con"),
        (Model(name="popular", recommender="popularity"), "popularity"),
    ],
)
def test_a_model_that_is_not_of_text_alone_is_refused(tmp_path, model, found):
    with pytest.raises(ConfigError, match=rf"expected a model of text alone.*, found {found}"):
        check_model(transfer(trained(tmp_path, model)), RUN)


def test_a_folder_of_before_texts_were_written_down_is_refused(home, tmp_path):
    shutil.copytree(home, tmp_path / "old")
    about = json.loads((home / "recommender.json").read_text())
    del about["text"]
    (tmp_path / "old" / "recommender.json").write_text(json.dumps(about))
    with pytest.raises(ConfigError, match="does not say what it was trained with; remove it and run"):
        check_model(transfer(tmp_path / "old"), RUN)


def test_a_models_own_adaptor_goes_with_it(tmp_path):
    whitened = ALPHAREC.model_copy(update={"features": Features(item="title", adaptor=Part(name="whitening"))})
    home = trained(tmp_path, whitened)
    again, model = applied(home, two_communities(), community_text()), load_recommender(home)
    np.testing.assert_allclose(again.item, model.item, atol=1e-5)
