"""Models, what they read, and how they are trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from schemas.sections.base import Control, Option, Section


class Part(Section):
    """A registered part (backbone, objective or adaptor) with its own options."""

    name: str = Field(description="one of `loregraph list backbones`, `objectives` or `adaptors`")
    options: dict[str, Option] = Field({}, description="the part's own options")


class Objective(Part):
    """An auxiliary objective added to the loss."""

    weight: float = Field(1.0, gt=0, description="of its loss; a fusion has none")


class Features(Section):
    """What stands for an item and a user, and which edges of a language model are read.

    A text is a column (`title`, `title+author`) or a recipe's field (`recipe/field`); several stand side by side or are
    averaged.
    """

    item: str | tuple[str, ...] | None = Field(None, description="`recipe/field` or columns of the items table")
    user: str | tuple[str, ...] = Field(
        "mean", description="`recipe/field`, columns of the users table, or `mean` of the train items' vectors"
    )
    fuse: Literal["concat", "mean"] = Field("concat", description="how several texts of a row become its vector")
    pca: int | None = Field(None, gt=0, description="principal components kept of every text, fitted on tonight's rows")
    adaptor: Part | None = Field(None, description="a learned way from the texts of a row to one vector")
    edges: tuple[str, ...] = Field((), description="recipes whose edges the model's objectives read")
    semantic_ids: str | None = Field(None, description="entry of [[semantic_ids]] whose codes stand for the items")
    user_profile: str | None = Field(
        None, description="`recipe/field` whose text of a user stands in the prompts of recommenders that are LLMs"
    )
    item_profile: str | None = Field(None, description="the same of items: the text stands behind the title")

    @model_serializer(mode="wrap")
    def without_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave keys out that are not set: what was fitted before there were any stays known by its hash."""
        found: dict[str, Any] = dump(self)
        late = ("semantic_ids", "user_profile", "item_profile")
        return {key: value for key, value in found.items() if key not in late or value is not None}

    def profile(self, kind: Literal["user", "item"]) -> str | None:
        """The text of a kind that stands in prompts."""
        return self.user_profile if kind == "user" else self.item_profile

    def texts(self, kind: Literal["user", "item"]) -> tuple[str, ...]:
        """The texts of a kind, in order; none where users are the mean of their items."""
        named = self.item if kind == "item" else self.user
        if named is None or named == "mean":
            return ()
        return (named,) if isinstance(named, str) else named


class SequenceTraining(Section):
    """How sequential and generative models are trained: AdamW, early stopping; models may override it."""

    learning_rate: float = Field(1e-3, gt=0, description="of AdamW")
    weight_decay: float = Field(0.0, ge=0, description="decoupled, of AdamW")
    schedule: Literal["constant", "cosine"] = Field("constant", description="after the warm-up; cosine ends at zero")
    warmup_steps: int = Field(0, ge=0, description="over which the learning rate rises from zero")
    batch_size: int = Field(128, gt=0, description="sequences; of generative models: next items")
    accumulate: int = Field(1, gt=0, description="batches whose gradients are added up before a step")
    clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of the products; parameters stay float32")
    max_epochs: int = Field(100, gt=0, description="passes over train at most")
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
    learning_rate: float = Field(1e-3, gt=0, description="of Adam")
    l2: float = Field(1e-4, ge=0, description="weight of the batch's layer-0 L2 term, halved and per pair (LightGCN)")
    batch_size: int = Field(4096, gt=0, description="train interactions of a step")
    max_epochs: int = Field(200, gt=0, description="passes over train at most")
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

    name: str = Field(pattern=r"^[\w+-][\w.+-]{0,99}$", description="unique among the models; what the report calls it")
    recommender: str = Field("graph", description="one of `loregraph list recommenders`")
    options: dict[str, Option] = Field({}, description="the recommender's own options")
    backbone: Part | None = Field(None, description="graph: how vectors are propagated")
    objectives: tuple[Objective, ...] = Field((), description="graph: what is added to the loss or the vectors")
    features: Features | None = Field(None, description="the texts, codes and edges that it reads")
    control: Control = Field(
        "none",
        description="shuffled: text rows permuted among users and among items, and edges among users; shuffled_items, "
        "shuffled_users: of one kind alone; random: random unit vectors in their place",
    )
    control_of: str | None = Field(None, description="the model that this one is the control of")
    training: dict[str, Option] = Field({}, description="keys of [training] that differ for this model")
    llm: dict[str, Any] = Field({}, description="keys of [llm] that differ for this model, where it is an LLM")
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
        unused = ("cold_items", "cold_spread") if self.cold_items == "none" else ()
        return {key: value for key, value in found.items() if key not in unused and (key != "llm" or value)}
