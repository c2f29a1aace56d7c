"""One question per candidate: will the user like it, yes or no (TALLRec, arXiv 2305.00447, untrained)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel

from features.recipes.base import answer_schema
from features.recipes.reading import parse
from language_models.capabilities import require
from language_models.first_token import first_token_schema, read_first_token
from recommenders.histories import Int64
from recommenders.prompted.asker import Asked
from recommenders.prompted.base import Prompted, no_recorded
from recommenders.prompted.options import PointwiseOptions, PromptedOptions
from recommenders.prompted.wording import YES_NO, judge_one, with_candidate
from recommenders.reranking import Float32
from schemas.errors import AnswerError
from schemas.sections import Llm

SURE = 20.0  # log-odds of a word without a probability: more than those of any listed pair


class Verdict(BaseModel):
    """The answer in words, where no log-probabilities are asked for."""

    answer: Literal["Yes", "No"]


class LLMPointwise(Prompted[PointwiseOptions, float]):
    """Scores a candidate by log P(yes) - log P(no) of the answer's first token, over all spellings of the two words.

    A word that is not among the 20 likeliest gets the log-probability of the least likely one listed. Where an engine
    gives none, the word that was written decides alone, and such answers are counted (`text_alone`).
    """

    name: ClassVar[str] = "llm_pointwise"
    source: ClassVar[str] = "TALLRec's scoring (Bao et al. 2023, arXiv 2305.00447), without its training"
    space: ClassVar[Mapping[str, Sequence[Any]]] = MappingProxyType({"history": (5, 10, 20)})
    options_type: ClassVar[type[PromptedOptions]] = PointwiseOptions

    @classmethod
    def check_engine(cls, options: PointwiseOptions, llm: Llm, where: str) -> None:
        no_recorded(cls.name, llm, where)
        if options.logprobs == "required":
            require(cls.name, ("chat", "logprobs"), llm.engine, where, 'options.logprobs = "auto"')

    def questions_per_user(self, candidates: int) -> int:
        return candidates

    def questions(self, user: int, items: Int64) -> list[Asked[float]]:
        known, in_words = self.known(user, items), self.options.logprobs == "never"
        system = judge_one(self.options.noun, in_words)
        schema = answer_schema(Verdict) if in_words else first_token_schema(YES_NO)
        read = by_word if in_words else by_odds if self.options.logprobs == "auto" else partial(by_odds, alone=False)
        id, texts = self.shown.user_ids[user], [with_candidate(known, self.item(row)) for row in items.tolist()]
        prompts = [self.prompt(id, system, text, schema, known.source_ids) for text in texts]
        return [Asked(prompt, read, 8 if in_words else 1) for prompt in prompts]

    def score(self, user: int, items: Int64, said: Sequence[float | None]) -> Float32:
        """Log-odds [m]; one without a readable answer comes after all others."""
        del user, items
        read = [each for each in said if each is not None]
        self.tally.flags["text_alone"] += sum(abs(each) == SURE for each in read)
        return np.array([min(read) - 1 if each is None else each for each in said], dtype=np.float32)


def by_odds(text: str, alone: bool = True) -> float:
    """Log-odds of yes; `alone`: whether a word without log-probabilities will do. Raises AnswerError `no_verdict`."""
    first = read_first_token(text)
    listed, chosen = first.of(YES_NO), first.chosen(YES_NO)
    if listed:
        bound = min(first.logprobs.values())
        return listed.get("Yes", bound) - listed.get("No", bound)
    if chosen is None or not alone:
        wanted = "Yes or No" if alone else "log-probabilities of Yes and No"
        raise AnswerError("no_verdict", f"expected {wanted}, found {first.answer[:40]!r}")
    return SURE if chosen == "Yes" else -SURE


def by_word(text: str) -> float:
    """The same of a JSON answer."""
    return SURE if parse(text, Verdict).answer == "Yes" else -SURE
