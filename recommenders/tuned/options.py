"""Options that tuned language models share.

Evaluated annotations (no `from __future__`): the options of a run file are checked against them.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from graph_models.options import Count, Positive, Size
from recommenders.reranking import RETRIEVER
from recommenders.sequential.item_network import Rate

Candidates = Annotated[int, Field(ge=2)]


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions:
    """What is shown, what is learned from, and which parameters are trained.

    `history`: newest items of a user that a prompt shows, older ones left out where it would pass `max_tokens`.
    `samples`: next items of train that are learned from, drawn once by the seed; 0: all. `tune`: LoRA matrices alone,
    or all parameters (`full`). `lora_targets`: names of linear layers; none: those of queries and values.
    `train_on_prompt`: whether the loss counts the prompt's tokens too.
    """

    history: Size = 10
    noun: str = "item"
    samples: Count = 0
    max_tokens: Size = 1024
    tune: Literal["lora", "full"] = "lora"
    lora_rank: Size = 8
    lora_alpha: Positive = 16.0
    lora_dropout: Rate = 0.05
    lora_targets: list[str] = field(default_factory=list)
    train_on_prompt: bool = False


@dataclass(frozen=True, kw_only=True)
class RerankerOptions(LanguageModelOptions):
    """Those of a language model that orders anew the first `candidates` items of a `retriever`."""

    retriever: str = RETRIEVER
    candidates: Candidates = 20
