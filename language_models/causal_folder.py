"""A causal language model of Hugging Face in a folder: loading it, and its chat template. Imports nothing heavy."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from schemas.errors import ConfigError

if TYPE_CHECKING:
    import torch

Message = Mapping[str, str]
# what libraries raise for a folder that is damaged, or that holds code: weights are read as data alone
BROKEN = (OSError, ValueError, ImportError, RuntimeError, KeyError, TypeError, SafetensorError, pickle.UnpicklingError)
LOCAL = {"local_files_only": True, "trust_remote_code": False}  # no network, and no code out of a model's folder


def load(folder: Path, dtype: torch.dtype) -> tuple[Any, Any]:
    """Tokenizer and causal language model of a folder. Raises ConfigError where they cannot be loaded."""
    from transformers import AutoModelForCausalLM, AutoTokenizer  # takes seconds

    with _quiet():
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder, **LOCAL)
            return tokenizer, AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **LOCAL)
        except BROKEN as error:
            detail = f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:200]}"
            raise ConfigError(f"llm.model: {folder}: cannot be loaded as a causal language model ({detail})") from None


def rendered(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    """Token ids of messages in the tokenizer's chat template, up to where the model's answer begins.

    `enable_thinking` is known to the templates of models that would otherwise think aloud past any limit.
    """
    ids = tokenizer.apply_chat_template(
        list(messages),
        add_generation_prompt=True,
        sanitize_control_tokens=True,
        return_dict=False,
        enable_thinking=False,
    )
    return list(ids)


def takes_system(tokenizer: Any) -> bool:
    """Whether the chat template knows a system's message."""
    import jinja2  # transformers needs it for templates, and nothing here does

    try:
        rendered(tokenizer, [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}])
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


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars and no warnings while a model is loaded; both are put back."""
    from transformers.utils import logging  # takes seconds

    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
