"""LLMRank: a language model puts a retriever's candidates in order (Hou et al., ECIR 2024, arXiv 2305.08845)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from recommenders.prompted.asker import Asked
from recommenders.prompted.options import LLMRankOptions, PromptedOptions
from recommenders.prompted.probed import Probed
from recommenders.prompted.reading import Ranking, read_ranking
from recommenders.prompted.wording import Item, Known, named, rank_all, with_candidates
from recommenders.reranking import Float32
from schemas.records import JSON


class LLMRank(Probed[LLMRankOptions, Ranking]):
    """Asks for all candidates in order, as often as `bootstrap` says, each time in another order of the prompt.

    A candidate at place p of m gets m - p points for every answer, one that is not named none (Borda).
    """

    name: ClassVar[str] = "llmrank"
    source: ClassVar[str] = "LLMRank (Hou et al. 2024, arXiv 2305.08845)"
    space: ClassVar[Mapping[str, Sequence[Any]]] = MappingProxyType(
        {"history": (5, 10, 20), "strategy": ("sequential", "recency", "in_context")}
    )
    options_type: ClassVar[type[PromptedOptions]] = LLMRankOptions

    @property
    def bootstrap(self) -> int:
        return self.options.bootstrap

    def question(self, user: int, known: Known, shown: Sequence[Item]) -> Asked[Ranking]:
        known = self._with_newest(known)
        system = rank_all(self.options.noun, self.options.strategy if known.newest else "sequential")
        return ask_ranking(self, user, system, known, shown)

    def places(self, said: Ranking) -> tuple[int, ...]:
        return said.places

    def points(self, said: Ranking, count: int) -> Float32:
        self.tally.grounding.update(said.grounding)
        self.tally.flags["repeated"] += said.repeated
        return borda(said, count)

    def _with_newest(self, known: Known) -> Known:
        """The newest item apart, as the strategy wants it: beside the history, or out of it."""
        strategy = self.options.strategy
        if strategy == "sequential" or len(known.history) < 2:
            return known
        history = known.history[:-1] if strategy == "in_context" else known.history
        return replace(known, history=history, newest=known.history[-1])


def ask_ranking(asks: Probed[Any, Any], user: int, system: str, known: Known, shown: Sequence[Item]) -> Asked[Ranking]:
    """A question that a list of the candidates' options answers."""
    id, schema, titles = asks.shown.user_ids[user], ranking_schema(len(shown)), [each.title for each in shown]
    prompt = asks.prompt(id, system, with_candidates(known, shown), schema, known.source_ids)
    return Asked(prompt, partial(read_ranking, titles=titles), 3 * len(shown) + 6)


def borda(ranking: Ranking, count: int) -> Float32:
    """Points of `count` candidates in the order shown: m - p at place p, 0 where it is not named."""
    points = np.zeros(count, dtype=np.float32)
    points[list(ranking.places)] = count - np.arange(len(ranking.places), dtype=np.float32)
    return points


@lru_cache(maxsize=256)
def ranking_schema(count: int) -> JSON:
    """The answer's schema; one object for equal counts, as keys like it."""
    options = {"type": "array", "items": {"type": "string", "enum": named(count)}, "minItems": count, "maxItems": count}
    return {"type": "object", "properties": {"ranking": options}, "required": ["ranking"]}
