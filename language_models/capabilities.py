"""What each chat engine can give, and the error for a recommender that needs more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from schemas.errors import ConfigError

MEANING = {
    "chat": "answers to prompts",
    "logprobs": "log-probabilities of an answer's first token",
    "logits": "the scores of all tokens at any position",
    "hidden": "hidden states",
    "train": "weights that can be tuned",
    "inputs_embeds": "vectors in place of tokens",
}
CAPABILITIES: Mapping[str, frozenset[str]] = {
    "offline": frozenset({"chat"}),
    "openai": frozenset({"chat", "logprobs"}),  # some models of an endpoint give no log-probabilities all the same
    "recorded": frozenset({"chat"}),
    "hf": frozenset(MEANING),
}


def require(system: str, needs: Iterable[str], engine: str, where: str, instead: str = "") -> None:
    """Raises ConfigError where the engine lacks something that `system` needs.

    `where` is the place in the run file (`run.toml: models.x`), `instead` a system that does with less.
    """
    lacking = [need for need in needs if need not in CAPABILITIES[engine]]
    if not lacking:
        return
    able = [name for name, given in CAPABILITIES.items() if given >= {*lacking, "chat"}]
    other = [f"engine {' or '.join(able)}", *([instead] if instead else [])]
    raise ConfigError(
        f"{where}: {system} needs {' and '.join(lacking)} ({'; '.join(MEANING[need] for need in lacking)}); engine "
        f"{engine} offers none: use {', or '.join(other)}"
    )
