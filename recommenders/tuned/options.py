"""Options that tuned language models share.

Evaluated annotations (no `from __future__`): the options of a run file are checked against them.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from graph_models.options import Count, Positive, Size
from recommenders.reranking import RETRIEVER, History, Noun, Retriever
from recommenders.sequential.item_network import Rate

Candidates = Annotated[int, Field(ge=2, description="items of the retriever that are ordered anew")]
TrainOnPrompt = Annotated[bool, Field(description="whether the loss counts the prompt's tokens too")]


@dataclass(frozen=True, kw_only=True)
class LanguageModelOptions:
    """What is shown, what is learned from, and which parameters are trained."""

    history: History = 10
    noun: Noun = "item"
    samples: Annotated[
        Count, Field(description="next items of train to learn from, drawn once by the seed; 0: all")
    ] = 0
    max_tokens: Annotated[Size, Field(description="of a prompt, which loses its oldest items where it is longer")] = (
        1024
    )
    tune: Annotated[
        Literal["lora", "full"], Field(description="what is trained: LoRA matrices alone, or all parameters")
    ] = "lora"
    lora_rank: Annotated[Size, Field(description="of the LoRA matrices")] = 8
    lora_alpha: Annotated[Positive, Field(description="LoRA's changes are multiplied by this over the rank")] = 16.0
    lora_dropout: Annotated[Rate, Field(description="share of values that a step of LoRA goes without")] = 0.05
    lora_targets: Annotated[
        list[str], Field(description="names of linear layers; none: those of queries and values")
    ] = field(default_factory=list)
    train_on_prompt: TrainOnPrompt = False


@dataclass(frozen=True, kw_only=True)
class RerankerOptions(LanguageModelOptions):
    """Those of a language model that orders anew the first `candidates` items of a `retriever`."""

    retriever: Retriever = RETRIEVER
    candidates: Candidates = 20
