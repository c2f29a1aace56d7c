"""What is measured, compared, published."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from schemas.errors import unknown_name
from schemas.sections.base import Metric, Option, Protocol, Section
from schemas.sections.models import Features, Objective, Part


class Candidates(Section):
    """A short list per user that every model orders at test, as papers on language models judge them.

    The whole catalogue is ranked beside it; figures of the two cannot be compared.
    """

    protocol: Literal["negatives", "retrieved"] = Field(
        "negatives", description="negatives: the truth among drawn items; retrieved: the first of a model, truth or not"
    )
    negatives: int = Field(19, gt=0, description="items drawn per user, uniformly, outside all that is known of him")
    retriever: str | None = Field(None, description="the model of the run that gives the items; its best seed on valid")
    top: int = Field(20, gt=1, description="items that it gives; the truth is never inserted")
    users: int = Field(200, ge=0, description="users at most, drawn by id; 0: all that are judged")
    seed: int = Field(0, description="of the draws of users and negatives, and of the order of a list")
    ks: tuple[int, ...] = Field((1, 5, 10), min_length=1, description="lengths at which lists are measured")

    @model_validator(mode="after")
    def has_its_retriever(self) -> Candidates:
        """A retriever is named where one is asked for, and only there."""
        if self.protocol == "retrieved" and self.retriever is None:
            raise ValueError("retriever: expected a model of the run for protocol retrieved, found none; name one")
        if self.protocol == "negatives" and self.retriever is not None:
            raise ValueError(f'retriever: {self.retriever} gives no negatives; set protocol = "retrieved" or remove it')
        return self


class Evaluation(Section):
    """What is measured, by full ranking; `evaluation.protocol` has what every protocol masks."""

    ks: tuple[int, ...] = Field((5, 10, 20), description="lengths at which lists are measured")
    selection: Metric = Field("recall@20", description="on validation, by which epochs and models are chosen")
    protocol: Protocol = Field(
        "loregraph", description="ours masks train at valid, train and valid at test; others emulate a paper's code"
    )
    cold: int = Field(5, ge=0, description="items with at most so many train interactions are cold")
    head: float = Field(0.2, gt=0, lt=1, description="share of items, most popular first, that are not tail")
    bootstrap: int = Field(2000, gt=0, description="resamples of users for the paired intervals")
    users: int = Field(0, ge=0, description="judge so many users at most, drawn by id, in validation and test; 0: all")
    candidates: Candidates | None = Field(None, description="order short lists at test as well")

    @field_validator("selection", mode="before")
    @classmethod
    def never_on_test(cls, selection: object) -> object:
        """The published code of LLMRec and AlphaRec stops on test; no protocol of ours does."""
        if isinstance(selection, str) and "test" in selection:
            raise ValueError(f"expected a metric, found {selection}: no protocol chooses on test; name it alone")
        return selection

    @property
    def leaves_valid(self) -> bool:
        """Whether the protocol keeps validation items among the candidates of test."""
        return self.protocol in ("lightgcn", "rlmrec", "llmrec")


class Recommend(Section):
    """What is published for serving."""

    k: int = Field(20, gt=0, description="items of a user's list")
    model: str | None = Field(None, description="default: the best on validation, mean over seeds")
    neighbours: int = Field(0, ge=0, description="nearest other items published for every item; 0: none")
    index: Literal["none", "usearch"] = Field(
        "none", description="usearch: an approximate index of the item vectors beside the model, its recall measured"
    )
    index_metric: Literal["ip", "augmented"] = Field(
        "ip", description="ip: inner product; augmented: one more dimension gives all items one length"
    )
    connectivity: int = Field(16, gt=1, description="of the index: links of an item (M of HNSW)")
    expansion_add: int = Field(128, gt=0, description="of the index: candidates while it is built (efConstruction)")
    expansion_search: int = Field(128, gt=0, description="of the index: candidates of a search (ef)")
    recall_users: int = Field(1000, gt=0, description="users, drawn at random, on whom the index is measured")


class System(Section):
    """A recommender that `loregraph compare` tunes: the keys of a model without features."""

    name: str = Field(pattern=r"^[\w+-]{1,100}$", description="unique among the systems")
    recommender: str = Field("graph", description="as of a model")
    options: dict[str, Option] = Field({}, description="as of a model")
    backbone: Part | None = Field(None, description="as of a model")
    objectives: tuple[Objective, ...] = Field((), description="as of a model")
    training: dict[str, Option] = Field({}, description="as of a model")
    cold_items: Literal["none", "text"] = Field("none", description="as of a model")
    cold_spread: float = Field(0.9, ge=0, le=1, description="as of a model")
    without: str | None = Field(None, description="the system that is the same without text")
    space: dict[str, list[Any]] = Field(
        {}, description="values to try instead of the part's own, by setting such as options.l2; none: as written"
    )


class CompareText(Features):
    """A text (and edges) that every system of `loregraph compare` which reads such things is tuned with."""

    name: str = Field(pattern=r"^[\w+-]{1,100}$", description="unique among the texts")


class Compare(Section):
    """The matrix of systems, texts, controls and seeds that `loregraph compare` tunes and measures."""

    trials: int = Field(12, gt=0, description="settings tried per cell, controls included; the first is as written")
    graph_trials: int | None = Field(None, gt=0, description="the same of every cell that is trained by steps")
    search_seed: int = Field(0, description="of the draws of settings")
    search_users: int = Field(5000, ge=0, description="validation users that settings are compared on; 0: all")
    seeds: tuple[int, ...] | None = Field(None, min_length=1, description="of the final fits; default: the run's")
    baseline: str = Field("best", description="system that lifts are against; best: the best without text on valid")
    title: str | tuple[str, ...] = Field("title", description="columns of the title-only control")
    controls: tuple[Literal["shuffled", "shuffled_items", "shuffled_users", "title", "random"], ...] = Field(
        ("shuffled", "title", "random"), description="what every text is measured against"
    )
    resamples: int = Field(10_000, gt=0, description="resamples of users for the paired intervals")
    price_model: str | None = Field(
        None, description="whose prices count where no price of the model that answered is known"
    )
    systems: tuple[System, ...] = Field(min_length=1, description="what is tuned")
    texts: tuple[CompareText, ...] = Field((), description="what the systems that read text are tuned with")

    @model_validator(mode="after")
    def names_agree(self) -> Compare:
        """Names are unique; `without` and the baseline are among the systems."""
        names = [system.name for system in self.systems]
        for kind, each in (("systems", names), ("texts", [text.name for text in self.texts])):
            for name in each:
                if each.count(name) > 1:
                    raise ValueError(f"{kind}: two are called {name}")
        referred = [(f"systems.{system.name}.without", system.without) for system in self.systems]
        referred += [("baseline", self.baseline)] if self.baseline != "best" else []
        for where, referred_name in referred:
            if referred_name is not None and referred_name not in names:
                raise ValueError(unknown_name(where, referred_name, names))
        return self

    def features(self) -> tuple[Features, ...]:
        """Every text that a cell may read."""
        title = (Features(item=self.title),) if "title" in self.controls and self.texts else ()
        return (*self.texts, *title)
