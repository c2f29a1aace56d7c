"""What a chosen model publishes block by block: the lists of every user and the neighbours of every item."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import NDArray

from evaluation.ranking import chunks
from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from pipelines.progress import Advance
from recommenders import RECOMMENDERS
from recommenders.base import Recommender
from recommenders.index import check_usearch
from recommenders.neighbours import neighbours
from schemas.errors import ConfigError
from schemas.run import Run

ROWS_AT_ONCE = 2**18  # rows of a table that are in memory together


def list_blocks(
    recommender: Recommender, corpus: Corpus, name: str, k: int, advance: Advance
) -> Iterator[pl.DataFrame]:
    """Give the first k items that every user does not have yet as rows of `recommendations`, users in index order."""
    users, items = corpus.ids("user"), corpus.ids("item")
    for rows in _blocks(corpus.num_users, k):
        yield _frame(recommender.recommend(rows, k), name, ("user_id", users), ("item_id", items))
        advance(len(rows), name)


def neighbour_blocks(
    recommender: Recommender, corpus: Corpus, name: str, k: int, advance: Advance
) -> Iterator[pl.DataFrame]:
    """Give the k nearest others of every item as rows of `neighbours`, items in index order."""
    items = corpus.ids("item")
    for rows in _blocks(corpus.num_items, k):
        yield _frame(neighbours(recommender, rows, k), name, ("item_id", items), ("neighbour_id", items))
        advance(len(rows), name)


def check_recommend(run: Run) -> None:
    """Refuse neighbours and an index that a model which may be chosen could not give. Raises ConfigError."""
    wanted, where = run.recommend, f"{run.file}: recommend"
    for model in run.models:
        if model.name != wanted.model and (wanted.model is not None or model.control_of is not None):
            continue  # it cannot be chosen
        compares = RECOMMENDERS[model.recommender].compares
        advice = "remove the key, or name another model with recommend.model"
        if wanted.neighbours and compares is None:
            raise ConfigError(
                f"{where}.neighbours: {model.name}: {model.recommender} has neither item vectors nor a kernel; {advice}"
            )
        if wanted.index != "none" and compares != "vectors":
            raise ConfigError(f"{where}.index: {model.name}: {model.recommender} has no item vectors; {advice}")
    if wanted.index == "usearch":
        check_usearch(f"{where}.index")


def _blocks(total: int, k: int) -> Iterator[NDArray[np.int64]]:
    for block in chunks(total, max(1, ROWS_AT_ONCE // k)):
        yield np.arange(block.start, min(block.stop, total), dtype=np.int64)


def _frame(found: Recommendations, name: str, of: tuple[str, pl.Series], listed: tuple[str, pl.Series]) -> pl.DataFrame:
    rows, ranks = np.nonzero(found.item >= 0)
    return pl.DataFrame(
        {
            "model": pl.Series([name] * len(rows), dtype=pl.String),
            of[0]: of[1].gather(found.user[rows]),
            "rank": ranks + 1,
            listed[0]: listed[1].gather(found.item[rows, ranks]),
            "score": found.score[rows, ranks],
        }
    )
