"""Options that prompted recommenders share.

Evaluated annotations (no `from __future__`): the options of a run file are checked against them.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from graph_models.options import Size
from recommenders.reranking import RETRIEVER

Several = Annotated[int, Field(ge=2)]
Probe = Literal["none", "random_order", "fake_history", "no_history"]
Strategy = Literal["sequential", "recency", "in_context"]


@dataclass(frozen=True, kw_only=True)
class PromptedOptions:
    """Who proposes, and what is shown.

    `candidates`: how many of the `retriever`'s items are ordered anew. `history`: newest items of a user that a prompt
    shows. `probe` takes from a user what a prompt should live on: his history in random order, random items in its
    place, or no history and no profile (the controls RandOrder, FakeHis and NoHis of LLMRank).
    """

    retriever: str = RETRIEVER
    candidates: Several = 20
    history: Size = 10
    noun: str = "item"
    probe: Probe = "none"


@dataclass(frozen=True, kw_only=True)
class LLMRankOptions(PromptedOptions):
    """`bootstrap`: questions per user, each with the candidates in another order; their places are added up (Borda)."""

    strategy: Strategy = "sequential"
    bootstrap: Size = 1


@dataclass(frozen=True, kw_only=True)
class ListwiseOptions(PromptedOptions):
    """`answer`: log-probabilities of the letters as the first token, or the letters in order as text.

    `bootstrap`: questions per user, each with the candidates in another order; their places are added up.
    """

    answer: Literal["logprobs", "order"] = "logprobs"
    bootstrap: Size = 1


@dataclass(frozen=True, kw_only=True)
class PointwiseOptions(PromptedOptions):
    """`logprobs`: auto takes what the engine gives, required refuses one that gives none, never asks for the word."""

    logprobs: Literal["auto", "required", "never"] = "auto"


@dataclass(frozen=True, kw_only=True)
class ConversationOptions(PromptedOptions):
    """`titles`: how many a reply is asked for. `candidates` does nothing, because the whole catalogue is searched."""

    titles: Size = 20
