"""Templates of the page: every value is escaped, and shown without characters that are not seen but change what is."""

from __future__ import annotations

import datetime
import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipelines.report.html import visible
from pipelines.ui.shelf import Shelf

HERE = Path(__file__).parent
NONE = "–"
PAGES = (  # route -> its name in the navigation
    ("overview", "Nights"),
    ("texts", "Texts"),
    ("answers", "Compare answers"),
    ("rejects", "Rejects"),
    ("users", "Recommendations"),
    ("live", "Live"),
)
IN_PATH = {"night": ("ds",), "report": ("ds",)}  # route -> what of it stands in the path, beside the run


def page(request: Request, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
    """An HTML response made from a template; `link(name, ...)` in it is the path of a route, with query values."""
    about = {
        "request": request,
        "runs": getattr(request.app.state, "shelves", {}),
        "shelf": None,
        "here": "",
        "ds": None,
        "login": None,  # where one logs in, where that is what is missing
    }
    text = environment().get_template(template).render(**about | values, link=Link(request))
    return HTMLResponse(text.encode("utf-8", "replace"), status)  # half of a surrogate pair cannot be sent


class Link:
    """Paths of the page's routes, below the prefix that it is mounted at."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __call__(self, name: str, shelf: Shelf | None = None, **query: Any) -> str:
        """The path of a route, for a run where it is one of a run; a value of None or "" is left out of the query."""
        known = {"run": shelf.name} if shelf else {}
        known |= {part: query.pop(part) for part in IN_PATH.get(name, ())}
        path = self._request.scope.get("root_path", "") + str(self._request.app.url_path_for(name, **known))
        asked = urlencode({key: value for key, value in query.items() if value not in (None, "")})
        return f"{path}?{asked}" if asked else path

    def static(self, path: str) -> str:
        return f"{self._request.scope.get('root_path', '')}/static/{path}"


@cache
def environment() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(HERE / "templates", encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.globals.update(PAGES=PAGES, routes=_routes)
    pages.filters.update(count=_count, dollars=_dollars, share=_share, figure=_figure, signed=_signed, when=_when)
    pages.filters.update(seconds=_seconds, as_json=_as_json)
    return pages


def _routes(request: Request) -> set[str]:
    return {getattr(route, "name", "") for route in request.app.routes}


def _shown(value: Any) -> Any:
    return NONE if value is None else visible(value)


def _count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _dollars(value: float | None) -> str:
    return NONE if value is None else f"US$ {value:,.2f}" if value >= 1 or value == 0 else f"US$ {value:.4f}"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{value:.1%}"


def _figure(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def _signed(value: float | None) -> str:
    return NONE if value is None else f"{value:+.4f}".replace("-", "−")


def _seconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:.1f} s" if value < 60 else f"{int(value // 60)} min {int(value % 60)} s"


def _when(value: float | None) -> str:
    """A date and time, UTC, of unix seconds; those that no calendar has are shown as they are."""
    if value is None:
        return NONE
    try:
        return datetime.datetime.fromtimestamp(value, datetime.UTC).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        return str(value)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
