"""A page that is made from the code: written anew only where it says something else, before the sources are read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx

SAFE = {"parallel_read_safe": True, "parallel_write_safe": True}


def write_page(file: Path, text: str) -> None:
    """Write a page where it is not there or says something else."""
    file.parent.mkdir(exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def written_first(app: Sphinx, file: Path, page: Callable[[], str]) -> dict[str, bool]:
    """Have Sphinx write what `page` makes before it reads the sources; what a `setup` returns."""
    app.connect("builder-inited", lambda _: write_page(file, page()))
    return SAFE
