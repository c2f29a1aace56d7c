"""A causal language model of Hugging Face in memory: prompts to token ids, and batches of them to texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor

from language_models.causal_folder import Message, load, merged, rendered, takes_system
from language_models.first_token import FirstToken
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Written:
    """What the model wrote to one prompt."""

    text: str
    tokens: int  # with the one that ends it
    ended: bool  # False where the limit cut it off


@dataclass(frozen=True, slots=True)
class _Run:
    """What came of one batch."""

    tokens: torch.Tensor  # [B, new tokens]
    first: torch.Tensor | None  # [B, V], the model's logits of the first new token, where one token is asked for


class CausalModel:
    """Model and tokenizer of a folder; bfloat16 on a GPU, float32 elsewhere. Only `temperature` shapes a choice."""

    def __init__(self, folder: Path, device: str) -> None:
        """Raises ConfigError where the folder or the device cannot be used."""
        self.device = _device(device)
        dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self._tokenizer, model = load(folder, dtype)
        self._model = model.to(self.device).eval()
        self.context: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        self._ends = _ends(model, self._tokenizer)
        self._pad = next((id for id in (self._tokenizer.pad_token_id, *self._ends) if id is not None), 0)
        self._model.generation_config = GenerationConfig(eos_token_id=self._ends or None, pad_token_id=self._pad)
        self._chat = self._tokenizer.chat_template is not None
        self._has_system = self._chat and takes_system(self._tokenizer)

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the messages in the model's chat template, or one below the other where it has none.

        A control token (`<|im_end|>`) that stands in a message is text, so no review can end its own message.
        """
        if not self._chat:
            text = "".join(f"{message['content']}\n\n" for message in messages)
            return list(self._tokenizer(text, split_special_tokens=True).input_ids)
        return rendered(self._tokenizer, merged(messages, self._has_system))

    def generate(
        self, inputs: Sequence[Sequence[int]], most: int, temperature: float, seeds: Sequence[int]
    ) -> list[Written] | None:
        """At most `most` tokens for each input; None where the batch is too large for the GPU's memory.

        `seeds`, one per input, decide all chance; at temperature 0 there is none.
        """
        run = self._within_memory(inputs, _limited(most), temperature, seeds)
        return None if run is None else [self._read(row) for row in run.tokens.tolist()]

    def first_tokens(
        self, inputs: Sequence[Sequence[int]], likeliest: int, temperature: float, seeds: Sequence[int]
    ) -> list[Written] | None:
        """`FirstToken.to_text` of one token for each input, out of one forward pass; else as `generate`.

        Log-probabilities are the model's own, before the temperature.
        """
        run = self._within_memory(inputs, _limited(1), temperature, seeds)
        if run is None or run.first is None:
            return None
        told = run.first.float().log_softmax(dim=-1)  # [B, V]
        top = told.topk(min(likeliest, told.shape[1]), dim=-1)
        rows = zip(run.tokens[:, 0].tolist(), top.indices.tolist(), top.values.tolist(), strict=True)
        return [Written(self._first(*row).to_text(), 1, ended=True) for row in rows]

    def _within_memory(
        self, inputs: Sequence[Sequence[int]], config: GenerationConfig, temperature: float, seeds: Sequence[int]
    ) -> _Run | None:
        try:
            return self._run(inputs, config, temperature, seeds)
        except torch.OutOfMemoryError:
            pass  # the error holds the batch's tensors until this block is left
        torch.cuda.empty_cache()
        return None

    def _run(
        self, inputs: Sequence[Sequence[int]], config: GenerationConfig, temperature: float, seeds: Sequence[int]
    ) -> _Run:
        longest = max(map(len, inputs))
        ids = torch.full((len(inputs), longest), self._pad)  # [B, T], padded on the left
        for row, tokens in zip(ids, inputs, strict=True):
            row[longest - len(tokens) :] = torch.tensor(tokens)
        lengths = torch.tensor([len(tokens) for tokens in inputs])
        mask = (torch.arange(longest) >= longest - lengths[:, None]).long()  # [B, T]
        chance = [_Chance(temperature, seeds, self.device)] if temperature > 0 else []
        with torch.inference_mode():
            done = self._model.generate(
                input_ids=ids.to(self.device),
                attention_mask=mask.to(self.device),
                generation_config=config,
                logits_processor=chance,
            )
        return _Run(done.sequences[:, longest:], done.logits[0] if done.logits else None)

    def _read(self, tokens: list[int]) -> Written:
        end = next((at for at, token in enumerate(tokens) if token in self._ends), None)
        kept = tokens if end is None else tokens[:end]
        text = self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Written(text.strip(), len(kept) + (end is not None), end is not None)

    def _first(self, token: int, likeliest: list[int], logprobs: list[float]) -> FirstToken:
        texts = self._tokenizer.batch_decode([[id] for id in likeliest], clean_up_tokenization_spaces=False)
        return FirstToken.of_tokens(self._read([token]).text, zip(texts, logprobs, strict=True))


def _limited(most: int) -> GenerationConfig:
    """At most so many new tokens, and the logits that a first one is chosen from."""
    logits = {"return_dict_in_generate": True, "output_logits": most == 1}
    return GenerationConfig(max_new_tokens=most, do_sample=False, use_cache=True, **logits)


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
