"""P5's title indexing: an item is the words of its title."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from features.codes import END
from features.tokenizers.base import Int32, Int64, TokenInputs, Tokenizer
from features.tokenizers.ties import with_extra_code

Words = Annotated[int, Field(gt=0, le=64, description="of a title that count")]
NO_TITLE, UNKNOWN = 0, 1  # codes that stand for no word


class P5Title(Tokenizer):
    """Words of the title in small letters, each a code of one vocabulary for all levels; -1 fills after the last.

    The first `words` of a title count. Where titles repeat, all but the first item get a further code: 2nd, 3rd, ... A
    word that `fit` has not seen is the unknown one, an item without a title the code that says so.
    """

    source: ClassVar[str] = "Hua et al., SIGIR-AP 2023 (P5 indexing: TID), arXiv 2305.06569"
    one_vocabulary: ClassVar[bool] = True

    def __init__(
        self,
        *,
        column: Annotated[str, Field(description="column of the items that holds it")] = "title",
        words: Words = 16,
    ) -> None:
        super().__init__()
        self.column, self.words = column, words

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (len(self.about["words"]) + 2,) * self.words

    def encode(self, inputs: TokenInputs) -> Int32:
        code = {word: number for number, word in enumerate(self.about["words"], start=2)}
        found = np.full((inputs.items.height, self.words), END, dtype=np.int32)
        for row, words in enumerate(self._titles(inputs)):
            told = [code.get(word, UNKNOWN) for word in words] or [NO_TITLE]
            found[row, : len(told)] = told
        return found

    def unique(self, inputs: TokenInputs, codes: Int32, new: Int64, taken: Int32) -> Int32:
        """The codes [n, words + 1], with the number of a repeated title after its last word."""
        del inputs
        words, vocabulary = codes[new], self.sizes[0]
        before = np.array([self._numbered(row, vocabulary) for row in taken.tolist()], dtype=np.int32)
        number = with_extra_code(words, before.reshape(-1, self.words + 1))[:, -1]
        found = np.column_stack([words, np.full(len(words), END)]).astype(np.int32)
        again = np.flatnonzero(number > 0)
        found[again, (words[again] >= 0).sum(axis=1)] = vocabulary + number[again] - 1
        return found

    def _numbered(self, row: list[int], vocabulary: int) -> list[int]:
        """A published tuple as its words and its number among equal titles, 0 of the first."""
        words = [code for code in row if 0 <= code < vocabulary]
        number = max((code - vocabulary + 1 for code in row if code >= vocabulary), default=0)
        return [*words, *[END] * (self.words - len(words)), number]

    def _fit(self, inputs: TokenInputs) -> None:
        self.about = {"words": sorted({word for title in self._titles(inputs) for word in title})}

    def _titles(self, inputs: TokenInputs) -> list[list[str]]:
        titles = inputs.items[self.column].to_list()
        return [re.findall(r"\w+", str(title or "").lower())[: self.words] for title in titles]
