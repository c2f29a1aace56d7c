"""What choosing recipes offer to users: the candidates last published as long as the shown history is the same.

A base model that is fitted anew every night ranks a little differently every night. Without this rule everybody would
be asked again. It makes these recipes depend on the nights before: a backfill may offer other candidates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import polars as pl

from features.corpus import Corpus, attributes
from features.generation import try_ask
from features.recipes.choosing import Choosing
from pipelines.increments import last_published
from pipelines.night import Night
from recommenders.candidates import candidates
from schemas.records import Event, Prompt, Subject


class _Offer(NamedTuple):
    source_ids: tuple[str, ...]  # the history that was shown
    candidates: tuple[str, ...]


@dataclass
class Offers:
    """Candidates by recipe; a base model is fitted once, last night's table read once."""

    night: Night
    corpus: Corpus
    _ranked: dict[tuple[str, int], list[list[int]]] = field(default_factory=dict)
    _last: dict[str, dict[str, _Offer]] = field(default_factory=dict)
    _items: dict[str, Event] = field(default_factory=dict)

    def fresh(self, recipe: Choosing, users: Iterable[Subject]) -> Iterator[Subject]:
        """All users, in index order, with what the base model ranks first for them tonight."""
        wanted = recipe.base, recipe.candidates
        if wanted not in self._ranked:
            self._ranked[wanted] = list(candidates(self.corpus, *wanted))
        events = list(self._events().values())
        for user, items in zip(users, self._ranked[wanted], strict=True):
            yield replace(user, candidates=tuple(events[item] for item in items))

    def kept(self, recipe: Choosing, users: Iterable[Subject]) -> Iterator[Subject]:
        """The users, with the candidates of last night's prompt where it showed the same history.

        One that the user has chosen since stays among them, so that the prompt is the same one; it is taken out of the
        history, where it is not shown.
        """
        last, items = self._last_offers(recipe), self._events()
        for user in users:
            offer = last.get(user.id)
            if offer and all(id in items for id in offer.candidates) and _shows(recipe, user, offer.source_ids):
                history = tuple(event for event in user.history if event.id not in offer.candidates)
                user = replace(user, history=history, candidates=tuple(items[id] for id in offer.candidates))
            yield user

    def _last_offers(self, recipe: Choosing) -> dict[str, _Offer]:
        """Last night's offers by user: of this version, drawn in this way."""
        if recipe.name not in self._last:
            rows = last_published(self.night, "prompts")
            rows = rows if "candidates_by" in rows.columns else rows.clear().with_columns(_NONE)
            same = {"recipe": recipe.name, "version": recipe.version, "candidates_by": recipe.drawn_by}
            mine = rows.filter(pl.col(name) == value for name, value in same.items())
            offers = mine.select("id", "source_ids", "candidate_ids").iter_rows()
            self._last[recipe.name] = {id: _Offer(tuple(shown), tuple(offered)) for id, shown, offered in offers}
        return self._last[recipe.name]

    def _events(self) -> dict[str, Event]:
        """The items by id, in index order."""
        if not self._items:
            ids = self.corpus.ids("item").to_list()
            texts = attributes(self.corpus.items)
            self._items = {id: Event(id, text) for id, text in zip(ids, texts, strict=True)}
        return self._items


_NONE = (pl.lit(None, pl.List(pl.String)).alias("candidate_ids"), pl.lit(None, pl.String).alias("candidates_by"))


def _shows(recipe: Choosing, user: Subject, source_ids: tuple[str, ...]) -> bool:
    """Whether the user's prompt shows these events; one that is cut to its budget shows fewer than are chosen."""
    chosen = tuple(event.id for event in recipe.chosen(user))
    if chosen == source_ids or not set(source_ids) <= set(chosen):
        return chosen == source_ids
    prompt = try_ask(recipe, user)
    return isinstance(prompt, Prompt) and prompt.source_ids == source_ids
