"""LLaRA: every title is followed by the vector that a recommender has of the item (arXiv 2312.02445)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from features.corpus import Corpus
from features.instructions.wording import SLOT
from features.table import FeatureSet
from language_models.tuning.batches import Example, Text
from language_models.tuning.likelihood import losses
from recommenders.histories import Histories
from recommenders.tuned.lessons import Lesson, Lessons, TrainHistories
from recommenders.tuned.listed import Listed
from recommenders.tuned.options import LanguageModelOptions, RerankerOptions
from recommenders.tuned.pick_title import PickTitle
from recommenders.tuned.soft import VECTORS, SoftReranker, Vectors
from recommenders.tuned.vectors import WithVectors


@dataclass(frozen=True, kw_only=True)
class LLaRAOptions(RerankerOptions):
    """Whose item vectors are read, and from when on."""

    vectors: Vectors = VECTORS
    curriculum: Annotated[
        bool, Field(description="whether the share of batches with vectors grows from none to all")
    ] = True


@dataclass(frozen=True)
class Batch:
    """Examples, and whether the vectors stand in them."""

    examples: list[Example]
    listed: list[Listed]
    hybrid: bool


class LLaRA(SoftReranker, PickTitle):
    """The title of a candidate, where every title of the prompt is followed by a soft token.

    The share of batches with soft tokens grows from none to all over the training (section 3.4); the others keep the
    placeholder and leave the projector as it is.
    """

    name: ClassVar[str] = "llara"
    source: ClassVar[str] = "Liao et al., SIGIR 2024, arXiv 2312.02445"
    Options: ClassVar[type[LanguageModelOptions]] = LLaRAOptions
    slots: ClassVar[tuple[str, ...]] = (SLOT,)
    network: WithVectors

    def open(self, corpus: Corpus, features: FeatureSet) -> WithVectors:
        network = super().open(corpus, features)
        assert isinstance(network, WithVectors)
        network.register_buffer("taken", torch.zeros((), dtype=torch.int64))  # batches; a stopped training knows it
        return network

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        self.learned = source
        training = self.settings.training
        task = Lessons(self.network, source, self.batch, self.batch_loss)
        self.batches = task.steps(training.batch_size) * training.max_epochs
        self.stage("tuning", task, corpus)

    def batch(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> Batch:
        listed = [self.drawn(lesson, generator) for lesson in lessons]
        prompts = [self.prompt(self.learned.histories, shown) for shown in listed]
        examples = [Example(prompt, self.title(lesson.item)) for prompt, lesson in zip(prompts, lessons, strict=True)]
        hybrid = generator.random() < int(self.network.get_buffer("taken")) / self.batches
        return Batch(examples, listed, hybrid or not self.options.curriculum)

    def batch_loss(self, batch: Batch) -> Tensor:
        self.network.get_buffer("taken").add_(1)
        prompts = [example.prompt for example in batch.examples]
        soft = self.soft(self.learned.histories, batch.listed, prompts) if batch.hybrid else None
        total, count = losses(self.model, batch.examples, soft, self.options.train_on_prompt)
        return total.sum() / count.sum()

    def soft(self, histories: Histories, listed: Sequence[Listed], prompts: Sequence[Text]) -> list[Tensor | None]:
        rows = [
            [*histories.item[shown.places].tolist(), *shown.items][-len(prompt.slots) :]  # the oldest may be left out
            for shown, prompt in zip(listed, prompts, strict=True)
        ]
        tokens = self.network.soft("item", np.concatenate([np.asarray(row, dtype=np.int64) for row in rows]))
        return list(torch.split(tokens, [len(row) for row in rows]))
