"""What local encoders share: their device, the tokens that a model has places for, and quiet libraries."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch

from schemas.errors import ConfigError
from schemas.sections import Encoder

LOGGERS = ("sentence_transformers", "transformers", "huggingface_hub")
UNLIMITED = 10**9  # what tokenizers say who know of no limit is larger


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one. Raises ConfigError for one that cannot be used."""
    try:
        device = torch.device(name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    except RuntimeError:
        raise ConfigError(f"encoder.device: expected auto, cpu or cuda, found {name}") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"encoder.device: {name}: PyTorch finds no GPU here; expected auto or cpu")
    return device


def devices(name: str, workers: int | None) -> tuple[str, ...]:
    """The device of every process that encodes: `workers` of them in turn over the GPUs, else one for each GPU.

    `cuda`, and `auto` where there is one, mean all GPUs that are seen; any other name means that device alone.
    """
    device = pick_device(name)
    count = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 1
    places = [f"cuda:{number}" for number in range(count)] if count > 1 else [str(device)]
    return tuple(places[number % len(places)] for number in range(workers or len(places)))


def pick_dtype(config: Encoder, device: torch.device) -> torch.dtype:
    """The type of `encoder.precision`. Raises ConfigError for float16 without a GPU, where it is slow and overflows."""
    if config.precision == "float16" and device.type == "cpu":
        raise ConfigError("encoder.precision: float16 needs a GPU; expected float32 or bfloat16 on a CPU")
    found: torch.dtype = getattr(torch, config.precision)
    return found


def token_limit(config: Encoder, own: int | None, model: Any) -> int | None:
    """Tokens of a text at most: `encoder.max_tokens`, else the model's `own`; never more than it has places for.

    Raises ConfigError where more is asked for.
    """
    places = _places(model)
    if config.max_tokens is not None and places is not None and config.max_tokens > places:
        raise ConfigError(
            f"encoder.max_tokens: {config.name}: expected at most {places}, all that the model has places for, "
            f"found {config.max_tokens}"
        )
    known = [limit for limit in (config.max_tokens or own, places) if limit is not None and limit < UNLIMITED]
    return min(known, default=None)


def reason(error: Exception) -> str:
    """The first line of what a library says, short enough for a message."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:200]}"


@contextmanager
def quiet() -> Iterator[None]:
    """No log noise and no progress bars of the libraries below; the levels are put back."""
    transformers_logging = import_module("transformers.utils.logging")
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    bars = transformers_logging.is_progress_bar_enabled()
    try:
        transformers_logging.disable_progress_bar()
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _places(model: Any) -> int | None:
    """Positions that the model knows. RoBERTa's table begins behind the one of its padding."""
    if model is None:
        return None
    places: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if places is None or places < 1:
        return None
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return places if padding is None else places - padding - 1
