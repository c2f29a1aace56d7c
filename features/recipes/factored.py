"""Questions along the factors of a domain (KAR, arXiv 2306.10933, section 4.1): what its two recipes share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar

from pydantic import BaseModel, Field, create_model

from features.factors import Domain, factors_of
from features.recipes.base import Recipe
from features.recipes.reading import Text, is_nothing, read_text
from schemas.records import ProfileRow, Subject

SUMMARY_WORDS, FACTOR_WORDS = 100, 40


class Factor(BaseModel):
    """What an answer says along one factor."""

    name: str


class Answer(BaseModel):
    """A list of factors and a summary."""

    factors: list[Factor]
    summary: Text


@dataclass(frozen=True)
class Factored(Recipe, ABC):
    """`domain` names the list of factors, `factors` replaces it. A factor that is not of the list is passed over."""

    factor: ClassVar[type[Factor]]
    words: ClassVar[Mapping[str, int]] = {"summary": SUMMARY_WORDS}
    writes: ClassVar[tuple[str, ...]] = ("knowledge", "summary")

    domain: Annotated[Domain, Field(description="whose list of factors is asked for")] = "goods"
    factors: Annotated[tuple[str, ...], Field(description="factors in place of the domain's")] = ()

    @property
    def answer_model(self) -> type[BaseModel]:
        return _limited(self.answer, self.factor, self.known())

    def known(self) -> tuple[str, ...]:
        """The factors asked for: those named in the run file, else the domain's."""
        return self.factors or factors_of(self.domain)

    def placeholders(self) -> dict[str, str]:
        return {**super().placeholders(), "factors": ", ".join(self.known())}

    def of_list(self, factor: Factor, text: str) -> bool:
        """Whether a factor of an answer is one of those asked for, and its text says something."""
        return factor.name.strip().lower() in {name.lower() for name in self.known()} and not is_nothing(text)

    def knowledge(self, subject: Subject, factors: Mapping[str, str], summary: str, key: str) -> list[ProfileRow]:
        """The rows of an answer: its factors and summary as one text, which is what KAR encodes, and the summary."""
        summary = read_text("summary", summary, SUMMARY_WORDS)
        limit = FACTOR_WORDS * len(factors) + SUMMARY_WORDS
        named = "; ".join(f"{name.strip()}: {text.strip().rstrip('.')}" for name, text in factors.items())
        whole = f"{named}. {summary}" if factors else summary
        return self.profile(subject, {"knowledge": read_text("factors", whole, limit), "summary": summary}, key)


@cache
def _limited(answer: type[BaseModel], factor: type[Factor], names: tuple[str, ...]) -> type[BaseModel]:
    """The answer's schema with the names that a factor may have, and at most one of each."""
    name = Annotated[str, Field(json_schema_extra={"enum": list(names)})]
    named = create_model(factor.__name__, __base__=factor, name=(name, ...))
    factors = Annotated[list[named], Field(max_length=len(names))]
    return create_model(answer.__name__, __base__=answer, factors=(factors, ...))
