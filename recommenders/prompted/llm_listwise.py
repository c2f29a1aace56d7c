"""All candidates in one question, scored by the letters that could begin the answer (LlamaRec, arXiv 2311.02089)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

import numpy as np

from language_models.first_token import first_token_schema, read_first_token
from recommenders.prompted.asker import Asked
from recommenders.prompted.base import no_recorded
from recommenders.prompted.llmrank import ask_ranking, borda
from recommenders.prompted.options import ListwiseOptions, PromptedOptions
from recommenders.prompted.probed import Probed
from recommenders.prompted.reading import Ranking
from recommenders.prompted.wording import LETTERS, Item, Known, named, pick_one, rank_all, with_candidates
from recommenders.reranking import Float32
from schemas.errors import AnswerError, ConfigError
from schemas.sections import Llm

BELOW = 1e-3  # how far an absent letter stands below the least likely token that is listed


@dataclass(frozen=True, slots=True)
class Letters:
    """What the first token of an answer says of the candidates in the order shown."""

    score: Float32  # [m] log-probabilities, or 1 for the letter that was written
    text_alone: bool = False  # no log-probabilities came


Said: TypeAlias = Letters | Ranking


class LLMListwise(Probed[ListwiseOptions, Said]):
    """One question per user: a letter for every candidate, and how likely each letter is as the answer's first token.

    A letter that is not among the 20 likeliest gets the log-probability of the least likely one listed, its upper
    bound. Where an engine gives no log-probabilities, the letter that was written comes first, and such answers are
    counted (`text_alone`). `answer = "order"` asks for the letters in order instead. Of several orders the places are
    added up, not the log-probabilities: a letter that wins for its place alone would outweigh what the others say.
    """

    name: ClassVar[str] = "llm_listwise"
    source: ClassVar[str] = "LlamaRec's ranking (Yue et al. 2023, arXiv 2311.02089), without its training"
    space: ClassVar[Mapping[str, Sequence[Any]]] = MappingProxyType({"history": (5, 10, 20)})
    options_type: ClassVar[type[PromptedOptions]] = ListwiseOptions

    @classmethod
    def check_engine(cls, options: ListwiseOptions, llm: Llm, where: str) -> None:
        if options.answer == "logprobs":
            no_recorded(cls.name, llm, where)
            if options.candidates > len(LETTERS):
                raise ConfigError(
                    f"{where}.options.candidates: expected at most {len(LETTERS)}, a letter for each, found "
                    f'{options.candidates}; set answer = "order", which goes on with numbers'
                )

    @property
    def bootstrap(self) -> int:
        return self.options.bootstrap

    def question(self, user: int, known: Known, shown: Sequence[Item]) -> Asked[Said]:
        if self.options.answer == "order":
            ranking = ask_ranking(self, user, rank_all(self.options.noun), known, shown)
            return Asked(ranking.prompt, ranking.read, ranking.output_tokens)
        schema, system = first_token_schema(tuple(named(len(shown)))), pick_one(self.options.noun)
        text, id = with_candidates(known, shown), self.shown.user_ids[user]
        return Asked(self.prompt(id, system, text, schema, known.source_ids), partial(by_letter, count=len(shown)), 1)

    def places(self, said: Said) -> tuple[int, ...]:
        if isinstance(said, Ranking):
            return said.places
        order = tuple(np.argsort(-said.score, kind="stable").tolist())
        return order[:1] if said.text_alone else order

    def points(self, said: Said, count: int) -> Float32:
        if isinstance(said, Ranking):
            self.tally.grounding.update(said.grounding)
            self.tally.flags["repeated"] += said.repeated
            return borda(said, count)
        self.tally.flags["text_alone"] += said.text_alone
        from scipy.stats import rankdata  # takes a second

        return np.asarray(rankdata(said.score), dtype=np.float32)


def by_letter(text: str, count: int) -> Letters:
    """Log-probabilities of the letters of the candidates, or 1 for the one that was written and 0 for the others.

    Raises AnswerError `no_candidate` where the answer is no letter and none is listed.
    """
    first, letters = read_first_token(text), named(count)
    listed, chosen = first.of(letters), first.chosen(letters)
    if listed:
        bound = min(first.logprobs.values()) - BELOW
        return Letters(np.array([listed.get(letter, bound) for letter in letters], dtype=np.float32))
    if chosen is None:
        raise AnswerError("no_candidate", f"expected one of {', '.join(letters)}, found {first.answer[:40]!r}")
    return Letters(np.array([letter == chosen for letter in letters], dtype=np.float32), text_alone=True)
