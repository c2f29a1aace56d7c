"""Whether an HTML page runs nothing but the page's own script, whatever was stored in what it shows."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urlsplit

ADDRESSES = ("href", "src", "action", "formaction", "poster", "data", "xlink:href")
FORBIDDEN = ("iframe", "object", "embed", "base", "style")


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in FORBIDDEN or (tag == "script" and not given.get("src", "").startswith("/static/")):
            self.found.append(f"<{tag}>")
        self.found += [f"{tag} {name}" for name in given if name.startswith("on")]
        self.found += [f"{tag} {name}={given[name]}" for name in ADDRESSES if name in given and _foreign(given[name])]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def what_runs(page: str) -> list[str]:
    """Scripts, handlers, foreign addresses and frames of a page; none where it is inert."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found


def text_of(page: str) -> str:
    """What a person reads of a page."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return "".join(reader.text)


def _foreign(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or (bool(parts.scheme) and address != "data:,")
