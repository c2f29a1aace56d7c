"""The sections of a run file: one immutable object each, with what every key means and what it is by default."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from schemas.errors import unknown_name

Option = str | int | float | bool | list[str] | list[int] | list[float]
Metric = Literal["recall@20", "ndcg@20", "recall@10", "ndcg@10", "recall@5", "ndcg@5"]
Protocol = Literal["loregraph", "lightgcn", "rlmrec", "llmrec", "alpharec"]
Control = Literal["none", "shuffled", "shuffled_items", "shuffled_users", "random"]


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
    items_from: Literal["catalogue", "first_event"] = Field(
        "catalogue", description="when an item of the catalogue exists: always, or from its first event on"
    )
    simulated: bool = Field(False, description="shown wherever the data is shown")


class Split(Section):
    """How interactions become train, valid and test."""

    rule: Literal["published", "time", "ratio", "leave_one_out", "oldest"] = "time"
    valid: float = Field(
        0.1, gt=0, lt=1, description="share of valid (time, ratio; oldest: of users; published without valid: of train)"
    )
    test: float = Field(0.1, gt=0, lt=1, description="share of test (time, ratio; oldest: of users)")
    valid_rows: Literal["random", "last"] = Field(
        "random",
        description="published without valid: which of a user's train rows become it, at random or the last ones; "
        "as the test part was cut, so that validation is like it",
    )
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


class Refresh(Section):
    """When a user is asked about again: each recipe shows a history up to the last of its points of refresh.

    The first event is one, then the event that is `events` after the last, or an earlier one at which the history has
    drifted: the cosine distance of its mean text from that at the last point is more than `drift`. The newest events
    after that point stay unseen until the next one, in a first night too. Only the history decides, so it does not
    matter which nights came before.
    """

    events: int = Field(1, gt=0, description="new events of a user after which he is asked about again; 1: after each")
    drift: float | None = Field(None, gt=0, lt=1, description="or earlier, at such a change of the history's mean text")

    @model_validator(mode="after")
    def drift_counts(self) -> Refresh:
        """Drift only brings a refresh forward, so there is something to bring forward."""
        if self.drift is not None and self.events == 1:
            raise ValueError("drift: without effect while events = 1; set events to as many as may stay unseen at most")
        return self


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
    semantic_ids: str | None = Field(None, description="entry of [[semantic_ids]] whose codes stand for the items")

    @model_serializer(mode="wrap")
    def without_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave the key out where it is not set: what was fitted before there was any stays known by its hash."""
        found: dict[str, Any] = dump(self)
        return found if self.semantic_ids is not None else {k: v for k, v in found.items() if k != "semantic_ids"}

    def texts(self, kind: Literal["user", "item"]) -> tuple[str, ...]:
        """The texts of a kind, in order; none where users are the mean of their items."""
        named = self.item if kind == "item" else self.user
        if named is None or named == "mean":
            return ()
        return (named,) if isinstance(named, str) else named


class SemanticIds(Section):
    """How items become short tuples of codes: one entry is one versioned set of codes in the table `semantic_ids`."""

    name: str = Field(pattern=r"^[\w.+-]+$")
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


class SequenceTraining(Section):
    """How sequential and generative models are trained: AdamW, early stopping; models may override it."""

    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0, description="decoupled, of AdamW")
    schedule: Literal["constant", "cosine"] = Field("constant", description="after the warm-up; cosine ends at zero")
    warmup_steps: int = Field(0, ge=0, description="over which the learning rate rises from zero")
    batch_size: int = Field(128, gt=0, description="sequences; of generative models: next items")
    accumulate: int = Field(1, gt=0, description="batches whose gradients are added up before a step")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the products; parameters stay float32")
    max_epochs: int = Field(100, gt=0)
    evaluate_every: int = Field(2, gt=0, description="epochs between validations")
    patience: int = Field(5, gt=0, description="validations without a better one before training stops")
    valid_users: int = Field(0, ge=0, description="users that epochs are compared on, drawn once by seed; 0: all")
    tensorboard: bool = Field(False, description="write losses and validation metrics for TensorBoard beside the model")


class Training(Section):
    """The trainer's settings; a model may override any of them."""

    loss: Literal["bpr", "infonce", "sampled_softmax", "softmax"] = Field(
        "bpr",
        description="one negative per pair (bpr), uniform negatives that a batch shares (infonce), the same by "
        "popularity and corrected for it (sampled_softmax), or the whole catalogue (softmax)",
    )
    temperature: float = Field(0.2, gt=0, description="of the softmax losses")
    negatives: int = Field(256, gt=0, description="sampled negatives per batch of the softmax losses; BPR takes one")
    negative_power: float = Field(
        0.5, ge=0, le=1, description="sampled_softmax: negatives are drawn by popularity to this power"
    )
    popularity_offset: float = Field(
        0.0,
        ge=0,
        le=1,
        description="of the softmax losses: times log(train interactions), added to an item's logit in training",
    )
    sampler: Literal["auto", "edge", "user", "history"] = Field(
        "auto",
        description="edge-uniform (RLMRec), user-uniform (LightGCN, AlphaRec), or whole histories, so that a user is "
        "scored once an epoch; auto: edge; softmax always takes histories, and weights users alike for `user`",
    )
    learning_rate: float = Field(1e-3, gt=0)
    l2: float = Field(1e-4, ge=0, description="weight of the batch's layer-0 L2 term, halved and per pair (LightGCN)")
    batch_size: int = Field(4096, gt=0)
    max_epochs: int = Field(200, gt=0)
    evaluate_every: int = Field(5, gt=0, description="epochs between validations")
    patience: int = Field(5, gt=0, description="validations without a better one before the trainer stops")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the products of the softmax losses; parameters, propagation and sums stay float32"
    )
    refit: bool = Field(
        False,
        description="after the epoch is chosen on validation, train as many epochs again on train and valid together; "
        "validation figures stay those of the model that was chosen",
    )
    tensorboard: bool = Field(False, description="write losses and validation metrics for TensorBoard beside the model")
    warm_start: bool = Field(
        False,
        description="start from the latest earlier night's model of the same name, seed and settings; false: every "
        "night from scratch, comparable with papers",
    )

    @model_validator(mode="after")
    def offset_needs_logits(self) -> Training:
        """BPR compares two scores and has no logits to add to."""
        if self.popularity_offset and self.loss == "bpr":
            raise ValueError("popularity_offset: only of the softmax losses; remove it, or set loss")
        return self


class Model(Section):
    """One model of the table, trained for every seed."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    recommender: str = "graph"
    options: dict[str, Option] = Field({}, description="the recommender's own options")
    backbone: Part | None = None
    objectives: tuple[Objective, ...] = ()
    features: Features | None = None
    control: Control = Field(
        "none",
        description="shuffled: text rows permuted among users and among items, and edges among users; shuffled_items, "
        "shuffled_users: of one kind alone; random: random unit vectors in their place",
    )
    control_of: str | None = Field(None, description="the model that this one is the control of")
    training: dict[str, Option] = Field({}, description="keys of [training] that differ for this model")
    cold_items: Literal["none", "text"] = Field(
        "none", description="text: models of ids put items without train interactions where their text says"
    )
    cold_spread: float = Field(
        0.9, ge=0, le=1, description="how far from the mean: 0 the best guess, 1 as far as other items"
    )

    @model_serializer(mode="wrap")
    def without_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave keys out that do nothing: what was fitted before there were any stays known by its hash."""
        found: dict[str, Any] = dump(self)
        return found if self.cold_items != "none" else {k: v for k, v in found.items() if not k.startswith("cold_")}


class ClickTraining(Section):
    """How a click model is trained (KAR, arXiv 2306.10933): AdamW, binary cross-entropy, early stopping."""

    learning_rate: float = Field(5e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0, description="decoupled, of AdamW")
    dropout: float = Field(0.0, ge=0, lt=1, description="in the deep layers and the experts")
    batch_size: int = Field(256, gt=0)
    max_epochs: int = Field(20, gt=0)
    patience: int = Field(3, gt=0, description="epochs without a better AUC on validation before the trainer stops")


class Click(Section):
    """What click models learn and are judged on, and the search that each of them gets."""

    threshold: float = Field(3.0, description="a rating above it is a click")
    negatives: int = Field(
        0, ge=0, description="data without ratings: every event is a click, and so many items of others are none"
    )
    max_history: int = Field(5, gt=0, description="events before a sample that a model sees")
    attributes: dict[str, str] = Field(
        {}, description="columns of items to embed -> what separates the values of one item; empty: one value"
    )
    user_attributes: dict[str, str] = Field({}, description="the same of users")
    samples: int | None = Field(None, gt=0, description="samples learned from at most, drawn at random; default: all")
    trials: int = Field(1, gt=0, description="settings tried per model on the first seed; the first is `training`")
    learning_rates: tuple[float, float] = Field((2e-4, 2e-3), description="tried: between these, evenly in logarithm")
    weight_decays: tuple[float, ...] = Field((0.0, 1e-4, 1e-2, 0.1), min_length=1, description="tried")
    dropouts: tuple[float, ...] = Field((0.0, 0.1, 0.3), min_length=1, description="tried")
    training: ClickTraining = ClickTraining()


class ClickModel(Section):
    """One click model, trained for every seed; its base is the first one of the same `model` that reads no text."""

    name: str = Field(pattern=r"^[\w.+-]+$")
    model: str = "din"
    options: dict[str, Option] = Field({}, description="the model's own options")
    features: Features | None = Field(None, description="texts of items and users that become its augmented vectors")
    control: Literal["none", "shuffled"] = Field("none", description="shuffled: text rows permuted within each kind")
    control_of: str | None = Field(None, description="the click model that this one is the control of")
    training: dict[str, Option] = Field({}, description="keys of [click.training] that differ for this model")


class Evaluation(Section):
    """What is measured, by full ranking; `evaluation.protocol` has what every protocol masks."""

    ks: tuple[int, ...] = (5, 10, 20)
    selection: Metric = "recall@20"
    protocol: Protocol = Field(
        "loregraph", description="ours masks train at valid, train and valid at test; others emulate a paper's code"
    )
    cold: int = Field(5, ge=0, description="items with at most so many train interactions are cold")
    head: float = Field(0.2, gt=0, lt=1, description="share of items, most popular first, that are not tail")
    bootstrap: int = Field(2000, gt=0, description="resamples of users for the paired intervals")

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

    k: int = Field(20, gt=0)
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

    name: str = Field(pattern=r"^[\w+-]+$")
    recommender: str = "graph"
    options: dict[str, Option] = {}
    backbone: Part | None = None
    objectives: tuple[Objective, ...] = ()
    training: dict[str, Option] = {}
    cold_items: Literal["none", "text"] = Field("none", description="as of a model")
    cold_spread: float = Field(0.9, ge=0, le=1, description="as of a model")
    without: str | None = Field(None, description="the system that is the same without text")
    space: dict[str, list[Any]] = Field(
        {}, description="values to try instead of the part's own, by setting such as options.l2; none: as written"
    )


class CompareText(Features):
    """A text (and edges) that every system of `loregraph compare` which reads such things is tuned with."""

    name: str = Field(pattern=r"^[\w+-]+$")


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
    systems: tuple[System, ...] = Field(min_length=1)
    texts: tuple[CompareText, ...] = ()

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
