"""A-LLMRec: vectors of user and items as soft tokens of a language model that stays as it is (arXiv 2404.11343)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from evaluation.protocol import validation, vector_judge
from features.corpus import Corpus
from features.instructions.wording import SLOT, USER_SLOT, Worded
from features.table import FeatureSet
from graph_models.options import Positive, Size
from graph_models.tensorboard import telling
from language_models.tuning.batches import Example, Text
from language_models.tuning.likelihood import losses
from language_models.tuning.model import TunableModel
from language_models.tuning.soft_tokens import Projector, token_rms
from recommenders.histories import Histories, Int64
from recommenders.trainer import train
from recommenders.tuned.alignment import TABLES, Alignment, Pairs, unit_rms
from recommenders.tuned.lessons import Lesson, Lessons, TrainHistories
from recommenders.tuned.listed import Listed
from recommenders.tuned.options import LanguageModelOptions, RerankerOptions
from recommenders.tuned.pick_title import PickTitle
from recommenders.tuned.soft import VECTORS, SoftReranker, Vectors
from recommenders.tuned.vectors import own_vectors
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Model

Weight = Annotated[float, Field(ge=0)]
OF_TUNING = ("tune", "lora_rank", "lora_alpha", "lora_dropout", "lora_targets")  # there is nothing that they change
Batch = tuple[list[Example], list[Listed]]


@dataclass(frozen=True, kw_only=True)
class ALLMRecOptions(RerankerOptions):
    """Those of both stages; `align_...` are of the first."""

    vectors: Vectors = VECTORS
    align_dim: Annotated[Size, Field(description="columns of the space that items and texts share")] = 128
    align_epochs: Annotated[Size, Field(description="epochs of the first stage, a fixed number")] = 20
    align_batch: Annotated[Size, Field(description="pairs of a batch of the first stage")] = 256
    align_rate: Annotated[Positive, Field(description="learning rate of the first stage")] = 1e-3
    reconstruction: Annotated[Weight, Field(description="of how well an item's vector is made again")] = 0.5
    text_reconstruction: Annotated[Weight, Field(description="of how well a text's vector is made again")] = 0.2


class Aligned(nn.Module):
    """A frozen language model, the common space of items and texts, and what makes soft tokens of it and of users."""

    def __init__(self, model: TunableModel, alignment: Alignment, hidden: int) -> None:
        super().__init__()
        self.model, self.alignment = model, alignment
        users, items = alignment.get_buffer("user"), alignment.get_buffer("item")
        self.register_buffer("placed", torch.zeros(len(items), hidden))  # [I, hidden] after the first stage
        rms = token_rms(model.embedding())
        user = Projector(users.shape[1], model.width, activation="leaky_relu", norm=True, rms=rms)
        item = Projector(hidden, model.width, activation="gelu", norm=True, rms=rms)
        self.project = nn.ModuleDict({"user": user, "item": item})

    def train(self, mode: bool = True) -> Self:
        """The language model has no dropout in training either: it is not what learns."""
        super().train(mode)
        self.model.eval()
        return self

    def users(self, index: Int64) -> Tensor:
        """Soft tokens [N, width] of users [N]."""
        return self._soft("user", self.alignment.get_buffer("user"), index)

    def items(self, index: Int64) -> Tensor:
        """Soft tokens [N, width] of items [N], which have been placed."""
        return self._soft("item", self.get_buffer("placed"), index)

    def _soft(self, name: str, table: Tensor, index: Int64) -> Tensor:
        rows = torch.from_numpy(index).to(table.device)
        with torch.autocast(table.device.type, enabled=False):  # all that is trained, and little to compute
            found: Tensor = self.project[name](table, rows.masked_fill(~table[rows].any(dim=1), -1))
        return found


class ALLMRec(SoftReranker, PickTitle):
    """The title of a candidate, with the user's soft token in front and an item's after every title.

    Stage one aligns item vectors with texts, on train interactions alone; stage two learns to project both into the
    language model, through which gradients flow and of which nothing changes. An item without train interactions is
    where its text says (section 4.3).
    """

    name: ClassVar[str] = "a_llmrec"
    source: ClassVar[str] = "Kim et al., KDD 2024, arXiv 2404.11343"
    reads_text: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = SoftReranker.needs
    Options: ClassVar[type[LanguageModelOptions]] = ALLMRecOptions
    slots: ClassVar[tuple[str, ...]] = (USER_SLOT, SLOT)
    kinds: ClassVar[tuple[str, ...]] = ("user", "item")
    network: Aligned

    @classmethod
    def check_parts(cls, model: Model, run: Run, where: str) -> None:
        super().check_parts(model, run, where)
        if model.features is None or model.features.item is None:
            raise ConfigError(f"{where}.features.item: missing; {cls.name} aligns items with the vectors of a text")
        if given := [name for name in OF_TUNING if name in model.options]:
            raise ConfigError(f"{where}.options.{given[0]}: {cls.name} tunes nothing of the language model; remove it")

    def open_model(self) -> TunableModel:
        settings = self.settings
        dtype = torch.bfloat16 if settings.training.precision == "bfloat16" else torch.float32
        opened = TunableModel.open(settings.language_model, settings.device, None, self.new_tokens(), dtype)
        opened.requires_grad_(False)
        assert opened.new_rows is not None, "of the slots"
        opened.new_rows.enabled = False  # vectors stand in their place
        return opened

    def open(self, corpus: Corpus, features: FeatureSet) -> Aligned:
        assert features.item is not None, "checked with the run file"
        user, item = own_vectors(self.vectors, f"{self.name}: vectors")
        tables = {"user": unit_rms(user), "item": unit_rms(item), "text": unit_rms(features.item.x)}
        return self._aligned({**tables, "learned": torch.from_numpy(corpus.train.item_degree > 0)})

    def reopened(self, state: dict[str, Tensor]) -> Aligned:
        return self._aligned({name: state[f"alignment.{name}"] for name in TABLES})

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        self.learned, alignment = source, self.network.alignment
        self._align(corpus)
        self.network.get_buffer("placed").copy_(alignment.placed())
        alignment.requires_grad_(False)
        self.stage("tuning", Lessons(self.network, source, self.batch, self.batch_loss), corpus)
        alignment.requires_grad_(True)  # it is kept

    def word(self, histories: Histories, shown: Listed, places: Int64) -> Worded:
        worded = super().word(histories, shown, places)
        return replace(worded, user=f"User: {USER_SLOT}\n{worded.user}")

    def batch(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> Batch:
        listed = [self.drawn(lesson, generator) for lesson in lessons]
        prompts = [self.prompt(self.learned.histories, shown) for shown in listed]
        answers = [self.title(lesson.item) for lesson in lessons]
        return [Example(prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)], listed

    def batch_loss(self, batch: Batch) -> Tensor:
        examples, listed = batch
        soft = self.soft(self.learned.histories, listed, [example.prompt for example in examples])
        total, count = losses(self.model, examples, soft, self.options.train_on_prompt)
        return total.sum() / count.sum()

    def soft(self, histories: Histories, listed: Sequence[Listed], prompts: Sequence[Text]) -> list[Tensor | None]:
        users = self.network.users(np.array([shown.user for shown in listed], dtype=np.int64))
        rows = [  # the oldest items may be left out of a prompt
            [*histories.item[shown.places].tolist(), *shown.items][1 - len(prompt.slots) :]
            for shown, prompt in zip(listed, prompts, strict=True)
        ]
        items = self.network.items(np.concatenate([np.asarray(row, dtype=np.int64) for row in rows]))
        split = torch.split(items, [len(row) for row in rows])
        return [torch.cat([user[None], own]) for user, own in zip(users, split, strict=True)]

    def _align(self, corpus: Corpus) -> None:
        """The first stage: a fixed number of epochs, after which validation says how the aligned vectors rank."""
        settings, options, alignment = self.settings, self.options, self.network.alignment
        epochs = {"max_epochs": options.align_epochs, "evaluate_every": options.align_epochs}
        steps = {"learning_rate": options.align_rate, "batch_size": options.align_batch, "accumulate": 1}
        training = settings.training.model_copy(update={**epochs, **steps})
        judged, metric = settings.evaluation, settings.evaluation.selection
        exam = validation(corpus, judged.protocol, judged.users)
        judge = vector_judge(exam, sorted({*judged.ks, int(metric.split("@")[1])}))
        checkpoint, told = self._checkpoint("alignment", corpus), telling(settings.progress, None)
        task = Pairs(alignment, corpus.train)
        curve = train(task, training, settings.seed, lambda: judge(*alignment.ranked()), metric, checkpoint, told)
        self.report = {"alignment": {"epochs": len(curve.history), **curve.valid}}

    def _aligned(self, tables: dict[str, Tensor]) -> Aligned:
        options = self.options
        weights = (options.reconstruction, options.text_reconstruction)
        alignment = Alignment(tables, options.align_dim, *weights)
        return Aligned(self.open_model(), alignment, options.align_dim)
