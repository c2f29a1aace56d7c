"""What a check of the doctor says: how it stands, what was found, and what to do next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One line. `next` is empty where there is nothing to do."""

    name: str
    state: State
    found: str
    next: str = ""

    def to_json(self) -> dict[str, str]:
        return asdict(self)
