"""A conversation in, titles of the catalogue out (He et al., CIKM 2023, arXiv 2308.10053): nothing is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from evaluation.ranking import chunks, join
from evaluation.recommendations import Recommendations
from features.grounding import Grounded
from features.instructions.messages import quoted
from features.instructions.titles import unique_titles
from features.recipes.base import section
from features.recipes.reading import clean
from recommenders.histories import Int64
from recommenders.prompted.asker import Asked
from recommenders.prompted.base import Prompted
from recommenders.prompted.catalogue import Catalogue
from recommenders.prompted.dialogues import Turn
from recommenders.prompted.options import ConversationOptions, PromptedOptions
from recommenders.prompted.reading import entries
from recommenders.prompted.wording import Known, recommend_titles
from recommenders.reranking import Float32
from schemas.records import JSON, sha256

USERS_AT_ONCE = 256  # whose whole catalogue is in memory
TURN_CHARACTERS = 2000
Fate = Literal["kept", "unknown", "mentioned", "repeated"]
Titles = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A title of an answer and what became of it: no title of the catalogue, named before, or named twice."""

    said: str
    grounded: Grounded
    row: int | None
    fate: Fate


class ZeroShotCRS(Prompted[ConversationOptions, Titles]):
    """Answers a conversation with titles out of the model's own knowledge, each looked up in the whole catalogue.

    Titles that are none of the catalogue's and those that the conversation has named are left out. As a recommender of
    users it says a user's history in words; what is not named follows in the retriever's order.
    """

    name: ClassVar[str] = "zero_shot_crs"
    source: ClassVar[str] = "Zero-shot conversational recommenders (He et al. 2023, arXiv 2308.10053)"
    space: ClassVar[Mapping[str, Sequence[Any]]] = MappingProxyType({"history": (5, 10, 20)})
    options_type: ClassVar[type[PromptedOptions]] = ConversationOptions

    def converse(self, dialogue: Sequence[Turn], k: int) -> list[Suggestion]:
        """Titles in reply to a conversation, in the answer's order, those left out among them; at most k are kept."""
        text = " ".join(turn.text for turn in dialogue)
        with self.telling():
            [[said]] = self.ask([[self._question(dialogue, f"conversation-{sha256(text)[:12]}")]])
            found = self.looked_up(said or (), self.catalogue.mentioned(text))
        kept = [place for place, each in enumerate(found) if each.fate == "kept"]
        return found[: kept[k]] if len(kept) > k else found

    def looked_up(self, titles: Sequence[str], mentioned: Sequence[int]) -> list[Suggestion]:
        """Titles in the catalogue; those of `mentioned` rows are left out."""
        taken, found = set[int](), list[Suggestion]()
        for title in titles:
            grounded = self.catalogue.ground(_as_shown(title))
            row = None if grounded.id is None else int(grounded.id)
            fate: Fate = "kept"
            if row is None:
                fate = "unknown"
            elif row in mentioned or row in taken:
                fate = "mentioned" if row in mentioned else "repeated"
            else:
                taken.add(row)
            self.tally.grounding[grounded.status] += 1
            if fate != "kept":
                self.tally.flags[fate] += 1
            found.append(Suggestion(title, grounded, row, fate))
        return found

    @cached_property
    def catalogue(self) -> Catalogue:
        return Catalogue(self.shown.titles)

    def questions(self, user: int, items: Int64) -> list[Asked[Titles]]:
        known = self.known(user, items)
        return [self._question(in_words(known, self.options.noun), self.shown.user_ids[user], known.source_ids)]

    def score(self, user: int, items: Int64, said: Sequence[Titles | None]) -> Float32:
        """How early a candidate [m] is named, 0 for one that is not."""
        place = {row: len(said[0] or ()) - n for n, row in enumerate(self._rows(user, said[0]))}
        return np.array([place.get(item, 0) for item in items.tolist()], dtype=np.float32)

    def recommend(self, users: Int64, k: int, seen: csr_matrix | None = None) -> Recommendations:
        """What is named first, as far as the mask allows, then the retriever's order of the whole catalogue."""
        nothing, asked = np.zeros(0, dtype=np.int64), np.flatnonzero(self.serving.length[users] > 0)
        named = [nothing] * len(users)
        with self.telling():
            said = self.ask([self.questions(user, nothing) for user in users[asked].tolist()])
            for at, [titles] in zip(asked.tolist(), said, strict=True):
                named[at] = np.array(self._rows(int(users[at]), titles), dtype=np.int64)
        parts = [self._merged(users[some], named[some], k, seen) for some in chunks(len(users), USERS_AT_ONCE)]
        return join(parts, k)

    def _rows(self, user: int, titles: Titles | None) -> list[int]:
        """Rows of the titles of an answer to a user that are left."""
        found = self.looked_up(titles or (), self.own(user).tolist())
        return [each.row for each in found if each.fate == "kept" and each.row is not None]

    def _merged(self, users: Int64, named: Sequence[Int64], k: int, seen: csr_matrix | None) -> Recommendations:
        assert self.retriever is not None, "fitted or loaded"
        found = self.retriever.recommend(users, max(k, len(self.shown.item_ids)), seen).item
        item = np.full((len(users), k), -1, dtype=np.int64)
        for row, (allowed, titles) in enumerate(zip(found, named, strict=True)):
            first = titles[np.isin(titles, allowed)]
            item[row] = np.concatenate([first, allowed[~np.isin(allowed, first)]])[:k]
        score = np.where(item >= 0, -np.arange(k, dtype=np.float32), -np.inf)
        return Recommendations(users, item, score.astype(np.float32))

    def _question(self, dialogue: Sequence[Turn], id: str, source_ids: tuple[str, ...] = ()) -> Asked[Titles]:
        turns = [{"speaker": turn.speaker, "text": clean(turn.text, TURN_CHARACTERS)} for turn in dialogue]
        count = self.options.titles
        system, text = recommend_titles(self.options.noun, count), section("CONVERSATION", turns)
        prompt = self.prompt(id, system, text, titles_schema(count), source_ids)
        return Asked(prompt, partial(read_titles, most=count), 10 * count)


def in_words(known: Known, noun: str) -> list[Turn]:
    """What is known of a user as what he would say."""
    own = [f"About me: {known.profile}"] if known.profile else []
    titles = ", ".join(quoted(item.title) for item in known.history)
    own += [f"The last {noun}s that I chose and liked, oldest first: {titles}."] if titles else []
    return [
        Turn("recommender", f"Hello! What {noun}s do you like?"),
        Turn("seeker", " ".join([*own, f"Which {noun}s should I choose next?"])),
    ]


def _as_shown(title: str) -> str:
    """A title as the catalogue's are: one line, cut to a length."""
    return unique_titles(pl.DataFrame({"id": [""], "title": [title]}))[0]


def read_titles(text: str, most: int) -> Titles:
    """The titles of an answer. Raises AnswerError where there is none."""
    return tuple(entries(text, "titles")[:most])


@lru_cache(maxsize=64)
def titles_schema(count: int) -> JSON:
    """The answer's schema; one object for equal counts, as keys like it."""
    titles = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": count}
    return {"type": "object", "properties": {"titles": titles}, "required": ["titles"]}
