"""The base of those that answer with the title of a candidate: each candidate's score is its title's likelihood."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from torch import Tensor

from evaluation.ranking import chunks
from features.corpus import Corpus
from features.instructions.wording import Worded, pick_title
from language_models.tuning.batches import Example, Text
from language_models.tuning.likelihood import log_likelihoods
from recommenders.histories import Histories, Int64
from recommenders.reranking import Float32
from recommenders.tuned.lessons import Lesson, TrainHistories
from recommenders.tuned.listed import Listed, ListedReranker, put_back

USERS_AT_ONCE = 256


class PickTitle(ListedReranker):
    """All candidates in one prompt; the score of one is the log-probability of its title and of the end after it.

    That is exact and ranks them all, where generating one title gives a first place alone. It has no normalisation for
    length.
    """

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        self.learned = source
        super().learn(source, corpus)

    def examples(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> list[Example]:
        return [
            Example(self.prompt(self.learned.histories, self.drawn(lesson, generator)), self.title(lesson.item))
            for lesson in lessons
        ]

    def word(self, histories: Histories, shown: Listed, places: Int64) -> Worded:
        """Which of the candidates is next, after what is at places of a history."""
        taken, candidates = self.titles(histories.item[places]), self.titles(shown.items)
        profile, slots = self.profile(shown.user), bool(self.slots)
        return pick_title(taken, candidates, noun=self.options.noun, profile=profile, slots=slots)

    def prompt(self, histories: Histories, shown: Listed) -> Text:
        return self.ask(partial(self.word, histories, shown), shown.places)

    def title(self, item: int) -> tuple[int, ...]:
        """An item's title as an answer."""
        return self.response(self.shown.titles[item])

    def soft(
        self, histories: Histories, listed: Sequence[Listed], prompts: Sequence[Text]
    ) -> list[Tensor | None] | None:
        """What takes the place of the slots of prompts; None without slots."""
        del histories, listed, prompts
        return None

    def scores(self, users: Int64, items: Int64) -> Float32:
        return np.concatenate([self._scores(users[rows], items[rows]) for rows in chunks(len(users), USERS_AT_ONCE)])

    def _scores(self, users: Int64, items: Int64) -> Float32:
        listed = self.listed(users, items)
        prompts = [self.prompt(self.serving, shown) for shown in listed]
        titles = [[self.title(item) for item in shown.items] for shown in listed]
        soft = self.soft(self.serving, listed, prompts)
        found = log_likelihoods(self.model, prompts, titles, soft)
        return put_back([each.tolist() for each in found], listed, items)
