"""What is known of a batch at the provider without asking it; imports no client."""

from __future__ import annotations

from schemas.errors import EngineError

PATH = "/v1/chat/completions"  # where the rows of a batch go
ENDED = ("completed", "failed", "expired", "cancelled")


class NotClearError(EngineError):
    """Whether a request was carried out cannot be told from what came back; another look may tell."""


class GoneError(EngineError):
    """The provider does not know the batch or the file (404)."""
