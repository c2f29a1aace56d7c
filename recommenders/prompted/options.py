"""Options that prompted recommenders share.

Evaluated annotations (no `from __future__`): the options of a run file are checked against them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from graph_models.options import Size
from recommenders.reranking import RETRIEVER, History, Noun, Retriever

Several = Annotated[int, Field(ge=2)]
Bootstrap = Annotated[
    Size, Field(description="questions per user, each with the candidates in another order; their places are added up")
]
Probe = Annotated[
    Literal["none", "random_order", "fake_history", "no_history"],
    Field(description="control: history in random order, random items in its place, or neither history nor profile"),
]


@dataclass(frozen=True, kw_only=True)
class PromptedOptions:
    """Who proposes, and what is shown; probes are the controls RandOrder, FakeHis and NoHis of LLMRank."""

    retriever: Retriever = RETRIEVER
    candidates: Annotated[Several, Field(description="items of the retriever that are ordered anew")] = 20
    history: History = 10
    noun: Noun = "item"
    probe: Probe = "none"


@dataclass(frozen=True, kw_only=True)
class LLMRankOptions(PromptedOptions):
    """How a history is told, and how often is asked (Borda)."""

    strategy: Annotated[
        Literal["sequential", "recency", "in_context"],
        Field(description="in order; with the newest item told again; or with it as the right answer to the others"),
    ] = "sequential"
    bootstrap: Bootstrap = 1


@dataclass(frozen=True, kw_only=True)
class ListwiseOptions(PromptedOptions):
    """What is read of an answer, and how often is asked."""

    answer: Annotated[
        Literal["logprobs", "order"],
        Field(description="log-probabilities of the letters as the first token, or the letters in order as text"),
    ] = "logprobs"
    bootstrap: Bootstrap = 1


@dataclass(frozen=True, kw_only=True)
class PointwiseOptions(PromptedOptions):
    """What is read of an answer."""

    logprobs: Annotated[
        Literal["auto", "required", "never"],
        Field(description="what the engine gives; an engine without any is refused; or the word is asked for in JSON"),
    ] = "auto"


@dataclass(frozen=True, kw_only=True)
class ConversationOptions(PromptedOptions):
    """How much a reply says. `candidates` does nothing, because the whole catalogue is searched."""

    titles: Annotated[Size, Field(description="titles that a reply is asked for")] = 20
