"""Texts as every database can hold them."""

from __future__ import annotations

UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def printable(text: str) -> str:
    """The text with U+FFFD for what is no character: NUL, and halves of surrogate pairs."""
    whole = text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\0", UNKNOWN)
