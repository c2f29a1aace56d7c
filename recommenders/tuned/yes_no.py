"""The base of those that ask yes or no about one candidate at a time: how much likelier yes is than no."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from evaluation.ranking import chunks
from features.instructions.wording import NO, YES, Worded, yes_no
from graph_models.options import Size
from language_models.tuning.answers import answer_ids
from language_models.tuning.batches import Example, Text
from language_models.tuning.likelihood import next_logits
from recommenders.histories import Histories, Int64
from recommenders.reranking import Float32
from recommenders.tuned.base import TunedReranker
from recommenders.tuned.lessons import Lesson, TrainHistories
from recommenders.tuned.options import LanguageModelOptions, RerankerOptions

PROMPTS_AT_ONCE = 2048


@dataclass(frozen=True, kw_only=True)
class YesNoOptions(RerankerOptions):
    """Those of a language model that says yes or no."""

    liked_above: Annotated[
        float | None,
        Field(description="ratings above it are likes, others dislikes; without it every interaction is a like"),
    ] = None
    negatives: Annotated[
        Size, Field(description="items that the user does not have, learned beside each next item without a rating")
    ] = 1


class YesNo(TunedReranker):
    """P(Yes) over P(No) at the place of the answer, of every candidate (TALLRec, arXiv 2305.00447, section 3).

    The score is the difference of the two logits; which tokens they are is found with the tokenizer, in context.
    """

    instead: ClassVar[str] = "llm_pointwise"
    Options: ClassVar[type[LanguageModelOptions]] = YesNoOptions
    source: ClassVar[str] = "Bao et al., RecSys 2023, arXiv 2305.00447"
    learned: TrainHistories

    def learn(self, source: TrainHistories, corpus: Any) -> None:
        self.learned = source
        super().learn(source, corpus)

    def word(self, histories: Histories, user: int, item: int, places: Int64) -> Worded:
        """The question whether a user with what is at places of a history will like an item."""
        liked, disliked = self.opinions(histories, places)
        profile = self.shown.profile("user", user)
        return yes_no(
            self.titles(liked),
            self.shown.item(item),
            noun=self.options.noun,
            disliked=self.titles(disliked),
            profile=profile,
            user_slot=bool(self.slots),
            target_slot=bool(self.slots),
        )

    def opinions(self, histories: Histories, places: Int64) -> tuple[list[int], list[int]]:
        """Liked and disliked items, oldest first."""
        items, above = histories.item[places], self.options.liked_above
        if above is None or histories.rating is None:
            return items.tolist(), []
        like = ~(histories.rating[places] <= above)  # what has no rating was taken
        return items[like].tolist(), items[~like].tolist()

    def views(self, histories: Histories, places: Int64, item: int) -> list[Int64]:
        """Which of the places before an item prompts show that are learned from: one list for each prompt."""
        return [self.view(histories, places, item)]

    def view(self, histories: Histories, places: Int64, item: int) -> Int64:
        """Which of them a prompt that is scored shows."""
        del histories, item
        return self.latest(places)

    def examples(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> list[Example]:
        return [example for example, _, _ in self.asked(lessons, generator)]

    def asked(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> Iterator[tuple[Example, int, int]]:
        """Examples with the user and the item that they are about."""
        histories = self.learned.histories
        for lesson in lessons:
            for item, label in self._labelled(lesson, generator):
                for places in self.views(histories, lesson.before, item):
                    prompt = self.ask(partial(self.word, histories, lesson.user, item), places)
                    yield Example(prompt, self.answer(prompt, label)), lesson.user, item

    def _labelled(self, lesson: Lesson, generator: np.random.Generator) -> list[tuple[int, str]]:
        above, rating = self.options.liked_above, self.learned.histories.rating
        if above is not None and rating is not None and not np.isnan(rating[lesson.place]):
            return [(lesson.item, YES if rating[lesson.place] > above else NO)]
        drawn = self.learned.negatives(lesson.user, self.options.negatives, generator)
        return [(lesson.item, YES), *((item, NO) for item in drawn)]

    def scores(self, users: Int64, items: Int64) -> Float32:
        found = np.full(items.shape, -np.inf, dtype=np.float32)
        for rows in chunks(len(users), max(1, PROMPTS_AT_ONCE // items.shape[1])):
            row, column = np.nonzero(items[rows] >= 0)
            whom, what = users[rows][row], items[rows][row, column]
            prompts = [self._prompt(int(user), int(item)) for user, item in zip(whom, what, strict=True)]
            tokens = answer_ids(self.model, prompts[0].ids, (YES, NO))
            logits = next_logits(self.model, prompts, self.soft(whom, what), tokens=tokens)  # [N, 2]
            found[rows][row, column] = (logits[:, 0] - logits[:, 1]).numpy(force=True)
        return found

    def soft(self, users: Int64, items: Int64) -> list[Tensor | None] | None:
        """What takes the place of the slots of prompts about users and items [N]; None without slots."""
        del users, items
        return None

    def _prompt(self, user: int, item: int) -> Text:
        places = self.view(self.serving, self.serving.places(user), item)
        return self.ask(partial(self.word, self.serving, user, item), places)


def as_index(values: Sequence[int] | Int64, device: torch.device) -> Tensor:
    """Rows of a table, on a device: int64 [N]."""
    return torch.as_tensor(np.asarray(values, dtype=np.int64), device=device)
