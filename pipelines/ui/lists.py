"""What a run's fitted models offer a user, computed when somebody looks: loaded once, a few kept in memory.

Nobody is asked on the way: a model that would put questions to a language model is named and left alone.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pipelines.ui.shelf import Shelf
from schemas.errors import LoregraphError
from schemas.run import Run
from schemas.sections import Model

if TYPE_CHECKING:
    from features.corpus import Corpus
    from pipelines.lookup import Served

LENGTH = 10
KEPT = 16  # models in memory; the one that was asked for longest ago goes first
Row = dict[str, Any]


@dataclass(frozen=True)
class Offered:
    """A model's list for a user, or why there is none and what to do."""

    model: str
    items: list[Row]  # rank, id, title, score
    seed: int | None = None
    why_not: str | None = None


class Lists:
    """The fitted models of a run, one at a time: PyTorch and a model of the night come with the first question."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._corpus: tuple[str, Corpus] | None = None
        self._served: OrderedDict[tuple[str, str], Served] = OrderedDict()
        self._lock = threading.Lock()

    def top(self, user: str, model: Model, ds: str, k: int = LENGTH) -> Offered:
        """A model's first k items for a user with what he has masked. Never raises for a model that is not there."""
        import numpy as np

        if (why_not := not_from_here(model, self._shelf.run)) is not None:
            return Offered(model.name, [], why_not=why_not)
        try:
            with self._lock:
                served = self._open(model, ds)
                row = served.row("user", user, "list")
                told = served.told(served.recommender.recommend(np.array([row]), k))
        except LoregraphError as error:
            return Offered(model.name, [], why_not=str(error))
        return Offered(model.name, told["items"], told["seed"])

    def _open(self, model: Model, ds: str) -> Served:
        """The model that was fitted on the night's data as they are now. Raises StoreError where none was."""
        from pipelines.lookup import Served
        from pipelines.night import open_night
        from pipelines.steps.models import best_fitted
        from recommenders import load_recommender

        night = open_night(self._shelf.run, ds)
        if self._corpus is None or self._corpus[0] != ds:
            self._corpus, self._served = (ds, night.corpus()), OrderedDict()
        fitted = best_fitted(night, self._corpus[1], model.name)
        key = (ds, fitted.folder)
        if key not in self._served:
            self._served[key] = Served(ds, self._corpus[1], fitted, load_recommender(night.work / fitted.folder))
        self._served.move_to_end(key)
        while len(self._served) > KEPT:
            self._served.popitem(last=False)
        return self._served[key]


@lru_cache(maxsize=16)
def lists_of(shelf: Shelf) -> Lists:
    """The models of a run that are in memory, the same for every request."""
    return Lists(shelf)


def not_from_here(model: Model, run: Run) -> str | None:
    """Why a model is not asked from the page; None where it may be."""
    from recommenders import RECOMMENDERS
    from recommenders.prompted.base import Prompted
    from recommenders.reranking import Reranker
    from recommenders.tuned.base import Tuned

    made = RECOMMENDERS[model.recommender]
    if issubclass(made, Prompted):
        return f"It asks a language model, which costs; not asked from the page. `{_command(model, run)}` asks it."
    if issubclass(made, Tuned):
        return f"It is a language model of its own; not loaded for the page. `{_command(model, run)}` loads it."
    return not_from_here(made.retriever_of(model, run), run) if issubclass(made, Reranker) else None


def _command(model: Model, run: Run) -> str:
    return f"loregraph top USER --model {model.name} --run {run.file}"
