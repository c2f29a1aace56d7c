"""When a night's model and tables go live."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.sections.base import Section

Rule = Literal["not_worse", "non_inferior", "better", "always"]


class Promotion(Section):
    """What the model of a night must show against the live one on validation before `promote` makes it live."""

    rule: Rule = Field(
        "not_worse",
        description="not_worse: unless it is surely worse; non_inferior: only where it is surely not; better: only "
        "where it is surely better; always: without a comparison",
    )
    margin: float = Field(
        0.0, ge=0, description="of evaluation.selection, absolute: what it may lose, or with `better` has to gain"
    )
    confidence: float = Field(0.95, gt=0.5, lt=1, description="of the paired interval that says what is sure")
