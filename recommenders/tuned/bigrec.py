"""BIGRec: a model writes the next title, which is then looked for among those of the catalogue (arXiv 2308.08434).

With `decoding = "constrained"` it can write nothing but titles of the catalogue, and an assistant without text helps
where many titles begin alike (D3, arXiv 2406.14900).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor

from evaluation.ranking import top_k
from evaluation.recommendations import Recommendations
from features.instructions.wording import Worded, next_title
from graph_models.options import Size
from language_models.tuning.batches import Example, Text
from language_models.tuning.hidden import mean_hidden
from recommenders.generative.causal_step import CausalStep
from recommenders.histories import Histories, Int64
from recommenders.tuned.generator import Generator, GeneratorOptions
from recommenders.tuned.lessons import Lesson
from recommenders.tuned.options import LanguageModelOptions


@dataclass(frozen=True, kw_only=True)
class BIGRecOptions(GeneratorOptions):
    """How a title comes about; `popularity_power` is gamma of section 3.3."""

    decoding: Annotated[
        Literal["constrained", "grounded"],
        Field(description="a search among the titles, or a title that is written freely and looked for by distance"),
    ] = "constrained"
    max_title: Annotated[Size, Field(description="tokens of a title that is written freely, at most")] = 32
    popularity_power: Annotated[
        float, Field(ge=0, description="grounded: distances are divided by (1 + popularity) to this power")
    ] = 0.0


class BIGRec(Generator):
    """Writes the title of the next item."""

    name: ClassVar[str] = "bigrec"
    source: ClassVar[str] = "Bao et al., TORS 2025, arXiv 2308.08434; D3: Bao et al., EMNLP 2024, arXiv 2406.14900"
    Options: ClassVar[type[LanguageModelOptions]] = BIGRecOptions
    _vectors: Tensor | None = None

    def written(self, item: int) -> tuple[int, ...]:
        return self.response(self.shown.titles[item])

    def prompt(self, user: int, places: Int64) -> Text:
        return self.ask(partial(self.word, self.serving, user), places)

    def word(self, histories: Histories, user: int, places: Int64) -> Worded:
        """Which title comes after what is at places of a history."""
        taken = self.titles(histories.item[places])
        return next_title(taken, noun=self.options.noun, profile=self.shown.profile("user", user))

    def examples(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> list[Example]:
        del generator
        return [
            Example(
                self.ask(partial(self.word, self.learned.histories, lesson.user), self.latest(lesson.before)),
                self.written(lesson.item),
            )
            for lesson in lessons
        ]

    def _ranked(self, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        return self.searched(users, k, seen) if self.options.decoding == "constrained" else self._near(users, k, seen)

    def _near(self, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        """The items [B, k] whose titles are nearest to what the model writes, by its own vectors of both."""
        titles = self.write(users)
        written, items = self._hidden(titles), self._item_vectors()
        distance = torch.cdist(written, items)  # [B, I]
        low, high = distance.amin(dim=1, keepdim=True), distance.amax(dim=1, keepdim=True)
        share = (distance - low) / (high - low).clamp(min=1e-12)
        weight = torch.from_numpy(self.popular).to(share.device)  # [I], 0 to 1
        return top_k(-share * (1 + weight) ** -self.options.popularity_power, users, seen, k)

    @torch.no_grad()
    def write(self, users: Int64) -> list[str]:
        """What the model writes freely, always the likeliest token; a dot where it writes nothing."""
        prompts = [self.prompt(user, self.latest(self.serving.places(user))) for user in users.tolist()]
        parent, code = np.zeros((2, len(users), 1), dtype=np.int64)
        written, device = np.full((len(users), self.options.max_title), self.model.end), self.settings.device
        with self.model.evaluating():
            step = CausalStep(self.model, prompts)
            for place in range(self.options.max_title):
                logits = step(*(torch.from_numpy(each).to(device) for each in (parent, code)))
                code = logits.argmax(dim=2).numpy(force=True)
                code[(written[:, :place] == self.model.end).any(axis=1)] = self.model.end
                written[:, place] = code[:, 0]
                if (code == self.model.end).all():
                    break
        ended = [row[: (row == self.model.end).argmax()] if self.model.end in row else row for row in written]
        return [self.model.tokenizer.decode(row.tolist()).strip() or "." for row in ended]

    def _item_vectors(self) -> Tensor:
        """Vectors of all titles [I, H]; as long as the model itself does not change they are made once."""
        if self._vectors is None or (self.options.tune == "full" and self.network.training):
            self._vectors = self._hidden(self.shown.titles)
        return self._vectors

    def _hidden(self, texts: Sequence[str]) -> Tensor:
        """By the model as it was before it was tuned, whose space does not move (all tuned: as it is)."""
        with self.model.adapter_off():
            return mean_hidden(self.model, texts)
