"""S-DPO: after learning to answer, a model learns to prefer the next item over several others (arXiv 2406.09215)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from evaluation.ranking import chunks
from features.corpus import Corpus
from graph_models.options import Positive, Size
from language_models.tuning.batches import Example
from language_models.tuning.likelihood import losses
from recommenders.tuned.lessons import TrainHistories
from recommenders.tuned.options import LanguageModelOptions, RerankerOptions
from recommenders.tuned.pick_title import PickTitle

REFERENCE_AT_ONCE = 64  # prompts


@dataclass(frozen=True, kw_only=True)
class SDPOOptions(RerankerOptions):
    """Those of the second stage."""

    beta: Annotated[Positive, Field(description="times the gain over the first stage's model is a reward")] = 1.0
    rejected: Annotated[Size, Field(description="other candidates' titles beside that of every next item")] = 3
    likelihood_weight: Annotated[
        float, Field(ge=0, description="of the next item's own likelihood, where its fall is to be held up")
    ] = 0.0


@dataclass(frozen=True)
class Choice:
    """A prompt with the title that was taken first and those that were not: 1 + K examples and their reference."""

    examples: list[Example]
    reference: Tensor | None = None  # float32 [1 + K] log-probabilities by the model of the first stage


@dataclass(frozen=True)
class Preferences:
    """The training task of the second stage: choices that are drawn once, as their reference is."""

    module: torch.nn.Module
    choices: list[Choice]
    recommender: "SDPO"

    def steps(self, batch_size: int) -> int:
        return -(-len(self.choices) // batch_size)

    def batches(self, batch_size: int, generator: np.random.Generator) -> Iterator[list[Choice]]:
        order = generator.permutation(len(self.choices))
        for rows in chunks(len(order), batch_size):
            yield [self.choices[place] for place in order[rows]]

    def loss(self, batch: list[Choice]) -> Tensor:
        return self.recommender.preference_loss(batch)


class SDPO(PickTitle):
    """The title of a candidate, in two stages: fine-tuning, then softmax preference optimisation against it.

    The reference is the model as the first stage left it; its log-probabilities are computed once.
    """

    name: ClassVar[str] = "s_dpo"
    source: ClassVar[str] = "Chen et al., NeurIPS 2024, arXiv 2406.09215"
    Options: ClassVar[type[LanguageModelOptions]] = SDPOOptions

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        super().learn(source, corpus)
        self.network.eval()
        task = Preferences(self.network, self.choices(), self)
        self.stage("preference", task, corpus)

    def choices(self) -> list[Choice]:
        """Every lesson's prompt with its title and those of some of the other candidates, and their reference."""
        generator = np.random.default_rng((self.settings.seed, 1))
        drawn = [self._choice(int(place), generator) for place in self.learned.places]
        found = list[Choice]()
        for rows in chunks(len(drawn), REFERENCE_AT_ONCE):
            with torch.no_grad():
                known = self._log_likelihood(drawn[rows])
            found += [Choice(each.examples, own) for each, own in zip(drawn[rows], known, strict=True)]
        return found

    def preference_loss(self, batch: Sequence[Choice]) -> Tensor:
        """The mean over choices; dropout is off, so that it is log(1 + K) where the model is the reference."""
        self.network.eval()
        now = self._log_likelihood(batch)  # [B, 1 + K]
        reference = torch.stack([choice.reference for choice in batch if choice.reference is not None])
        loss: Tensor = softmax_preference(now, reference, self.options.beta)
        held: Tensor = loss - self.options.likelihood_weight * now[:, 0].mean()
        return held

    def _log_likelihood(self, choices: Sequence[Choice]) -> Tensor:
        """Sums over the tokens of each title: float32 [B, 1 + K]."""
        total, _ = losses(self.model, [example for choice in choices for example in choice.examples])
        return -total.view(len(choices), -1)

    def _choice(self, place: int, generator: np.random.Generator) -> Choice:
        lesson = self.learned.lesson(place)
        shown = self.drawn(lesson, generator)
        prompt = self.prompt(self.learned.histories, shown)
        others = [item for item in shown.items if item != lesson.item]
        rejected = generator.permutation(others)[: self.options.rejected].tolist()
        return Choice([Example(prompt, self.title(item)) for item in (lesson.item, *rejected)])


def softmax_preference(now: Tensor, reference: Tensor, beta: float) -> Tensor:
    """-log softmax of the rewards at the first of each row, a mean over rows (section 3.2): a scalar.

    `now`, `reference`: log-probabilities [B, 1 + K] of what was taken, then of what was not. K = 1 is DPO.
    """
    reward = beta * (now - reference)
    return -reward.log_softmax(dim=1)[:, 0].mean()
