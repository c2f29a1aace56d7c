"""Click-through models and how they are trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.sections.base import Option, Section
from schemas.sections.models import Features


class ClickTraining(Section):
    """How a click model is trained (KAR, arXiv 2306.10933): AdamW, binary cross-entropy, early stopping."""

    learning_rate: float = Field(5e-4, gt=0, description="of AdamW")
    weight_decay: float = Field(0.0, ge=0, description="decoupled, of AdamW")
    dropout: float = Field(0.0, ge=0, lt=1, description="in the deep layers and the experts")
    batch_size: int = Field(256, gt=0, description="samples of a step")
    max_epochs: int = Field(20, gt=0, description="passes over the samples at most")
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
    training: ClickTraining = Field(ClickTraining(), description="how click models are trained")


class ClickModel(Section):
    """One click model, trained for every seed; its base is the first one of the same `model` that reads no text."""

    name: str = Field(pattern=r"^[\w+-][\w.+-]{0,99}$", description="unique among the click models")
    model: str = Field("din", description="one of `loregraph list click_models`")
    options: dict[str, Option] = Field({}, description="the model's own options")
    features: Features | None = Field(None, description="texts of items and users that become its augmented vectors")
    control: Literal["none", "shuffled"] = Field("none", description="shuffled: text rows permuted within each kind")
    control_of: str | None = Field(None, description="the click model that this one is the control of")
    training: dict[str, Option] = Field({}, description="keys of [click.training] that differ for this model")
