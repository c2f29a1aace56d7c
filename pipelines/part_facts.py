"""What the code says of a part that a run file can name: its options with type, default and meaning, and a card."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.listing import REGISTRIES
from schemas.errors import ConfigError, unknown_name
from schemas.sections import Encoder, Llm

NEEDED = "needed"  # in place of a default
TYPES = {bool: "true or false", int: "integer", float: "number", str: "text"}
SECTIONS: dict[str, type[BaseModel]] = {"engines": Llm, "encoders": Encoder}  # whose parts are chosen by a key
OF_ENGINE = {"openai": ("openai", "batch"), "recorded": ("recorded",), "hf": ("hf",), "offline": ()}
OWNERS = {word for words in OF_ENGINE.values() for word in words}
RANGES = ((Gt, "gt", "above"), (Ge, "ge", "at least"), (Lt, "lt", "below"), (Le, "le", "at most"))


@dataclass(frozen=True)
class PartOption:
    """One option as a reader wants it."""

    name: str
    type: str  # with the range that is allowed
    default: str  # as TOML writes it; `none` where it is left out, `needed` where there is none
    meaning: str


def find_part(kind: str, name: str) -> Any:
    """The class or builder of a name. Raises ConfigError on an unknown kind or name."""
    if kind not in REGISTRIES:
        raise ConfigError(unknown_name("part", kind, REGISTRIES))
    module, registry = REGISTRIES[kind]
    parts: Mapping[str, Any] = getattr(importlib.import_module(module), registry)
    if name not in parts:
        raise ConfigError(unknown_name(kind, name, parts))
    return parts[name]


def part_options(kind: str, name: str) -> list[PartOption]:
    """The options of a part, in the order of its code; of an engine or encoder the keys of its section that it has."""
    part = find_part(kind, name)
    if kind in SECTIONS:
        return list(_of_section(kind, name))
    if kind == "recipes":
        return list(_of_fields(part))
    return list(_of_constructor(part.options_of() if kind == "recommenders" else part))


def part_card(kind: str, name: str) -> dict[str, str]:
    """What a part's class attributes say: what it reads and gives, and the values that a search tries."""
    part = find_part(kind, name)
    told = {label: _told(getattr(part, attribute, None)) for label, attribute in CARDS.get(kind, {}).items()}
    if kind == "recipes":
        told |= {"tokens of a call": "{} in, {} out, typically".format(*part.tokens), "about": f"every {part.kind}"}
    space = "; ".join(f"`{option}` {', '.join(map(str, values))}" for option, values in _space(part).items())
    return {label: text for label, text in {**told, "a search tries": space}.items() if text}


CARDS = {
    "recipes": {"asks": "asks", "yields": "yields", "shows answers of": "needs"},
    "backbones": {"reads text": "needs_text"},
    "objectives": {
        "reads text": "needs_text",
        "reads codes": "needs_codes",
        "reaches items that nobody has": "gives_vectors",
    },
    "recommenders": {
        "reads text": "reads_text",
        "trained by steps": "learns",
        "another seed, another model": "seeded",
        'takes `cold_items = "text"`': "places_cold_items",
    },
    "tokenizers": {"reads text": "reads_text", "reads train": "reads_train"},
    "instructions": {"needs": "needs", "may read": "reads"},
}


def _told(value: Any) -> str:
    """A class attribute in words; nothing where it says nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(f"`{each}`" for each in value)
    return str(value or "")


def _space(part: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(part, "space", {})
    return found


def _of_constructor(part: type) -> Iterator[PartOption]:
    hints = get_type_hints(part.__init__, include_extras=True)  # type: ignore[misc]
    factories = {each.name: each for each in dataclasses.fields(part)} if dataclasses.is_dataclass(part) else {}
    for name, each in inspect.signature(part).parameters.items():
        if each.kind is inspect.Parameter.KEYWORD_ONLY:
            default = _default(factories[name]) if name in factories else each.default
            yield _option(name, hints[name], default, inspect.Parameter.empty)


def _of_fields(part: Any) -> Iterator[PartOption]:
    hints = get_type_hints(part, include_extras=True)
    for each in dataclasses.fields(part):
        if each.metadata.get("option", True):
            yield _option(each.name, hints[each.name], _default(each), dataclasses.MISSING)


def _of_section(kind: str, name: str) -> Iterator[PartOption]:
    """Keys of `[llm]` or `[encoder]`; those that are another engine's or encoder's are left out."""
    for key, info in SECTIONS[kind].model_fields.items():
        meaning = info.description or ""
        owner = meaning.partition(":")[0]
        if key in ("kind", "engine") or key in Encoder.FOREIGN.get(name if kind == "encoders" else "", ()):
            continue
        if kind == "encoders" or owner not in OWNERS or owner in OF_ENGINE[name]:
            yield PartOption(key, _range(info), _written(info.default), meaning)


def _option(name: str, hint: Any, default: Any, nothing: object) -> PartOption:
    info = FieldInfo.from_annotation(hint)
    return PartOption(name, _range(info), NEEDED if default is nothing else _written(default), info.description or "")


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _range(info: FieldInfo) -> str:
    """A type with its constraints in words: `number above 0`."""
    words = [_type(info.annotation)]
    for constraint, attribute, word in RANGES:
        words += [f"{word} {getattr(each, attribute)}" for each in info.metadata if isinstance(each, constraint)]
    return ", ".join([" ".join(words[:2]), *words[2:], *_length(info)])


def _length(info: FieldInfo) -> list[str]:
    least = [each.min_length for each in info.metadata if isinstance(each, MinLen)]
    most = [each.max_length for each in info.metadata if isinstance(each, MaxLen)]
    if least and least == most:
        return [f"{least[0]} of them"]
    return [f"{each} or more" for each in least] + [f"{each} at most" for each in most]


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _range(FieldInfo.from_annotation(annotation))
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in inner)
    if origin in (Union, UnionType):
        return ", ".join(_type(each) for each in inner if each is not NoneType)
    if origin in (list, tuple):
        return f"list of {_several(inner[0])}"
    if origin is dict:
        return f"table of {_several(inner[1])}"
    return TYPES.get(annotation, "value")


def _several(annotation: Any) -> str:
    """`integers above 0` of what is an integer above 0."""
    return re.sub(r"^\w+", lambda word: f"{word[0]}s", _type(annotation))


def _written(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
