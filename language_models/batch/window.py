"""How long a batch may take, counted from its submission as the ledger knows it, whoever asks and however often."""

from __future__ import annotations

import re

from language_models.ledger import Batch
from schemas.errors import ConfigError
from schemas.sections import Llm

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
SLACK = 1 / 24  # of the window, before a batch that has not ended is cancelled


def window_s(window: str) -> float:
    """Seconds of a completion window such as 24h. Raises ConfigError for what is none."""
    found = re.fullmatch(r"(\d+)([smhd])", window)
    if found is None:
        raise ConfigError(f"llm.batch_window: expected a time such as 24h, found {window!r}")
    return int(found[1]) * SECONDS[found[2]]


def deadline(batch: Batch, llm: Llm) -> float:
    """Unix seconds after which a batch that has not ended is late."""
    return (batch.submitted_at or 0.0) + (1 + SLACK) * window_s(llm.batch_window)
