"""What `loregraph list` shows: every registry's names with source and one line of documentation."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import asdict, dataclass, field
from typing import Any

from schemas.errors import ConfigError, unknown_name

REGISTRIES = {
    "recipes": ("features.recipes", "RECIPES"),
    "backbones": ("graph_models.backbones", "BACKBONES"),
    "objectives": ("graph_models.objectives", "OBJECTIVES"),
    "adaptors": ("graph_models.adaptors", "ADAPTORS"),
    "recommenders": ("recommenders", "RECOMMENDERS"),
    "tokenizers": ("features.tokenizers", "TOKENIZERS"),
    "instructions": ("features.instructions", "INSTRUCTIONS"),
    "click_models": ("recommenders.click", "CLICK_MODELS"),
    "encoders": ("language_models.encoders", "ENCODERS"),
    "engines": ("language_models.engines", "ENGINES"),
}


@dataclass(frozen=True)
class Entry:
    """One name that a run file can use."""

    name: str
    source: str  # paper, or what it is built on
    doc: str  # the first line of its documentation
    card: dict[str, str] = field(default_factory=dict)  # of a recipe: what it asks, yields and weighs

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def entries(kind: str) -> list[Entry]:
    """The entries of a registry in its order. Raises ConfigError for a kind that is none."""
    if kind not in REGISTRIES:
        raise ConfigError(unknown_name("list", kind, REGISTRIES))
    module, name = REGISTRIES[kind]
    registry: dict[str, Any] = getattr(importlib.import_module(module), name)
    return [_entry(key, part) for key, part in registry.items()]


def _entry(name: str, part: Any) -> Entry:
    """The first paragraph of the documentation, and the source as an attribute or as a line `Source: ...` of it."""
    paragraphs = [text.replace("\n", " ").strip() for text in (inspect.getdoc(part) or "").split("\n\n")]
    named = next((text.removeprefix("Source: ").rstrip(".") for text in paragraphs if text.startswith("Source: ")), "")
    return Entry(name, str(getattr(part, "source", named)), paragraphs[0], _card(part))


def _card(part: Any) -> dict[str, str]:
    if not hasattr(part, "asks"):
        return {}
    given, written = part.tokens
    tokens = f"typically {given} in and {written} out per {part.kind}"
    return {"asks": part.asks, "yields": part.yields, "tokens": tokens, "needs": ", ".join(part.needs)}
