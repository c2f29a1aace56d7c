"""TALLRec: a language model learns from few likes and dislikes whether another item is liked (arXiv 2305.00447)."""

from dataclasses import dataclass
from typing import ClassVar

from recommenders.tuned.options import LanguageModelOptions, TrainOnPrompt
from recommenders.tuned.yes_no import YesNo, YesNoOptions


@dataclass(frozen=True, kw_only=True)
class TALLRecOptions(YesNoOptions):
    """As published the loss counts the tokens of the prompt too."""

    train_on_prompt: TrainOnPrompt = True


class TALLRec(YesNo):
    """Yes or no about every candidate, from the latest items that a user liked and disliked."""

    name: ClassVar[str] = "tallrec"
    source: ClassVar[str] = "Bao et al., RecSys 2023, arXiv 2305.00447"
    Options: ClassVar[type[LanguageModelOptions]] = TALLRecOptions
