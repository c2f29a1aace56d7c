"""The last hidden states of any Hugging Face model, pooled to one vector per text.

With a language model's own hidden states as item vectors: Sheng et al. 2025 (AlphaRec, arXiv 2407.05441).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from language_models.causal_folder import BROKEN
from language_models.encoders.loading import pick_device, pick_dtype, quiet, reason, token_limit
from language_models.encoders.windows import Reading, Vectors, Window
from schemas.errors import ConfigError
from schemas.sections import Encoder

LOCAL = {"local_files_only": True, "trust_remote_code": False}  # no network, and no code out of a model's folder


class HiddenStatesModel:
    """Padding is on the right and masked, so no vector depends on its batch; weights are in `encoder.precision`."""

    def __init__(self, config: Encoder) -> None:
        """Raises ConfigError where the model is not on this machine, or cannot be read by itself."""
        self._device = pick_device(config.device)
        dtype = pick_dtype(config, self._device)
        with quiet():
            self._tokenizer, model = _load(config.name, dtype)
        self._model = model.to(self._device).eval()
        self._batch_size, self.prefix = config.batch_size, config.full_prefix
        self._pooling = "mean" if config.full_pooling == "auto" else config.full_pooling
        self.dim = int(model.config.get_text_config().hidden_size)
        self.limit = token_limit(config, self._tokenizer.model_max_length, model)
        known = (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, self._tokenizer.bos_token_id)
        self._pad = next((id for id in known if id is not None), 0)

    def counts(self, texts: Sequence[str]) -> list[int]:
        with quiet():
            return [len(row) for row in self._tokenizer(list(texts), verbose=False)["input_ids"]]

    def read(self, windows: Sequence[Window]) -> Reading:
        limit = {} if self.limit is None else {"truncation": True, "max_length": self.limit}
        texts = [window.text for window in windows]
        found = self._tokenizer(texts, verbose=False, **limit)["input_ids"]
        ids = [list(row) or [self._pad] for row in found]  # an empty text has a state to pool, too
        order = sorted(range(len(ids)), key=lambda row: -len(ids[row]))
        vectors = np.zeros((len(ids), self.dim), np.float32)
        for start in range(0, len(order), self._batch_size):
            rows = order[start : start + self._batch_size]
            vectors[rows] = self._encode([ids[row] for row in rows])
        return Reading(vectors, sum(map(len, ids)))

    def _encode(self, ids: Sequence[Sequence[int]]) -> Vectors:
        """Unit vectors [B, dim] of one batch."""
        longest = max(map(len, ids))
        lengths = torch.tensor([len(row) for row in ids])
        tokens = torch.tensor([[*row, *[self._pad] * (longest - len(row))] for row in ids])  # [B, T]
        mask = (torch.arange(longest) < lengths[:, None]).long().to(self._device)  # [B, T]
        with torch.inference_mode():
            states = self._model(input_ids=tokens.to(self._device), attention_mask=mask).last_hidden_state
            vectors = torch.nn.functional.normalize(pool(states.float(), mask, self._pooling), dim=1)
        return np.asarray(vectors.cpu().numpy(), dtype=np.float32)


def pool(states: torch.Tensor, mask: torch.Tensor, how: str) -> torch.Tensor:
    """One vector per text [B, D] of hidden states [B, T, D]; `mask` [B, T] is 0 for padding, on whichever side.

    mean: of all tokens; cls: the first one; last: the last one, which alone has seen the whole text in a causal model.
    """
    if how == "mean":
        weights = mask.unsqueeze(2).to(states.dtype)  # [B, T, 1]
        return (states * weights).sum(dim=1) / weights.sum(dim=1)
    place = mask.argmax(dim=1) if how == "cls" else mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)  # [B]
    return states[torch.arange(len(states), device=states.device), place]


def _load(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    folder = Path(name).expanduser()
    source = str(folder) if folder.is_dir() else name  # else a name in the local cache of Hugging Face
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **LOCAL)
        model = AutoModel.from_pretrained(source, dtype=dtype, **LOCAL)
    except BROKEN as error:
        raise ConfigError(
            f"encoder.name: {name}: expected the folder of a Hugging Face model, or a name in its local cache; cannot "
            f"be loaded ({reason(error)}); nothing is downloaded by itself"
        ) from None
    if model.config.is_encoder_decoder:
        raise ConfigError(
            f"encoder.name: {name}: expected an encoder or a causal model, found an encoder with a decoder; use kind = "
            f'"sentence_transformer"'
        )
    return tokenizer, model
