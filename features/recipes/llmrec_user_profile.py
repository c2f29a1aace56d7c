"""User profiles of LLMRec, without guesses about the person unless asked for (arXiv 2311.00423, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, Data, MaxItems, Recipe
from features.recipes.reading import NOTHING, Text, read_text
from schemas.records import Kind, ProfileRow, Row, Subject

Value = Annotated[Text, Field(max_length=300)]
GUESSES = """
6. "guessed_age", "guessed_gender", "guessed_country" are guesses about the user; "None" where nothing points to one."""


class Answer(BaseModel):
    """What the model is asked for."""

    liked: Value
    disliked: Value = NOTHING
    creators: Value = NOTHING
    language: Value = NOTHING


class GuessedAnswer(Answer):
    """The same, and guesses about the person: sensitive, and marked as guesses in every row."""

    guessed_age: Literal["under 18", "18-24", "25-34", "35-44", "45-54", "55 or over", "None"] = "None"
    guessed_gender: Literal["female", "male", "other", "None"] = "None"
    guessed_country: Value = NOTHING


@dataclass(frozen=True)
class LlmrecUserProfile(Recipe):
    """Shows a user's history; `guess` asks for age, gender and country too, which is off unless asked for."""

    name: ClassVar[str] = "llmrec.user_profile"
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "user"
    source: ClassVar[str] = "LLMRec (Wei et al. 2024, arXiv 2311.00423), section 3.2: user profiles"
    asks: ClassVar[str] = "kinds liked and disliked, creators and language; guessed age, gender, country if wanted"
    yields: ClassVar[str] = "profile (all of it as one text), liked, disliked, creators, language, guessed_*"
    tokens: ClassVar[tuple[int, int]] = (540, 90)
    answer: ClassVar[type[BaseModel]] = Answer
    words: ClassVar[Mapping[str, int]] = {"liked": 40, "disliked": 40, "creators": 40, "language": 10}
    writes: ClassVar[tuple[str, ...]] = ("profile", *GuessedAnswer.model_fields)
    brief: ClassVar[tuple[str, ...]] = tuple(GuessedAnswer.model_fields)

    max_items: MaxItems = 20
    guess: Annotated[
        bool, Field(description="ask for age, gender and country too, which are guesses and sensitive")
    ] = False

    @property
    def answer_model(self) -> type[BaseModel]:
        return GuessedAnswer if self.guess else Answer

    def system(self) -> str:
        return f"""\
You write a profile of a user from the {self.noun}s that the user chose.
You are given a JSON list of them, oldest first. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} A value that cannot be told is "None".
2. "liked" names kinds of {self.noun}s that the user likes, in at most 40 words.
3. "disliked" names kinds that the user would not like, in at most 40 words.
4. "creators" names authors, directors, artists or brands that the user likes.
5. "language" is the language that the user chooses {self.noun}s in.{GUESSES if self.guess else ""}"""

    def data(self, subject: Subject) -> Data:
        return self.history_data(subject)

    def read(self, subject: Subject, answer: str, key: str) -> Sequence[Row]:
        rows = [row for row in super().read(subject, answer, key) if isinstance(row, ProfileRow)]
        whole = "; ".join(f"{row.field.replace('_', ' ')}: {row.text.rstrip('.')}" for row in rows)
        return [*self.profile(subject, {"profile": read_text("profile", whole, None)}, key), *rows]
