"""The sections of a run file: one immutable object each, with what every key means and what it is by default."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Option = str | int | float | bool | list[str] | list[int] | list[float]
Metric = Literal["recall@20", "ndcg@20", "recall@10", "ndcg@10", "recall@5", "ndcg@5"]


class Section(BaseModel):
    """A part of the run file: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(Section):
    """Where the raw files are and how to read them."""

    format: Literal["neutral", "movielens", "amazon"] = "neutral"
    path: str = Field(
        description="folder of the source files; relative to the run file; $NAME and ${NAME:-default} are expanded"
    )
    url: str | None = Field(None, description="archive to download into path when path has no data")
    sha256: str | None = Field(None, description="checksum of the downloaded archive")
    columns: dict[str, str] = Field({}, description="our column name -> the source's column name (interactions)")
    item_columns: dict[str, str] = Field({}, description="our column name -> the source's column name (items)")
    user_columns: dict[str, str] = Field({}, description="our column name -> the source's column name (users)")
    time_unit: Literal["s", "ms", "us"] = Field("s", description="unit of the source's timestamps; stored as seconds")
    min_rating: float | None = Field(None, description="ratings below it are not positive interactions and are dropped")
    k_core: int = Field(0, ge=0, description="repeatedly drop users and items with fewer interactions; 0 keeps all")
    simulated: bool = Field(False, description="shown wherever the data is shown")


class Split(Section):
    """How interactions become train, valid and test."""

    rule: Literal["published", "time", "ratio", "leave_one_out", "oldest"] = "time"
    valid: float = Field(
        0.1, gt=0, lt=1, description="share of valid (time, ratio; oldest: of users; published without valid: of train)"
    )
    test: float = Field(0.1, gt=0, lt=1, description="share of test (time, ratio; oldest: of users)")
    min_interactions: int = Field(3, ge=3, description="leave_one_out: users with fewer stay in train whole")
    seed: int = Field(0, description="of every random choice")
    history: int = Field(30, gt=0, description="oldest: events of a user in train at most, and at most half of them")
    cold_items: float = Field(0.0, ge=0, lt=1, description="share of items that train knows nothing of")
    cold_users: float = Field(0.0, ge=0, lt=1, description="share of users that train knows nothing of")


class Llm(Section):
    """The chat engine and what it may cost."""

    engine: Literal["offline", "openai", "recorded", "hf"] = "offline"
    mode: Literal["online", "batch"] = Field("online", description="openai: call by call, or the Batch API")
    model: str = Field("offline", description="model name sent to the endpoint; hf: folder of a causal language model")
    base_url: str | None = Field(None, description="OpenAI-compatible endpoint; the SDK's default when absent")
    key_env: str = Field("OPENAI_API_KEY", description="environment variable that holds the key")
    temperature: float = Field(0.0, ge=0)
    max_output_tokens: int = Field(600, gt=0)
    structured: Literal["auto", "json_schema", "json_object", "text"] = Field(
        "auto", description="how answers are asked for; auto: the strictest that the endpoint takes, remembered"
    )
    concurrency: int = Field(16, gt=0, description="requests in flight at most")
    requests_per_minute: int | None = Field(None, gt=0, description="default: as the x-ratelimit headers say")
    tokens_per_minute: int | None = Field(None, gt=0, description="default: as the x-ratelimit headers say")
    attempts: int = Field(5, gt=0, description="tries of one call before it is a reject; a 429 is no try")
    timeout_s: float = Field(120.0, gt=0)
    recovery: Literal["none", "stored", "idempotency"] = Field(
        "none",
        description="how an answer that got lost on the way is found again: stored completions by metadata, or a "
        "gateway that honours Idempotency-Key",
    )
    ledger: str | None = Field(
        None, description="postgresql:// address of a ledger for several hosts; default: ledger.sqlite in `work`"
    )
    batch_window: str = Field("24h", description="batch: completion window asked for")
    batch_requests: int = Field(20_000, gt=0, le=50_000, description="batch: requests per file at most")
    batch_poll_s: float = Field(30.0, gt=0, description="batch: seconds between looks at a batch")
    batch_size: int = Field(8, gt=0, description="hf: prompts generated together")
    device: str = Field("auto", description="hf: auto, cpu, cuda, ...")
    redact: bool = Field(False, description="take e-mail addresses, telephone numbers and URLs out of prompts")
    answers: str | None = Field(None, description="recorded: the answers.parquet to read; relative to the run file")
    fields: dict[str, str] = Field({}, description="recorded: recorded field name -> field of the recipe's answer")
    prices: str | None = Field(None, description="price table (TOML) that goes before the built-in one")
    usd_per_million_input: float | None = Field(
        None, ge=0, description="default: as the price table says; 0 where it knows no price and the other one is given"
    )
    usd_per_million_output: float | None = Field(None, ge=0, description="default: as usd_per_million_input")
    max_cost_usd: float | None = Field(None, ge=0, description="stop with exit code 4 before a call that could pass it")
    metrics_port: int | None = Field(
        None, gt=0, lt=65536, description="serve Prometheus metrics on 127.0.0.1 while asking"
    )
    shards: int = Field(4, gt=0, le=1000, description="mapped Airflow tasks per recipe")


class Recipe(Section):
    """One recipe to run; `options` are the recipe's own."""

    name: str
    options: dict[str, Option] = {}
    prompt: str | None = Field(
        None, description="file with an instruction that replaces the recipe's own; relative to the run file"
    )
    llm: dict[str, Any] = Field({}, description="keys of [llm] that differ for this recipe")


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
        "openai": ("pooling", "precision", "device"),
        "sentence_transformer": ("base_url", "key_env", "dimensions", "usd_per_million", "max_cost_usd"),
        "hf": ("base_url", "key_env", "dimensions", "usd_per_million", "max_cost_usd"),
    }

    kind: Literal["sentence_transformer", "openai", "hf"] = Field(
        "sentence_transformer", description="openai: an endpoint's embeddings; hf: pooled hidden states of a model"
    )
    name: str = Field("all-MiniLM-L6-v2", min_length=1, description="name or local path; openai: sent to the endpoint")
    batch_size: int = Field(64, gt=0, description="texts encoded together; openai: texts of one request at most")
    precision: Literal["float32", "bfloat16"] = "float32"
    prefix: str | None = Field(None, description="put before every text; default: as the model's family wants it")
    pooling: Literal["auto", "mean", "cls", "last"] = Field("auto", description="auto: the model's own; hf: mean")
    long: Literal["truncate", "chunk"] = Field("truncate", description="chunk: the mean of windows, by their tokens")
    max_tokens: int | None = Field(None, gt=0, description="of a text or a window; default: as many as the model reads")
    device: str = "auto"
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


class Gates(Section):
    """Thresholds of the expectation suites."""

    coverage: float = Field(0.9, ge=0, le=1, description="share of asked entities that must have a profile")
    user_coverage: float | None = Field(None, ge=0, le=1, description="coverage for users where it differs")
    min_characters: int = Field(10, ge=0)
    max_characters: int = Field(4000, gt=0)
    duplicates: float = Field(
        0.05, ge=0, le=1, description="share of rows whose text may stand under another id as well"
    )
    mostly: float = Field(0.99, ge=0, le=1, description="share of rows that must pass each row-wise rule")


class Part(Section):
    """A registered part (backbone or recommender) with its own options."""

    name: str
    options: dict[str, Option] = {}


class Objective(Part):
    """An auxiliary objective added to the loss."""

    weight: float = Field(1.0, gt=0, description="of its loss; a fusion has none")


class Features(Section):
    """What stands for an item and a user, and which edges of a language model are read.

    A text is a column (`title`, `title+author`) or a recipe's field (`recipe/field`); several stand side by side or are
    averaged.
    """

    item: str | tuple[str, ...] | None = None
    user: str | tuple[str, ...] = Field(
        "mean", description="`recipe/field`, columns of the users table, or `mean` of the train items' vectors"
    )
    fuse: Literal["concat", "mean"] = Field("concat", description="how several texts of a row become its vector")
    pca: int | None = Field(None, gt=0, description="principal components kept of every text, fitted on tonight's rows")
    adaptor: Part | None = Field(None, description="a learned way from the texts of a row to one vector")
    edges: tuple[str, ...] = Field((), description="recipes whose edges the model's objectives read")

    def texts(self, kind: Literal["user", "item"]) -> tuple[str, ...]:
        """The texts of a kind, in order; none where users are the mean of their items."""
        named = self.item if kind == "item" else self.user
        if named is None or named == "mean":
            return ()
        return (named,) if isinstance(named, str) else named


class Training(Section):
    """The trainer's settings; a model may override any of them."""

    loss: Literal["bpr", "infonce"] = "bpr"
    temperature: float = Field(0.2, gt=0, description="of sampled InfoNCE")
    negatives: int = Field(256, gt=0, description="sampled negatives per positive of InfoNCE; BPR takes one")
    sampler: Literal["edge", "user"] = Field(
        "edge", description="edge-uniform (RLMRec) or user-uniform (LightGCN, AlphaRec)"
    )
    learning_rate: float = Field(1e-3, gt=0)
    l2: float = Field(1e-4, ge=0, description="weight of the batch's layer-0 L2 term, halved and per pair (LightGCN)")
    batch_size: int = Field(4096, gt=0)
    max_epochs: int = Field(200, gt=0)
    evaluate_every: int = Field(5, gt=0, description="epochs between validations")
    patience: int = Field(5, gt=0, description="validations without a better one before the trainer stops")


class Model(Section):
    """One model of the table, trained for every seed."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    recommender: str = "graph"
    options: dict[str, Option] = Field({}, description="the recommender's own options")
    backbone: Part | None = None
    objectives: tuple[Objective, ...] = ()
    features: Features | None = None
    control: Literal["none", "shuffled"] = Field(
        "none", description="shuffled: text rows permuted among users and among items, and edges among users"
    )
    control_of: str | None = Field(None, description="the model that this one is the control of")
    training: dict[str, Option] = Field({}, description="keys of [training] that differ for this model")


class Evaluation(Section):
    """What is measured; the protocol itself is fixed: full ranking, valid masks train, test masks train and valid."""

    ks: tuple[int, ...] = (5, 10, 20)
    selection: Metric = "recall@20"
    cold: int = Field(5, ge=0, description="items with at most so many train interactions are cold")
    head: float = Field(0.2, gt=0, lt=1, description="share of items, most popular first, that are not tail")
    bootstrap: int = Field(2000, gt=0, description="resamples of users for the paired intervals")


class Recommend(Section):
    """What is published for serving."""

    k: int = Field(20, gt=0)
    model: str | None = Field(None, description="default: the best on validation, mean over seeds")
