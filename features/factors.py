"""The factors by which people of a domain choose (KAR, 3.1), as the configuration file lists them."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal

Domain = Literal["films", "books", "music", "news", "places", "goods"]
FILE = Path(__file__).parent / "recipes" / "factors.toml"


@cache
def factors_of(domain: Domain) -> tuple[str, ...]:
    """The factors of a domain, in order."""
    lists: dict[str, list[str]] = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(lists[domain])
