"""What every page must hold in a browser: it fits the window, and axe finds nothing serious."""

from __future__ import annotations

from typing import Any

SERIOUS = ("serious", "critical")


def check(page: Any) -> None:
    """Fits the window, and has nothing that axe calls serious."""
    from axe_playwright_python.sync_playwright import Axe

    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url}: {wide} pixels too wide"
    options = {"resultTypes": ["violations"]} | ({} if page.rules is None else {"runOnly": page.rules})
    found = [each for each in Axe().run(page, options=options).response["violations"] if each["impact"] in SERIOUS]
    assert found == [], [(each["id"], each["nodes"][0]["html"][:200]) for each in found]
