"""CoLLM: vectors of user and item among the words of the question (arXiv 2310.19488)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from features.corpus import Corpus
from features.instructions.wording import SLOT, USER_SLOT
from graph_models.options import Positive
from language_models.tuning.batches import Example
from language_models.tuning.likelihood import losses
from language_models.tuning.soft_tokens import Activation
from recommenders.histories import Int64
from recommenders.tuned.lessons import Lesson, Lessons, TrainHistories
from recommenders.tuned.options import LanguageModelOptions
from recommenders.tuned.soft import VECTORS, SoftReranker, Vectors
from recommenders.tuned.vectors import WithVectors
from recommenders.tuned.yes_no import YesNo, YesNoOptions

Batch = tuple[list[Example], Int64, Int64]  # examples, users and items that they are about


@dataclass(frozen=True, kw_only=True)
class CoLLMOptions(YesNoOptions):
    """Those of both stages; in the second, projectors that begin at random learn alone."""

    vectors: Vectors = VECTORS
    vectors_learning_rate: Annotated[
        Positive | None, Field(description="learning rate of the second stage; default: that of the first")
    ] = None


class CoLLM(SoftReranker, YesNo):
    """Yes or no about every candidate, with the vectors of user and item in the question.

    Two stages: LoRA learns from the words alone, then it is frozen and the projectors learn (section 3.3).
    """

    name: ClassVar[str] = "collm"
    source: ClassVar[str] = "Zhang et al., TKDE 2025, arXiv 2310.19488"
    Options: ClassVar[type[LanguageModelOptions]] = CoLLMOptions
    slots: ClassVar[tuple[str, ...]] = (USER_SLOT, SLOT)
    kinds: ClassVar[tuple[str, ...]] = ("user", "item")
    activation: ClassVar[Activation] = "relu"
    network: WithVectors
    blind: bool = False  # in the first stage, whose prompts keep the placeholders

    def hidden(self, dim: int) -> int:
        return 10 * dim

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        self.learned = source
        task = Lessons(self.network, source, self.batch, self.batch_loss)
        words, projectors = list(self._of_model()), list(self.network.project.parameters())
        self.blind = True
        _train(words, instead_of=projectors)
        self.stage("text", task, corpus)
        self.blind = False
        _train(projectors, instead_of=words)
        self.stage("vectors", task, corpus, self.options.vectors_learning_rate)
        _train([*words, *projectors])  # all of it is kept

    def batch(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> Batch:
        asked = list(self.asked(lessons, generator))
        users, items = (np.array([each[column] for each in asked]) for column in (1, 2))
        return [example for example, _, _ in asked], users, items

    def batch_loss(self, batch: Batch) -> Tensor:
        examples, users, items = batch
        total, count = losses(self.model, examples, self.soft(users, items), self.options.train_on_prompt)
        return total.sum() / count.sum()

    def soft(self, users: Int64, items: Int64) -> list[Tensor | None] | None:
        if self.blind:
            return None
        both = torch.stack([self.network.soft("user", users), self.network.soft("item", items)], dim=1)
        return list(both)  # [2, width] each, in the order of the slots

    def _of_model(self) -> Iterator[nn.Parameter]:
        """What is trained of the language model."""
        return (parameter for parameter in self.model.parameters() if parameter.requires_grad)


def _train(some: Iterable[nn.Parameter], instead_of: Iterable[nn.Parameter] = ()) -> None:
    for parameters, trained in ((some, True), (instead_of, False)):
        for parameter in parameters:
            parameter.requires_grad_(trained)
