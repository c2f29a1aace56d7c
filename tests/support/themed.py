"""A world in which titles say who wants what: every user keeps to one theme, and a title begins with its theme.

Candidates are one item of a user's theme, his test item, among items of the others; only the words tell which.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from evaluation.protocol import testing as make_test_exam
from features.corpus import Corpus, make_corpus
from features.table import FeatureSet
from recommenders import make_recommender
from recommenders.prompted.asker import Asker
from recommenders.prompted.base import Prompted
from schemas.run import Run
from schemas.sections import Data, Llm, Model

THEMES = ("Ocean", "Desert", "Forest", "Cities")
WORDS = ("amber", "birch", "cedar", "dusk", "ember", "frost", "grove", "haven", "ivory", "jade", "knoll", "lumen")
USERS, LENGTH = 40, 7  # users, and interactions of each


def themed() -> Corpus:
    """Four themes of twelve items; a user's last item is test, the one before valid."""
    rng, rows = np.random.default_rng(0), []
    for user in range(USERS):
        for place, item in enumerate(rng.permutation(len(WORDS))[:LENGTH]):
            part = {LENGTH - 1: "test", LENGTH - 2: "valid"}.get(place, "train")
            rows.append((f"u{user:03}", f"i{user % 4 * len(WORDS) + item:03}", part))
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64),
        order=pl.int_range(pl.len()),
        weight=pl.lit(1.0, pl.Float32),
        split_id=pl.lit("themed"),
    )
    titles = [f"{theme} {theme.lower()}{word}" for theme in THEMES for word in WORDS]
    items = pl.DataFrame({"id": [f"i{n:03}" for n in range(len(titles))], "title": titles})
    return make_corpus(pl.DataFrame({"id": [f"u{user:03}" for user in range(USERS)]}), items, splits)


def prompted(recommender: str, llm: Llm | None = None, seed: int = 1, **options: Any) -> Prompted:
    """An unfitted recommender of the run file that these options make."""
    run = Run(name="themed", lake="lake", data=Data(path="data"), llm=llm or Llm())
    model = Model(name="asked", recommender=recommender, options={"retriever": "popularity", **options})
    made = make_recommender(model, run, seed)
    assert isinstance(made, Prompted)
    return made


def fitted(
    corpus: Corpus, recommender: str, asker: Asker | None = None, features: FeatureSet | None = None, **options: Any
) -> Prompted:
    """The same, fitted, at an engine and a ledger."""
    made = prompted(recommender, asker.llm if asker else None, **options)
    made.asker = asker or made.asker
    made.fit(corpus, features or FeatureSet())
    return made


def nameless(corpus: Corpus) -> Corpus:
    """The same with titles that tell nothing of the theme."""
    return replace(corpus, items=corpus.items.with_columns(title=pl.format("Volume {}", pl.int_range(pl.len()))))


def profiles(corpus: Corpus) -> FeatureSet:
    """Texts that tell the theme of every user and item."""
    users = tuple(f"Reads about {THEMES[user % 4]}." for user in range(corpus.num_users))
    items = tuple(f"A book about {THEMES[item // len(WORDS)]}." for item in range(corpus.num_items))
    return FeatureSet(profiles={"user": users, "item": items})


def lists(corpus: Corpus, others: int = 19) -> csr_matrix:
    """A mask that leaves every user his test item and some of other themes: [U, I]."""
    rng, size = np.random.default_rng(0), len(WORDS)
    mask = np.ones((corpus.num_users, corpus.num_items), dtype=bool)
    for user, truth in enumerate(truths(corpus)):
        strange = np.flatnonzero(np.arange(corpus.num_items) // size != truth // size)
        mask[user, [truth, *rng.choice(strange, others, replace=False)]] = False
    return csr_matrix(mask)


def truths(corpus: Corpus) -> np.ndarray:
    """Every user's test item: [U]."""
    return np.asarray(make_test_exam(corpus).truth.toarray().argmax(axis=1))


def found_first(made: Prompted, corpus: Corpus, others: int = 19) -> float:
    """Share of users whose test item comes first."""
    found = made.recommend(np.arange(corpus.num_users), 5, lists(corpus, others))
    return float((found.item[:, 0] == truths(corpus)).mean())
