"""Encoders, measures of answers, and codes made of vectors."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from schemas.sections.base import Option, Section


class Encoder(Section):
    """The text encoder."""

    # a model's name -> the prefix and the pooling that its model card asks for, for texts that become features
    FAMILIES: ClassVar[tuple[tuple[str, str, Literal["auto", "cls"]], ...]] = (
        (r"(^|[-_])e5-(small|base|large)(?!.*instruct)", "query: ", "auto"),
        (r"(^|[-_])blair-", "", "cls"),
        (r"(^|[-_])bge-", "", "auto"),  # only queries of a search have an instruction
        (r"minilm", "", "auto"),
    )
    FOREIGN: ClassVar[dict[str, tuple[str, ...]]] = {
        "openai": ("pooling", "precision", "device", "workers"),
        "sentence_transformer": ("base_url", "key_env", "dimensions", "usd_per_million", "max_cost_usd"),
        "hf": ("base_url", "key_env", "dimensions", "usd_per_million", "max_cost_usd"),
    }

    kind: Literal["sentence_transformer", "openai", "hf"] = Field(
        "sentence_transformer", description="openai: an endpoint's embeddings; hf: pooled hidden states of a model"
    )
    name: str = Field("all-MiniLM-L6-v2", min_length=1, description="name or local path; openai: sent to the endpoint")
    batch_size: int = Field(64, gt=0, description="texts encoded together; openai: texts of one request at most")
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="of the products; it is part of a vector's name, so another one encodes all texts again"
    )
    workers: int | None = Field(None, gt=0, description="processes that encode; default: one for each GPU, else one")
    prefix: str | None = Field(None, description="put before every text; default: as the model's family wants it")
    pooling: Literal["auto", "mean", "cls", "last"] = Field("auto", description="auto: the model's own; hf: mean")
    long: Literal["truncate", "chunk"] = Field("truncate", description="chunk: the mean of windows, by their tokens")
    max_tokens: int | None = Field(None, gt=0, description="of a text or a window; default: as many as the model reads")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, ...")
    base_url: str | None = Field(None, description="openai: the endpoint; the SDK's default when absent")
    key_env: str = Field("OPENAI_API_KEY", description="openai: environment variable that holds the key")
    dimensions: int | None = Field(None, gt=0, description="openai: asked for; default: as many as the model has")
    usd_per_million: float | None = Field(None, ge=0, allow_inf_nan=False, description="openai: price of tokens")
    max_cost_usd: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="openai: stop with exit code 4 before a request could pass it"
    )

    @model_validator(mode="after")
    def fields_count(self) -> Encoder:
        """No field is set that the kind does not use, and a cap has a price."""
        for field in self.FOREIGN[self.kind]:
            if getattr(self, field) != type(self).model_fields[field].default:
                raise ValueError(f"{field}: kind {self.kind} does not use it; leave it out")
        if self.max_cost_usd is not None and self.usd_per_million is None:
            raise ValueError("max_cost_usd: without usd_per_million the cap cannot be kept; set both")
        return self

    @property
    def full_prefix(self) -> str:
        """What is put before every text: as configured, else as the family wants it."""
        return self._family[0] if self.prefix is None else self.prefix

    @property
    def full_pooling(self) -> Literal["auto", "mean", "cls", "last"]:
        """How tokens become one vector: as configured, else as the family wants it; auto: the model's own way."""
        return self._family[1] if self.pooling == "auto" and self.kind != "openai" else self.pooling

    @property
    def label(self) -> str:
        """What a vector's source says of its encoder: the model's name, and all else that changes the vector.

        Equal labels share their vectors, so two models in folders of one name need names of their own.
        """
        extras: list[str] = [self.kind] if self.kind != "sentence_transformer" else []
        extras += [f"prefix {json.dumps(self.full_prefix, ensure_ascii=False)}"] if self.full_prefix else []
        extras += [f"{self.full_pooling} pooling"] if self.full_pooling != "auto" else []
        extras += ["chunked"] if self.long == "chunk" else []
        extras += [f"{self.max_tokens} tokens"] if self.max_tokens is not None else []
        extras += [f"{self.dimensions} dimensions"] if self.dimensions is not None else []
        extras += [self.precision] if self.precision != "float32" else []
        name = self.name if self.kind == "openai" else Path(self.name).name
        return name + (f" ({', '.join(extras)})" if extras else "")

    @property
    def _family(self) -> tuple[str, Literal["auto", "cls"]]:
        for pattern, prefix, pooling in self.FAMILIES:
            if re.search(pattern, Path(self.name).name.lower()):
                return prefix, pooling
        return "", "auto"


class Quality(Section):
    """How answers are measured, and the most that a measure may be in any field of any recipe.

    A share of 1.0 (a drift in length of `inf`) gates nothing. Drift is gated between nights of the same models and the
    same version of the recipe alone: others may write otherwise.
    """

    similarity: float = Field(0.8, ge=0.7, le=1, description="share of two-word shingles that nearly equal texts share")
    language: str = Field(
        "en", pattern=r"^([a-z]{2,3})?$", description="ISO 639 code of the language to be expected; empty: not judged"
    )
    sampled: int = Field(2000, gt=0, description="texts of a field whose language is judged, chosen by hash")
    min_texts: int = Field(20, ge=0, description="fields with fewer texts are reported and not gated")
    near_duplicates: float | None = Field(0.2, ge=0, le=1, description="share of texts nearly equal to another one")
    largest_cluster: float | None = Field(0.1, ge=0, le=1, description="share of texts that are all nearly equal")
    other_language: float | None = Field(0.1, ge=0, le=1, description="share of texts surely in another language")
    unknown_items: float | None = Field(
        0.2, ge=0, le=1, description="share of texts on users that name a title of the catalogue the prompt did not"
    )
    over_limit: float | None = Field(0.5, ge=0, le=1, description="share of texts over the recipe's word limit")
    coverage_drop: float | None = Field(0.1, ge=0, le=1, description="coverage lost since the earlier night")
    length_drift: float | None = Field(0.5, ge=0, description="change of the mean length: 0.5 is half as long again")
    word_drift: float | None = Field(0.5, ge=0, le=1, description="Jensen-Shannon distance of the use of words")
    text_change: float | None = Field(None, ge=0, le=1, description="share of users or items with another text")

    @property
    def limits(self) -> dict[str, float]:
        """Measure -> the most that it may be, of those measures that are gated."""
        values = {name: getattr(self, name) for name in GATED_MEASURES}
        return {name: value for name, value in values.items() if value is not None and value != float("inf")}


GATED_MEASURES = (
    "near_duplicates",
    "largest_cluster",
    "other_language",
    "unknown_items",
    "over_limit",
    "coverage_drop",
    "length_drift",
    "word_drift",
    "text_change",
)


class SemanticIds(Section):
    """How items become short tuples of codes: one entry is one versioned set of codes in the table `semantic_ids`."""

    name: str = Field(pattern=r"^[\w+-][\w.+-]{0,99}$", description="unique among the semantic ids; what models name")
    tokenizer: str = Field("rq_kmeans", description="rq_kmeans, rq_vae, letter, pq, lsh, random, or one of P5's")
    options: dict[str, Option] = Field({}, description="the tokenizer's own options")
    item: str | tuple[str, ...] | None = Field(
        None, description="the texts whose vectors are quantised: columns (`title`) or `recipe/field`, side by side"
    )
    refit: bool = Field(
        False, description="fit again every night; else codes stay, and new items are encoded with the codebooks there"
    )

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of an item, in order; none of tokenizers that read no text."""
        if self.item is None:
            return ()
        return (self.item,) if isinstance(self.item, str) else self.item
