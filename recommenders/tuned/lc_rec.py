"""LC-Rec: semantic ids are words of the language model, which learns what they mean (arXiv 2311.09049)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from features.codes import ItemCodes
from features.corpus import Corpus
from features.instructions import code_wording as wording
from features.instructions.messages import Worded, plain
from features.table import FeatureSet
from graph_models.options import Count
from language_models.tuning.batches import Example, Text
from recommenders.histories import Histories, Int64
from recommenders.reranking import History
from recommenders.tuned.generator import Generator, GeneratorOptions
from recommenders.tuned.lessons import Lesson
from recommenders.tuned.options import LanguageModelOptions
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Model

Draw = np.random.Generator
Task = Callable[[Lesson, Draw], Example]
Word = Callable[..., Worded]  # what is known, noun, draw
Write = Callable[[Sequence[int]], list[str]]  # items as text
CODES = "codes.json"


@dataclass(frozen=True, kw_only=True)
class LCRecOptions(GeneratorOptions):
    """`history`: 20 as published."""

    history: History = 20
    alignment: Annotated[
        Count, Field(description="examples of the other tasks for every next item that is learned")
    ] = 1


class LCRec(Generator):
    """Writes the semantic ids of the next item, each code a new token.

    Besides next items it learns what codes stand for: titles from codes and codes from titles, the next item's from the
    other's history, and where the run file shows profiles, what users like and which item fits a text. The text of a
    user is of train alone, that of an item is about the item, never about the held-out pair.
    """

    name: ClassVar[str] = "lc_rec"
    source: ClassVar[str] = "Zheng et al., ICDE 2024, arXiv 2311.09049"
    Options: ClassVar[type[LanguageModelOptions]] = LCRecOptions
    codes: tuple[str, ...]  # of every item, as text

    @classmethod
    def check_parts(cls, model: Model, run: Run, where: str) -> None:
        super().check_parts(model, run, where)
        if model.features is None or model.features.semantic_ids is None:
            raise ConfigError(
                f"{where}.features.semantic_ids: missing; {cls.name} writes codes of items: name an entry of "
                "[[semantic_ids]]"
            )

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        assert features.codes is not None, "checked with the run file"
        self.codes = texts_of(features.codes)
        super().fit(corpus, features)

    def new_tokens(self) -> tuple[str, ...]:
        """Every code of every level that an item has."""
        return tuple(sorted({f"{part}>" for text in self.codes for part in text.split(">") if part}))

    def written(self, item: int) -> tuple[int, ...]:
        return self.response(self.codes[item])

    def prompt(self, user: int, places: Int64) -> Text:
        del user
        return self._worded(wording.next_codes, self._coded, self.serving, places, None)

    def examples(self, lessons: Sequence[Lesson], generator: Draw) -> list[Example]:
        found = [self._next(lesson, generator) for lesson in lessons]
        tasks = self.tasks()
        for lesson in lessons:
            drawn = generator.integers(len(tasks), size=self.options.alignment)
            found += [tasks[number](lesson, generator) for number in drawn]
        return found

    def tasks(self) -> list[Task]:
        """What else is learned of a lesson, or of an item that is drawn."""
        found: list[Task] = [self._title_to_codes, self._codes_to_title, self._from_titles, self._to_title]
        found += [self._preference] if self.shown.profiles.get("user") else []
        return found + ([self._search] if self.shown.profiles.get("item") else [])

    # ---- tasks between histories and items

    def _next(self, lesson: Lesson, draw: Draw) -> Example:
        return self._of_history(wording.next_codes, self._coded, lesson, draw, self.written(lesson.item))

    def _from_titles(self, lesson: Lesson, draw: Draw) -> Example:
        answer = self.written(lesson.item)
        return self._of_history(wording.titles_to_next_codes, self._titled, lesson, draw, answer)

    def _to_title(self, lesson: Lesson, draw: Draw) -> Example:
        answer = self.response(self.shown.titles[lesson.item])
        return self._of_history(wording.codes_to_next_title, self._coded, lesson, draw, answer)

    def _preference(self, lesson: Lesson, draw: Draw) -> Example:
        profile = self.shown.profile("user", lesson.user)
        if profile is None:
            return self._to_title(lesson, draw)
        return self._of_history(wording.preference, self._coded, lesson, draw, self.response(plain(profile)))

    # ---- tasks about one item, which is any of the catalogue

    def _title_to_codes(self, lesson: Lesson, draw: Draw) -> Example:
        item = self._item(lesson, draw)
        return self._of_item(wording.title_to_codes, self.shown.titles[item], draw, self.written(item))

    def _codes_to_title(self, lesson: Lesson, draw: Draw) -> Example:
        item = self._item(lesson, draw)
        return self._of_item(wording.codes_to_title, self.codes[item], draw, self.response(self.shown.titles[item]))

    def _search(self, lesson: Lesson, draw: Draw) -> Example:
        item = self._item(lesson, draw)
        profile = self.shown.profile("item", item)
        if profile is None:
            return self._title_to_codes(lesson, draw)
        return self._of_item(wording.search, profile, draw, self.written(item))

    # ---- prompts

    def _of_history(self, word: Word, write: Write, lesson: Lesson, draw: Draw, answer: tuple[int, ...]) -> Example:
        prompt = self._worded(word, write, self.learned.histories, self.latest(lesson.before), draw)
        return Example(prompt, answer)

    def _of_item(self, word: Word, text: str, draw: Draw, answer: tuple[int, ...]) -> Example:
        worded = word(text, noun=self.options.noun, draw=draw)
        return Example(self.ask(lambda _: worded, np.zeros(0, dtype=np.int64)), answer)

    def _worded(self, word: Word, write: Write, histories: Histories, places: Int64, draw: Draw | None) -> Text:
        """A prompt about a history. Which of the wordings it has is drawn once, however long the history may be."""
        seed = None if draw is None else int(draw.integers(2**31))

        def worded(some: Int64) -> Worded:
            again = None if seed is None else np.random.default_rng(seed)
            return word(write(histories.item[some].tolist()), noun=self.options.noun, draw=again)

        return self.ask(worded, places)

    def _coded(self, items: Sequence[int]) -> list[str]:
        return [self.codes[item] for item in items]

    def _titled(self, items: Sequence[int]) -> list[str]:
        return [self.shown.titles[item] for item in items]

    def _item(self, lesson: Lesson, draw: Draw) -> int:
        del lesson
        return int(draw.integers(len(self.codes)))

    # ---- keeping

    def save(self, folder: Path) -> None:
        super().save(folder)
        (folder / CODES).write_text(json.dumps(self.codes))

    def restore(self, folder: Path, state: dict[str, Tensor]) -> None:
        self.codes = tuple(json.loads((folder / CODES).read_text()))
        super().restore(folder, state)


def texts_of(codes: ItemCodes) -> tuple[str, ...]:
    """The codes of every item as text: `<a_12><b_7>`."""
    return tuple(wording.code_text(row) for row in codes.codes.tolist())
