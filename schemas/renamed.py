"""Keys of a run file that have been renamed: the old one works for a while, and says so.

How long is in docs/releasing.md. An entry is removed with the release that its version names; from then on the old key
is an unknown key, for which the nearest valid one is named.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from schemas.errors import ConfigError


class Renamed(NamedTuple):
    """What a key is called now, and the first version that no longer knows the old name."""

    key: str
    until: str


RENAMED: Mapping[str, Renamed] = {}  # "section.old": Renamed("section.new", "0.3.0"); nothing has been renamed so far


def with_new_names(raw: dict[str, Any], file: Path, renamed: Mapping[str, Renamed] = RENAMED) -> None:
    """Move the values of old keys to the new ones, with a FutureWarning for each.

    Raises ConfigError where a file has both.
    """
    for old, new in renamed.items():
        (*way, last), (*new_way, new_last) = old.split("."), new.key.split(".")
        section = _section(raw, way)
        if last not in section:
            continue
        place = _section(raw, new_way, make=True)
        if new_last in place:
            raise ConfigError(f"{file}: {old}: renamed to {new.key}, which is there too; remove {old}")
        place[new_last] = section.pop(last)
        message = f"{file}: {old}: renamed to {new.key}; the old name works until version {new.until}"
        warnings.warn(message, FutureWarning, stacklevel=3)


def _section(raw: dict[str, Any], way: list[str], *, make: bool = False) -> dict[str, Any]:
    """The table at a place of the file; an empty one where there is none."""
    for name in way:
        inner = raw.setdefault(name, {}) if make else raw.get(name, {})
        if not isinstance(inner, dict):
            return {}
        raw = inner
    return raw
