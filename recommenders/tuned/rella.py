"""ReLLa: of a long history a prompt shows what is most similar to the candidate (arXiv 2308.11131)."""

from typing import ClassVar

import numpy as np
from torch import Tensor, nn

from features.corpus import Corpus
from features.instructions.histories import retrieved_places
from features.table import FeatureSet
from recommenders.histories import Histories, Int64
from recommenders.tuned.modules import Beside
from recommenders.tuned.yes_no import YesNo
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Model


class ReLLa(YesNo):
    """Yes or no about every candidate, from the items of the history whose texts are nearest to its text.

    It learns from two prompts for every example: with the latest items, and with the retrieved ones (ReiT).
    """

    name: ClassVar[str] = "rella"
    source: ClassVar[str] = "Lin et al., WWW 2024, arXiv 2308.11131"
    reads_text: ClassVar[bool] = True

    @classmethod
    def check_parts(cls, model: Model, run: Run, where: str) -> None:
        super().check_parts(model, run, where)
        if model.features is None or model.features.item is None:
            raise ConfigError(f"{where}.features.item: missing; {cls.name} retrieves by the vectors of a text")

    def open(self, corpus: Corpus, features: FeatureSet) -> nn.Module:
        del corpus
        assert features.item is not None, "checked with the run file"
        return Beside(self.open_model(), {"text": features.item.x})

    def reopened(self, state: dict[str, Tensor]) -> nn.Module:
        return Beside(self.open_model(), {"text": state["text"].numpy()})

    def views(self, histories: Histories, places: Int64, item: int) -> list[Int64]:
        latest, near = self.latest(places), self.view(histories, places, item)
        return [latest] if np.array_equal(latest, near) else [latest, near]

    def view(self, histories: Histories, places: Int64, item: int) -> Int64:
        text = self.network.get_buffer("text").numpy(force=True)
        (chosen,) = retrieved_places([histories.item[places]], [item], text, self.options.history)
        return places[chosen]
