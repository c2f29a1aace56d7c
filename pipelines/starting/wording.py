"""Names of files and columns as they can stand in a TOML file and on a terminal, whatever characters they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def shown(text: str, longest: int = 60) -> str:
    """On one line: control characters and those that turn the direction of writing are written as escapes."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cut)


def quoted(text: str) -> str:
    """A TOML string; what cannot be printed is an escape."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return '"' + "".join(each if each.isprintable() else f"\\U{ord(each):08x}" for each in plain) + '"'


def inline_table(entries: Mapping[str, str]) -> str:
    """A TOML inline table of strings, keys as they are."""
    return "{ " + ", ".join(f"{key} = {quoted(value)}" for key, value in entries.items()) + " }"


def array(values: Iterable[str]) -> str:
    """A TOML array of strings."""
    return "[" + ", ".join(quoted(value) for value in values) + "]"


def thousands(count: int) -> str:
    return f"{count:,}"
