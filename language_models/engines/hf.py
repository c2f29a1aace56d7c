"""Any causal language model of Hugging Face on this machine: batches of similar length, no network, no cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from language_models.model_folder import digest, find_model
from schemas.chunks import chunks
from schemas.errors import ConfigError, EngineError
from schemas.records import Completion, KeyMaker, Prompt
from schemas.sections import Llm

if TYPE_CHECKING:
    from language_models.causal_model import CausalModel, Written

VERSION = 1  # part of every key: raise it where the layout of messages changes
AHEAD = 8  # batches looked ahead: prompts among which those of similar length are found


@dataclass(frozen=True, slots=True)
class _Asked:
    prompt: Prompt
    key: str
    ids: list[int]
    most: int  # new tokens

    @property
    def order(self) -> tuple[int, int, int]:
        return *self.sort, len(self.ids)

    @property
    def sort(self) -> tuple[int, int]:
        """What a batch has in common."""
        return self.most, self.prompt.first_token


class HFEngine:
    """Answers with the model in the folder `llm.model`, `llm.batch_size` prompts at a time.

    The choice is the likeliest token at temperature 0, else a sample that the key of the call decides. A batch that
    does not fit into the GPU's memory is halved, and those after it stay so.
    """

    name = "hf"

    def __init__(self, llm: Llm) -> None:
        """Raises ConfigError where there is no such model. It is loaded when the first prompt comes."""
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise ConfigError(f"llm.engine: hf: no module {package}; run: pip install 'loregraph[text]'")
        self._llm = llm
        self._folder = find_model(llm.model)
        named = Path(llm.model).expanduser()
        self.model = (named.resolve() if named.is_dir() else named).name
        limits = {"temperature": llm.temperature, "max_output_tokens": llm.max_output_tokens}
        about = {"engine": self.name, "version": VERSION, "weights": digest(self._folder)}
        self._key = KeyMaker(self.model, {**about, **limits})
        self._batch_size = llm.batch_size
        self._loaded: CausalModel | None = None

    def key(self, prompt: Prompt) -> str:
        """Content key: the model's name and a digest of its files, the limits, and the prompt; not the device."""
        return self._key(prompt)

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        """Completions batch by batch; `AHEAD` batches of prompts are read ahead.

        A prompt that the model has no room for is `error:too_long`. Raises EngineError where one prompt alone does not
        fit into the GPU's memory.
        """
        for ahead in chunks(prompts, AHEAD * self._llm.batch_size):
            asked = [self._encode(prompt) for prompt in ahead]
            yield from (self._too_long(one) for one in asked if one.most < 1)
            fitting = sorted((one for one in asked if one.most > 0), key=lambda one: one.order, reverse=True)
            for _, alike in groupby(fitting, key=lambda one: one.sort):
                yield from self._in_batches(list(alike))

    def _encode(self, prompt: Prompt) -> _Asked:
        ids = self._causal.encode(prompt.messages())
        room = prompt.most_output(self._llm.max_output_tokens)
        context = self._causal.context
        return _Asked(prompt, self.key(prompt), ids, room if context is None else min(room, context - len(ids)))

    def _too_long(self, asked: _Asked) -> Completion:
        detail = f"prompt of {len(asked.ids)} tokens; {self.model} takes {self._causal.context}, its answer included"
        turn = asked.prompt.turn
        return Completion(asked.key, detail, "error:too_long", 0, 0, 0.0, self.model, 0.0, turn=turn)

    def _in_batches(self, asked: Sequence[_Asked]) -> Iterator[Completion]:
        done = 0
        while done < len(asked):
            batch = asked[done : done + self._batch_size]
            began = time.monotonic()
            written = self._write(batch)
            if written is None:
                self._batch_size = len(batch) // 2
                continue
            took = time.monotonic() - began
            yield from (self._completion(*pair, took) for pair in zip(batch, written, strict=True))
            done += len(batch)

    def _write(self, batch: Sequence[_Asked]) -> list[Written] | None:
        """None where the batch is too large, but its half may not be."""
        inputs, seeds = [one.ids for one in batch], [int(one.key[:15], 16) for one in batch]
        most, likeliest = batch[0].sort
        if likeliest:
            written = self._causal.first_tokens(inputs, likeliest, self._llm.temperature, seeds)
        else:
            written = self._causal.generate(inputs, most, self._llm.temperature, seeds)
        if written is None and len(batch) == 1:
            raise EngineError(
                f"{self.model}: {self._causal.device}: out of memory at one prompt of {len(inputs[0])} tokens and "
                f"{batch[0].most} new ones; lower llm.max_output_tokens or a recipe's max_characters"
            )
        return written

    def _completion(self, asked: _Asked, written: Written, took_s: float) -> Completion:
        reason = "stop" if written.ended else "length"
        counts = len(asked.ids), written.tokens
        return Completion(asked.key, written.text, reason, *counts, 0.0, self.model, took_s, turn=asked.prompt.turn)

    @property
    def _causal(self) -> CausalModel:
        if self._loaded is None:
            from language_models.causal_model import CausalModel

            self._loaded = CausalModel(self._folder, self._llm.device)
        return self._loaded
