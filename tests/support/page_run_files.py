"""The run-file fragments of the pages, put on top of the smallest whole run file that they can stand in."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.recipes import RECIPES

BASE: dict[str, Any] = {"name": "page", "lake": "lake", "data": {"path": "data"}}
STAND_INS = {  # parts that a fragment only names, because another page shows them
    "models": {
        "item_knn": {"name": "item_knn", "recommender": "item_knn"},
        "knn": {"name": "knn", "recommender": "item_knn"},
        "lightgcn": {"name": "lightgcn", "backbone": {"name": "lightgcn"}},
    },
    "semantic_ids": {name: {"name": name, "item": "title"} for name in ("codes", "rq")},
}


def whole(text: str) -> str:
    """The fragment as a whole run file, in TOML; what it refers to and does not have is added."""
    given = tomllib.loads(text)
    found = {**BASE, **given, "data": {**BASE["data"], **given.get("data", {})}}
    for kind, parts in STAND_INS.items():
        mine = found.get(kind, [])
        there = {each.get("name") for each in mine}
        wanted = [part for name, part in parts.items() if name not in there and f'"{name}"' in text]
        found[kind] = [*mine, *wanted]
    found["recipes"] = [*found.get("recipes", []), *_recipes(text, found.get("recipes", []))]
    if names := [each["name"] for each in found["models"]]:
        found.setdefault("baseline", names[0])
    return _toml({key: value for key, value in found.items() if value != []})


def _recipes(text: str, mine: list[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Recipes whose texts the fragment reads, with those whose texts they show."""
    wanted = {name for name in RECIPES if f'"{name}/' in text or f'"{name}"' in text}
    for name in [*wanted, *(each["name"] for each in mine)]:
        wanted |= set(getattr(RECIPES.get(name), "needs", ()))
    there = {each["name"] for each in mine}
    return [{"name": name} for name in RECIPES if name in wanted and name not in there]


def _toml(found: Mapping[str, Any]) -> str:
    return "\n".join(f"{key} = {_value(value)}" for key, value in found.items()) + "\n"


def _value(value: Any) -> str:
    """A value on one line; tables become inline ones."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key) else f'"{key}"'


def write_whole(text: str, folder: Path) -> Path:
    """Write the fragment as a whole run file; returns it."""
    file = folder / "run.toml"
    file.write_text(whole(text), encoding="utf-8")
    return file
