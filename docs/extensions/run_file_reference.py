"""Every key of the run file as a page, written from the pydantic models that read it: `docs/reference/run-file.md`."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from generated_page import written_first
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx

from schemas.run import Run

PAGE = Path(__file__).parents[1] / "reference" / "run-file.md"
HEAD = """# Every key of the run file

Made from `schemas/run.py` and `schemas/sections/` by `make docs`; do not edit it here. A key that is not in these
tables is an error, which names the nearest one that is. A section may be left out unless it says *needed*; so may
every key with a default.

`loregraph list recipes` (or `backbones`, `objectives`, `adaptors`, `recommenders`, `tokenizers`, `instructions`,
`click_models`) shows the options of the parts that a run file names; [the pages of the parts](../parts/index.md) have
them too.
"""
WRITTEN = {  # in an entry of a list, itself a list -> how the section is written
    (False, False): "[{}]",
    (False, True): "[[{}]]",
    (True, False): "{} = {{ ... }}",
    (True, True): "{} = [{{ ... }}]",
}
PLURAL: dict[Any, str] = {str: "texts", int: "whole numbers", float: "numbers"}
BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True)
class Table:
    """One section of the run file: how it is written, its model, and whether it may be left out."""

    written: str
    model: type[BaseModel]
    path: str
    needed: bool = False


def tables(model: type[BaseModel] = Run) -> Iterator[Table]:
    """The top level, then every section in the order of the model, each before what it holds."""
    yield Table("Top level", model, "")
    yield from _below(model, "", many=False)


def _below(model: type[BaseModel], path: str, many: bool) -> Iterator[Table]:
    for name, field in model.model_fields.items():
        if (inner := section_in(field.annotation)) is None:
            continue
        listed = get_origin(field.annotation) is tuple
        place = f"{path}.{name}" if path else name
        yield Table(WRITTEN[many, listed].format(place), inner, place, field.is_required())
        yield from _below(inner, place, many or listed)


def section_in(annotation: Any) -> type[BaseModel] | None:
    """The section inside an annotation such as `Part | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := section_in(inner))), None)


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(_table(each) for each in tables())])


def _table(table: Table) -> str:
    keys = [
        _row(name, field)
        for name, field in table.model.model_fields.items()
        if section_in(field.annotation) is None and (table.path, name) != ("", "file")
    ]
    about = " ".join((table.model.__doc__ or "").split("\n\n")[0].split())
    title = table.written if table.path == "" else f"`{table.written}`"
    head = [f"## {title}", "", about + (" *Needed.*" if table.needed else ""), ""]
    rows = ["| key | type | default | meaning |", "|---|---|---|---|", *keys, ""] if keys else []
    return "\n".join([*head, *rows])


def _row(name: str, field: FieldInfo) -> str:
    cells = (f"`{name}`", _type(field), _default(field), field.description or "")
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(field: FieldInfo) -> str:
    bounds = [
        f"{sign} {getattr(rule, key):g}"
        for rule in field.metadata
        for key, sign in BOUNDS.items()
        if hasattr(rule, key)
    ]
    return ", ".join([_words(field.annotation), *bounds])


def _words(annotation: Any) -> str:
    """A type as a reader of TOML would say it."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(inner[0])
    if origin is Literal:
        return " or ".join(f"`{_toml(each)}`" for each in inner)
    if origin in (Union, types.UnionType):
        said = [_words(each) for each in inner if each is not type(None)]
        return " or ".join(dict.fromkeys(said))
    if origin in (tuple, list):
        some = [each for each in inner if each is not Ellipsis]
        return f"list of {PLURAL.get(some[0], _words(some[0]))}" if len(set(some)) == 1 else "list"
    if origin is dict:
        return f"table: {_words(inner[0])} = {_words(inner[1])}"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(annotation, _name(annotation))


def _name(annotation: Any) -> str:
    return "anything" if annotation is Any else str(getattr(annotation, "__name__", annotation))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*needed*"
    return "none" if field.default is None else f"`{_toml(field.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, str | bool):
        return json.dumps(value)
    return "{}" if value == {} else str(value)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page before the sources are read."""
    return written_first(app, PAGE, page)
