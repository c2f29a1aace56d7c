"""Our docstrings as Sphinx reads them: tables and formulas that are aligned with spaces are shown as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from sphinx.application import Sphinx

ALIGNED = re.compile(r"^\s*\||\S {2,}\S|[├└]")
CODE = re.compile(r"(`[^`]*`)")


def process(_app: Sphinx, _what: str, _name: str, _object: object, _options: object, lines: list[str]) -> None:
    """Replace the lines of one docstring."""
    lines[:] = prepared(lines)


def prepared(lines: Iterable[str]) -> list[str]:
    """The lines, aligned paragraphs as literal blocks; elsewhere signs that mean something to Sphinx are escaped."""
    return [line for blank, some in groupby(lines, lambda each: not each.strip()) for line in _shown(blank, [*some])]


def _shown(blank: bool, lines: list[str]) -> Iterator[str]:
    if blank or not any(map(ALIGNED.search, lines)):
        yield from (_escaped(line) for line in lines)
    else:
        yield from ("::", "", *(f"   {line}" for line in lines))


def _escaped(line: str) -> str:
    """A line of prose: `|truth|`, `*` and names that end with `_` outside code are themselves."""
    parts = CODE.split(line)
    return "".join(
        part if at % 2 else re.sub(r"([|*]|(?<=\w)_(?=\W|$))", r"\\\1", part) for at, part in enumerate(parts)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Read every docstring of autodoc first."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
