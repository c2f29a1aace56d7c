"""Every recommender, every backbone and every objective: on two communities the right answer is known."""

import importlib
import inspect
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recommenders
from evaluation.protocol import testing as make_test_exam
from evaluation.ranking import rank
from features.corpus import Corpus
from graph_models.backbones import BACKBONES
from graph_models.objectives import OBJECTIVES
from recommenders import RECOMMENDERS, load_recommender, make_recommender
from recommenders.base import Recommender
from recommenders.tuned.base import Tuned
from schemas.run import Run
from schemas.sections import Data, Evaluation, Features, Model, Objective, Part, SequenceTraining, Training
from tests.support.communities import ITEMS, USERS, community_text, two_communities
from tests.support.planted import save_reader

TRAINING = Training(
    loss="infonce", negatives=20, batch_size=64, learning_rate=0.02, max_epochs=20, evaluate_every=5, patience=2
)
JUDGED = Evaluation(selection="ndcg@5")  # any ranking of 21 items has nearly the whole recall@20
SEQUENCES = SequenceTraining(learning_rate=0.01, batch_size=16, max_epochs=30, evaluate_every=5, patience=2)
RUN = Run(
    name="two",
    lake="lake",
    data=Data(path="data"),
    training=TRAINING,
    sequence_training=SEQUENCES,
    evaluation=JUDGED,
    device="cpu",
)
READER = Path(tempfile.gettempdir()) / f"loregraph-reader-{os.getpid()}"  # of tuned ones; made by the fixture below
HF = {"engine": "hf", "model": str(READER)}
BRIEF: dict[str, Any] = {"max_epochs": 1, "evaluate_every": 1, "valid_users": 4}
TEXT = Features(item="title", edges=("llmrec.edges", "once.generate"), semantic_ids="made")
SMALL: dict[str, dict[str, Any]] = {  # where what was published for graphs a thousand times as large learns the gaps
    "autocf": {"uniformity": 0.1, "score": "cosine"},
    "dccf": {"score": "cosine"},
    "hstu": {"dim": 16, "dropout": 0.1},
    "lightgcl": {"rank": 2, "weight": 0.1, "score": "cosine"},
    "mf": {"score": "cosine"},
    "sasrec": {"dim": 16, "dropout": 0.1},
    "simgcl": {"weight": 0.1},
    "tiger": {"dim": 16, "inner": 32, "heads": 2, "head_dim": 8, "layers": 1},
}


def graph(backbone: str, objective: str | None) -> Model:
    extra = (Objective(name=objective, weight=0.1),) if objective else ()
    name = f"{backbone}+{objective}" if objective else backbone
    part = Part(name=backbone, options={"dim": 16, **SMALL.get(backbone, {})})
    return Model(name=name, backbone=part, objectives=extra, features=TEXT)


GRAPHS = [  # every backbone, and every objective on two of them
    graph(backbone, objective)
    for backbone in BACKBONES
    for objective in (None, *(OBJECTIVES if backbone in ("lightgcn", "alpharec") else ()))
]
TUNED = [name for name, each in RECOMMENDERS.items() if issubclass(each, Tuned)]
OTHERS = [
    Model(
        name=name,
        recommender=name,
        options=SMALL.get(name, {"samples": 8} if name in TUNED else {}),
        features=TEXT if name != "popularity" else None,
        llm=HF if name in TUNED else {},
        training=BRIEF if name in TUNED else {},
    )
    for name in RECOMMENDERS
    if name not in ("graph", "transfer")  # one needs a backbone, one a trained model (recommenders/test_transfer.py)
]
# what tuned ones find after more than a moment is in recommenders/tuned/test_planted_*.py
LEARNING = [*GRAPHS, *(model for model in OTHERS if model.name not in ("popularity", *TUNED))]
ids = [model.name for model in [*GRAPHS, *OTHERS]]


@pytest.fixture(scope="module")
def corpus() -> Iterator[Corpus]:
    torch.set_num_threads(1)
    made = two_communities()
    save_reader(READER, made, hidden=32, layers=1)
    yield made
    shutil.rmtree(READER)


class Fitted(dict[str, Recommender]):
    """Every model by name, fitted when it is first asked for; a test must not change one."""

    def __init__(self, corpus: Corpus) -> None:
        super().__init__()
        self.corpus = corpus

    def __missing__(self, name: str) -> Recommender:
        model = next(model for model in [*GRAPHS, *OTHERS] if model.name == name)
        self[name] = make_recommender(model, RUN, seed=1)
        self[name].fit(self.corpus, community_text())
        return self[name]


@pytest.fixture(scope="module")
def fitted(corpus) -> Fitted:
    return Fitted(corpus)


@pytest.mark.parametrize("model", LEARNING, ids=[model.name for model in LEARNING])
def test_finds_the_held_out_item(model, corpus, fitted):
    exam = make_test_exam(corpus)
    found = rank(fitted[model.name], exam.users, 1, exam.seen)
    right = exam.truth.toarray()[exam.users, found.item[:, 0]]
    assert len(right) == 2 * USERS
    assert right.all()


@pytest.mark.parametrize("name", ids)
def test_never_recommends_what_was_masked_and_scores_descend(name, corpus, fitted):
    users = np.arange(corpus.num_users)
    found = fitted[name].recommend(users, 2 * ITEMS, corpus.train.by_user)
    seen = corpus.train.by_user.toarray()
    for user, row in zip(found.user, found.item, strict=True):
        listed = row[row >= 0]
        assert not seen[user, listed].any()
        assert len(set(listed)) == len(listed) == corpus.num_items - seen[user].sum() - (user == users[-1])
    assert (found.score[:, :-1] >= found.score[:, 1:]).all()
    assert found.item.dtype == np.int64
    assert found.score.dtype == np.float32


@pytest.mark.parametrize("name", ids)
def test_without_a_mask_everything_known_is_masked(name, corpus, fitted):
    found = fitted[name].recommend(np.arange(3), ITEMS + 3)
    assert (found.item[:, :-2] >= ITEMS).all()  # a whole community is known; eleven items are left
    assert (found.item[:, -2:] == -1).all()


@pytest.mark.parametrize("name", ids)
def test_saved_and_loaded_it_recommends_the_same(name, corpus, fitted, tmp_path):
    fitted[name].save(tmp_path / "model")
    loaded = load_recommender(tmp_path / "model")
    loaded.save(tmp_path / "again")
    twice = load_recommender(tmp_path / "again")
    users = np.array([7, 0, 40])
    expected = fitted[name].recommend(users, 5)
    for each in (loaded, twice):
        found = each.recommend(users, 5)
        assert type(each) is type(fitted[name])
        assert np.array_equal(found.item, expected.item)
        assert np.array_equal(found.score, expected.score)
    assert {file.suffix for file in (tmp_path / "model").rglob("*") if file.is_file()} == {".json", ".safetensors"}


@pytest.mark.parametrize("model", [*GRAPHS, *OTHERS], ids=ids)
def test_one_seed_one_answer(model, corpus, fitted):
    again = make_recommender(model, RUN, seed=1)
    again.fit(corpus, community_text())
    users = np.arange(corpus.num_users)
    assert np.array_equal(again.recommend(users, 5).item, fitted[model.name].recommend(users, 5).item)


@pytest.mark.parametrize("name", ids)
def test_a_user_of_whom_nothing_is_known_gets_popular_items(name, corpus, fitted):
    stranger = np.array([corpus.num_users - 1])
    found = fitted[name].recommend(stranger, 4)
    popular = fitted["popularity"].recommend(stranger, 4)
    assert np.array_equal(found.item, popular.item)
    assert np.isfinite(found.score).all()


@pytest.mark.parametrize("name", ids)
def test_the_held_out_parts_do_not_change_what_is_learned(name, corpus, fitted):
    """With test rows gone, training and choice of epoch are the same to the bit."""
    without = Corpus(
        corpus.users,
        corpus.items,
        corpus.edges[:, corpus.part != 2],
        corpus.time[corpus.part != 2],
        corpus.weight[corpus.part != 2],
        corpus.part[corpus.part != 2],
        corpus.split_id,
    )
    model = next(model for model in [*GRAPHS, *OTHERS] if model.name == name)
    other = make_recommender(model, RUN, seed=1)
    other.fit(without, community_text())
    users, seen = np.arange(corpus.num_users), corpus.train.by_user
    ranked, expected = (each.recommend(users, corpus.num_items, seen) for each in (other, fitted[name]))
    assert np.array_equal(ranked.item, expected.item)
    assert np.array_equal(ranked.score, expected.score)


def test_the_registry_holds_every_recommender_of_the_folders():
    """What has a name of its own is a recommender; click-through models have a registry of their own."""
    folder = Path(recommenders.__file__).parent
    files = [*folder.glob("*.py"), *folder.glob("prompted/*.py"), *folder.glob("tuned/*.py")]
    found = set()
    for file in files:
        parts = file.relative_to(folder.parent).with_suffix("").parts
        module = importlib.import_module(".".join(parts).removesuffix(".__init__"))
        classes = [each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, Recommender)]
        found |= {each for each in classes if "name" in vars(each)}
    assert found == set(RECOMMENDERS.values())
    assert all(name == each.name for name, each in RECOMMENDERS.items())


@pytest.mark.parametrize("each", RECOMMENDERS.values(), ids=list(RECOMMENDERS))
def test_what_the_command_line_lists(each):
    assert each.source
    assert each.__doc__
