"""Files of the repository's root as pages of the site: benchmarks, changelog, contributing, and links to them."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parents[2]
PAGES = {"benchmarks": "BENCHMARKS.md", "changelog": "CHANGELOG.md", "contributing": "CONTRIBUTING.md"}
OUTWARD = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<file>" + "|".join(PAGES.values()) + r")")
INWARD = re.compile(r"\]\((?!https?:|mailto:|#)(?P<docs>docs/)?")


def read(app: Sphinx, name: str, source: list[str]) -> None:
    """Put an outer file in the place of its page; elsewhere turn links to the file into links to the page."""
    if name in PAGES:
        app.env.note_dependency(str(ROOT / PAGES[name]))
        text = (ROOT / PAGES[name]).read_text(encoding="utf-8")
        source[0] = INWARD.sub(lambda link: "](" if link["docs"] else "](../", text)
    source[0] = OUTWARD.sub(lambda link: f"]({link['up'][3:]}{link['file'].lower()}", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Change sources as they are read."""
    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
