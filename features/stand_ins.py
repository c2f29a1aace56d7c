"""What answers that nobody has given yet will look like: how long they are, and a text to put in their place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import chain, islice
from operator import itemgetter

from features.recipes.base import Recipe
from language_models.judging import answer_text
from language_models.ledger import Ledger
from language_models.protocols import ChatEngine
from language_models.tokens import estimate_tokens
from schemas.errors import AnswerError
from schemas.records import ProfileRow, Prompt, Subject
from schemas.sections import Llm

SAMPLE = 200  # questions and answers behind a mean
# Of its word or output limit, as long as nothing was answered. Measured on recorded answers: 0.1 to 0.8 of the words
# asked for, by model; a first night's plan of a recipe that shows another's texts is no better than that.
SHARE = 0.3
INSTANT = ("offline",)  # engines that can be tried out: they call nobody, and answer at once
PROSE = (
    "People who enjoy a quiet story about family, memory and a long journey home, told with dry humour and a sharp eye "
    "for detail; likely to appreciate careful characters, an unhurried plot and the landscape of another century. "
)
Row = tuple[str, Subject, Prompt]  # a question with its key


@dataclass
class Samples:
    """Some of the rows of a survey, by the lowest keys: a random choice that is the same every time."""

    answered: list[str] = field(default_factory=list)  # keys
    rows: list[Row] = field(default_factory=list)  # to ask

    def add_answered(self, keys: Iterable[str]) -> None:
        self.answered = nsmallest(SAMPLE, chain(self.answered, keys))

    def add_prompt(self, row: Row) -> None:
        self.rows.append(row)
        if len(self.rows) >= 2 * SAMPLE:
            self.rows = self.chosen()

    def chosen(self) -> list[Row]:
        """The sampled questions."""
        return nsmallest(SAMPLE, self.rows, key=itemgetter(0))


def expected_output(samples: Samples, engine: ChatEngine, ledger: Ledger, llm: Llm) -> int:
    """Output tokens of a call: the mean of those before, follow-ups included; else a share of the limit."""
    past = [sum(answer.output_tokens for answer in turns) for turns in ledger.answers(samples.answered).values()]
    if not past and engine.name in INSTANT:
        past = [answer.output_tokens for answer in engine.answer(prompt for _, _, prompt in samples.chosen())]
    return round(sum(past) / len(past)) if past else round(SHARE * llm.max_output_tokens)


def stand_in(recipe: Recipe, texts: Mapping[str, str], samples: Samples, engine: ChatEngine) -> str:
    """A text as long as the recipe's texts are: one of `texts`, by subject id, else as its word limit has it.

    It is nobody's text, so that no prompt with it has been asked before.
    """
    known = list(islice(texts.values(), 0, None, max(1, len(texts) // SAMPLE)))
    if not known and engine.name in INSTANT:
        known = list(_written(recipe, samples.chosen(), engine))
    return (_typical(known) if known else prose(recipe)).rstrip(".") + "…"


def _written(recipe: Recipe, asked: Sequence[Row], engine: ChatEngine) -> Iterator[str]:
    """What the engine writes into the recipe's main field."""
    subjects, field = {key: subject for key, subject, _ in asked}, recipe.main_field()
    for answer in engine.answer(prompt for _, _, prompt in asked):
        try:
            rows = recipe.read(subjects[answer.key], answer_text(answer), answer.key)
        except AnswerError:
            continue
        yield from (row.text for row in rows if isinstance(row, ProfileRow) and row.field == field)


def _typical(texts: Sequence[str]) -> str:
    """The text whose tokens are nearest to the mean."""
    tokens = [estimate_tokens(text) for text in texts]
    mean = sum(tokens) / len(tokens)
    return min(zip(tokens, texts, strict=True), key=lambda entry: abs(entry[0] - mean))[1]


def prose(recipe: Recipe) -> str:
    """A text of as many words as answers have on average, from a model that has not answered yet."""
    known = PROSE.split()
    words = round(SHARE * recipe.words.get(recipe.main_field(), len(known)))
    return " ".join((known * (words // len(known) + 1))[:words])
