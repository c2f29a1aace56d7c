"""The embedded engine: deterministic and extractive, so that a night runs with no network, no key and no cost.

It reads the user message alone and fills the answer's schema with the facts in it (phrases: Rose et al. 2010).
Its rows are marked `model=offline`: they are summaries of the catalogue, not knowledge of a language model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from language_models.filling import answer_json
from language_models.tokens import estimate_tokens, prompt_tokens
from schemas.records import Completion, KeyMaker, Prompt
from schemas.sections import Llm

VERSION = 1  # part of every key: a better engine answers again


class OfflineEngine:
    """Answers from the prompt's own facts; `None` where there are none."""

    name = "offline"
    model = "offline"

    def __init__(self, llm: Llm) -> None:  # noqa: ARG002
        """`llm` is taken as every engine takes it; nothing in it changes an extract."""
        self._key = KeyMaker(self.model, {"engine": self.name, "version": VERSION})

    def key(self, prompt: Prompt) -> str:
        return self._key(prompt)

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """One completion per prompt, in order; tokens are estimated."""
        for prompt in prompts:
            text = answer_json(prompt.answer_schema, prompt.user)
            tokens = prompt_tokens(prompt), estimate_tokens(text)
            yield Completion(self.key(prompt), text, "stop", *tokens, 0.0, self.model, 0.0, turn=prompt.turn)
