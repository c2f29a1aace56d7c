"""The chat engines by name. Each builder imports its own file only when it is called."""

from __future__ import annotations

from collections.abc import Callable

from language_models.protocols import ChatEngine
from schemas.errors import ConfigError, unknown_name
from schemas.sections import Llm


def _offline(llm: Llm) -> ChatEngine:
    """Embedded and extractive: writes answers from the prompt's own facts; no network, no key, no cost.

    Source: candidate phrases as in Rose et al. 2010 (RAKE), section 1.2.
    """
    from language_models.engines.offline import OfflineEngine

    return OfflineEngine(llm)


def _openai(llm: Llm) -> ChatEngine:
    """Any OpenAI-compatible endpoint: asynchronous, bounded, with retries of its own.

    Source: OpenAI API reference, chat completions and structured outputs.
    """
    try:
        from language_models.engines.openai_engine import OpenAIEngine
    except ImportError as error:
        raise ConfigError(f"llm.engine: {error}; run: pip install 'loregraph[llm]'") from error
    return OpenAIEngine(llm)


def _recorded(llm: Llm) -> ChatEngine:
    """Reads the recorded answers of a language model from `llm.answers`.

    Source: the file's own `model` column, which is written to every row.
    """
    from language_models.engines.recorded import RecordedEngine

    return RecordedEngine(llm)


def _hf(llm: Llm) -> ChatEngine:
    """A causal language model in a folder on this machine, on its CPU or GPU: batched, no network, no key, no cost.

    Source: any model of Hugging Face transformers that AutoModelForCausalLM loads.
    """
    from language_models.engines.hf import HFEngine

    return HFEngine(llm)


ENGINES: dict[str, Callable[[Llm], ChatEngine]] = {
    "offline": _offline,
    "openai": _openai,
    "recorded": _recorded,
    "hf": _hf,
}


def make_engine(llm: Llm) -> ChatEngine:
    """The engine that the run file names; raises ConfigError where its settings do not fit."""
    if llm.engine not in ENGINES:
        raise ConfigError(unknown_name("llm.engine", llm.engine, ENGINES))
    return ENGINES[llm.engine](llm)
