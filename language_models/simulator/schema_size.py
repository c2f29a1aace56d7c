"""How much a JSON schema asks for, before it is filled: a few lines of references can ask for more than any memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from schemas.records import JSON

MOST_VALUES = 20_000  # of an answer
MOST_CHARACTERS = 1 << 20


@lru_cache(maxsize=1024)
def check_schema(text: str) -> None:
    """Raise ValueError for a schema (JSON text) that is too long, has no end, or asks for too many values."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"response_format: expected a schema of at most {MOST_CHARACTERS} characters")
    schema = json.loads(text)
    if (found := _Sizes(schema.get("$defs", {})).of(schema)) > MOST_VALUES:
        raise ValueError(f"response_format: expected a schema of at most {MOST_VALUES} values, this asks for {found:g}")


class _Sizes:
    """Values that a schema asks for at most; every definition is counted once."""

    def __init__(self, definitions: Mapping[str, JSON]) -> None:
        self._definitions = definitions
        self._known: dict[str, float] = {}

    def of(self, schema: JSON) -> float:
        if not isinstance(schema, Mapping):
            raise TypeError(f"response_format: expected a JSON schema, found {type(schema).__name__}")
        if "$ref" in schema:
            return self._referred(str(schema["$ref"]).rsplit("/", 1)[-1])
        options = [self.of(each) for name in ("anyOf", "oneOf", "allOf") for each in schema.get(name) or ()]
        fields = sum((self.of(each) for each in (schema.get("properties") or {}).values()), 1.0)
        return max([fields, self._repeated(schema), *options])

    def _repeated(self, schema: Mapping[str, JSON]) -> float:
        least = schema.get("minItems") or 0
        if not isinstance(least, int):
            raise TypeError(f"response_format: minItems: expected a whole number, found {str(least)[:40]}")
        return max(1, least) * self.of(schema["items"]) if "items" in schema else 1.0

    def _referred(self, name: str) -> float:
        if name not in self._known:
            self._known[name] = float("inf")  # of one that refers to itself
            self._known[name] = self.of(self._definitions[name])
        return self._known[name]
