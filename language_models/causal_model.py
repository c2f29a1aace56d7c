"""A causal language model of Hugging Face in memory: prompts to token ids, and batches of them to texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LogitsProcessor
from transformers.utils import logging

from schemas.errors import ConfigError

Message = Mapping[str, str]
LOCAL = {"local_files_only": True, "trust_remote_code": False}  # no network, and no code out of a model's folder


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote to one prompt."""

    text: str
    tokens: int  # with the one that ends it
    ended: bool  # False where the limit cut it off


class CausalModel:
    """Model and tokenizer of a folder; bfloat16 on a GPU, float32 elsewhere. Only `temperature` shapes a choice."""

    def __init__(self, folder: Path, device: str) -> None:
        """Raises ConfigError where the folder or the device cannot be used."""
        self.device = _device(device)
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        with _quiet():
            try:
                self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, **LOCAL)
                model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **LOCAL)
            except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
                detail = f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:200]}"
                raise ConfigError(
                    f"llm.model: {folder}: cannot be loaded as a causal language model ({detail})"
                ) from None
        self._model = model.to(self.device).eval()
        self.context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._ends = _ends(model, self._tokenizer)
        self._pad = next((id for id in (self._tokenizer.pad_token_id, *self._ends) if id is not None), 0)
        self._model.generation_config = GenerationConfig(eos_token_id=self._ends or None, pad_token_id=self._pad)
        self._chat = self._tokenizer.chat_template is not None
        self._has_system = self._chat and self._takes_system()

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the messages in the model's chat template, or one below the other where it has none.

        A control token (`<|im_end|>`) that stands in a message is text, so no review can end its own message.
        """
        if not self._chat:
            text = "".join(f"{message['content']}\n\n" for message in messages)
            return list(self._tokenizer(text, split_special_tokens=True).input_ids)
        return self._render(merged(messages, self._has_system))

    def generate(
        self, inputs: Sequence[Sequence[int]], most: int, temperature: float, seeds: Sequence[int]
    ) -> list[Written] | None:
        """At most `most` tokens for each input; None where the batch is too large for the GPU's memory.

        `seeds`, one per input, decide all chance; at temperature 0 there is none.
        """
        try:
            return self._generate(inputs, most, temperature, seeds)
        except torch.OutOfMemoryError:
            pass  # the error holds the batch's tensors until this block is left
        torch.cuda.empty_cache()
        return None

    def _generate(
        self, inputs: Sequence[Sequence[int]], most: int, temperature: float, seeds: Sequence[int]
    ) -> list[Written]:
        longest = max(map(len, inputs))
        ids = torch.full((len(inputs), longest), self._pad)  # [B, T], padded on the left
        for row, tokens in zip(ids, inputs, strict=True):
            row[longest - len(tokens) :] = torch.tensor(tokens)
        lengths = torch.tensor([len(tokens) for tokens in inputs])
        mask = (torch.arange(longest) >= longest - lengths[:, None]).long()  # [B, T]
        chance = [_Chance(temperature, seeds, self.device)] if temperature > 0 else []
        with torch.inference_mode():
            written = self._model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                generation_config=GenerationConfig(max_new_tokens=most, do_sample=False, use_cache=True),
                logits_processor=chance,
            )
        return [self._read(row) for row in written[:, longest:].tolist()]

    def _read(self, tokens: list[int]) -> Written:
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        kept = tokens if end is None else tokens[:end]
        text = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Written(text.strip(), len(kept) + (end is not None), end is not None)

    def _render(self, messages: Sequence[Message]) -> list[int]:
        """`enable_thinking` is known to the templates of models that would otherwise think aloud past any limit."""
        ids = self._tokenizer.apply_chat_template(
            list(messages),
            add_generation_prompt=True,
            sanitize_control_tokens=True,
            return_dict=False,
            enable_thinking=False,
        )
        return list(ids)

    def _takes_system(self) -> bool:
        try:
            self._render([{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])
        except jinja2.TemplateError:
            return False
        return True


def merged(messages: Sequence[Message], has_system: bool) -> list[Message]:
    """Messages whose roles alternate, as most templates demand: neighbours of one role are one message.

    Without `has_system` (Gemma) the system's message is the user's first.
    """
    whole: list[Message] = []
    for message in messages:
        role = message["role"] if has_system or message["role"] != "system" else "user"
        if whole and whole[-1]["role"] == role:
            whole[-1] = {"role": role, "content": f"{whole[-1]['content']}\n\n{message['content']}"}
        else:
            whole.append({"role": role, "content": message["content"]})
    return whole


class _Chance(LogitsProcessor):  # type: ignore[misc]
    """Makes the choice of the likeliest token a sample (the Gumbel trick), with a generator for each row.

    With e exponential noise, p / e is largest at token t with probability p[t]. No answer depends on its batch.
    """

    def __init__(self, temperature: float, seeds: Sequence[int], device: torch.device) -> None:
        self._temperature = temperature
        self._generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  as transformers calls
        noise = torch.empty_like(scores)  # [B, V]
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        return scores / self._temperature - noise.log()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    except RuntimeError:
        raise ConfigError(f"llm.device: expected auto, cpu or cuda, found {name}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"llm.device: {name}: PyTorch finds no GPU here; expected auto or cpu")
    return device


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: chat models have one for the turn besides the one for the text."""
    named = model.generation_config.eos_token_id
    ends = {tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])}
    return sorted(id for id in ends if id is not None)


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no warnings while a model is loaded; both are put back."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
