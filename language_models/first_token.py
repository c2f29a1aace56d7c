"""The first token of an answer and how likely the likeliest ones were: asked for by a schema, kept as JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from schemas.errors import AnswerError
from schemas.records import JSON

MOST = 20  # as many as a chat endpoint gives (OpenAI API reference: top_logprobs)
DIGITS = 6  # of a log-probability that is kept
SPACE = "▁Ġ"  # the space before a word, as vocabularies write it


@cache
def first_token_schema(options: tuple[str, ...], likeliest: int = MOST) -> Mapping[str, JSON]:
    """The answer schema of a prompt that one token answers; one object for equal questions, as `KeyMaker` likes it.

    The options are for engines that fill a schema; a model is told of them by the prompt.
    """
    assert 1 <= likeliest <= MOST, f"first_token: expected 1 to {MOST}, found {likeliest}"
    return {"type": "string", "enum": list(options), "first_token": likeliest}


@dataclass(frozen=True, slots=True)
class FirstToken:
    """What the answer to such a prompt says."""

    answer: str  # the token that was written, without spaces around it
    logprobs: Mapping[str, float] = field(default_factory=dict)  # token -> natural log of its probability, likeliest
    # first; {} where the engine gives none, and the answer is then all there is

    @classmethod
    def of_tokens(cls, answer: str, told: Iterable[tuple[str, float]]) -> FirstToken:
        """Tokens that differ in the spaces around them alone are one; infinite log-probabilities are left out."""
        merged: dict[str, float] = {}
        for token, logprob in told:
            if (name := _bare(token)) and math.isfinite(logprob):
                merged[name] = _sum(merged.get(name, -math.inf), logprob)
        ordered = sorted(merged.items(), key=lambda entry: (-entry[1], entry[0]))
        return cls(_bare(answer), {name: round(logprob, DIGITS) for name, logprob in ordered})

    def to_text(self) -> str:
        """`{"answer": "Yes", "logprobs": {"Yes": -0.1, "No": -2.3}}`, the text of a completion."""
        return json.dumps({"answer": self.answer, "logprobs": self.logprobs}, ensure_ascii=False)

    def of(self, options: Sequence[str]) -> dict[str, float]:
        """Log-probability of every option that is among the likeliest tokens.

        Whole words match in any case (`yes`, `Yes` and `YES` are one option); single letters only as they are.
        """
        found: dict[str, float] = {}
        for option in options:
            same = [value for token, value in self.logprobs.items() if _same(token, option)]
            if same:
                total = -math.inf
                for value in same:
                    total = _sum(total, value)
                found[option] = total
        return found

    def chosen(self, options: Sequence[str]) -> str | None:
        """The option that the written token is; None where it is none of them."""
        return next((option for option in options if _same(self.answer, option)), None)


def read_first_token(text: str) -> FirstToken:
    """What `to_text` wrote. Raises AnswerError for another text."""
    try:
        said = json.loads(text)
        return FirstToken(str(said["answer"]), {str(name): float(value) for name, value in said["logprobs"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AnswerError("schema", f"expected the answer and logprobs of a first token, found {text[:80]}") from None


def _bare(token: str) -> str:
    return token.strip().lstrip(SPACE).strip()


def _same(token: str, option: str) -> bool:
    return token == option or (len(option) > 1 and token.casefold() == option.casefold())


def _sum(one: float, other: float) -> float:
    """log(exp(one) + exp(other))."""
    most = max(one, other)
    return most if most == -math.inf else most + math.log(math.exp(one - most) + math.exp(other - most))
