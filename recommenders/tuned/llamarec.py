"""LlamaRec: candidates have letters, and one pass gives the likelihood of each letter (arXiv 2311.02089)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from evaluation.ranking import chunks
from features.corpus import Corpus
from features.instructions.wording import LETTERS, Worded, pick_letter
from language_models.tuning.answers import answer_ids
from language_models.tuning.batches import Example
from language_models.tuning.likelihood import next_logits
from recommenders.histories import Histories, Int64
from recommenders.reranking import Float32
from recommenders.tuned.lessons import Lesson, TrainHistories
from recommenders.tuned.listed import Listed, ListedReranker, put_back
from recommenders.tuned.options import Candidates, LanguageModelOptions, RerankerOptions

USERS_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class LlamaRecOptions(RerankerOptions):
    """There is a letter for each of at most 26 candidates."""

    candidates: Annotated[Candidates, Field(le=len(LETTERS))] = 20


class LlamaRec(ListedReranker):
    """All candidates in one prompt, each with a letter; the logits of the letters are their scores."""

    name: ClassVar[str] = "llamarec"
    source: ClassVar[str] = "Yue et al., PGAI@CIKM 2023, arXiv 2311.02089"
    instead: ClassVar[str] = "llm_listwise"
    Options: ClassVar[type[LanguageModelOptions]] = LlamaRecOptions

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        self.learned = source
        super().learn(source, corpus)

    def examples(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> list[Example]:
        found = []
        for lesson in lessons:
            shown = self.drawn(lesson, generator)
            prompt = self.ask(partial(self.word, self.learned.histories, shown), shown.places)
            letter = LETTERS[shown.items.index(lesson.item)]
            found.append(Example(prompt, self.answer(prompt, letter)))
        return found

    def word(self, histories: Histories, shown: Listed, places: Int64) -> Worded:
        """Which of the candidates is next, after what is at places of a history."""
        taken, candidates = self.titles(histories.item[places]), self.titles(shown.items)
        return pick_letter(taken, candidates, noun=self.options.noun, profile=self.profile(shown.user))

    def scores(self, users: Int64, items: Int64) -> Float32:
        return np.concatenate([self._scores(users[rows], items[rows]) for rows in chunks(len(users), USERS_AT_ONCE)])

    def _scores(self, users: Int64, items: Int64) -> Float32:
        listed = self.listed(users, items)
        prompts = [self.ask(partial(self.word, self.serving, shown), shown.places) for shown in listed]
        tokens = answer_ids(self.model, prompts[0].ids, LETTERS[: items.shape[1]])
        logits = next_logits(self.model, prompts, tokens=tokens).numpy(force=True)  # [B, m]
        return put_back([row[: len(each.items)] for row, each in zip(logits, listed, strict=True)], listed, items)
