"""What scrolls can be scrolled with a keyboard, and captions of the navigation have a level."""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx

LAST = 900  # after the theme has made its navigation
MENDED = {
    "<pre>": '<pre tabindex="0">',
    '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper',
    'role="heading">': 'role="heading" aria-level="2">',
}


def mend(_app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object) -> None:
    """Change the HTML of a page before it is written."""
    for part in ("body", "furo_navigation_tree"):
        for old, new in MENDED.items():
            context[part] = (context.get(part) or "").replace(old, new)


def setup(app: Sphinx) -> dict[str, bool]:
    """Change every page."""
    app.connect("html-page-context", mend, priority=LAST)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
