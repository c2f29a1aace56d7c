"""Every text of the source as a message could be built from it: what is filled in stands as an ellipsis."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

from tests.support.pages import ROOT

PACKAGES = ("schemas", "language_models", "features", "evaluation", "graph_models", "recommenders", "pipelines")
GAP = "…"


@cache
def messages() -> tuple[str, ...]:
    """All string literals and f-strings of the packages, neighbours joined as Python joins them."""
    return tuple(
        text for package in PACKAGES for file in (ROOT / package).rglob("*.py") for text in _texts(file.read_text())
    )


def is_built(heading: str) -> bool:
    """Whether some text of the source has the fixed words of a heading, in their order."""
    words = [re.escape(part.strip()) for part in heading.split(GAP) if part.strip()]
    wanted = re.compile(".*?".join(words), re.DOTALL)
    return any(wanted.search(text) for text in messages())


def _texts(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
