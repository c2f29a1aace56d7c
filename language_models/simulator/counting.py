"""What was served and what was paid: the truth that a client's own books are compared with."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from language_models.simulator.asked import Asked
from language_models.simulator.options import Options

FLUSH_BYTES = 1 << 16


class Counting:
    """Counts per endpoint, and per request about 150 bytes: the digest and how often it was paid."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.journal = _open(options.journal)
        self.in_flight = 0
        self.reset()

    def reset(self) -> None:
        """Forget all counts; what is in flight stays."""
        self.requests = self.rate_limited = self.batches_created = self.files_uploaded = self.idempotent_replays = 0
        self.input_tokens = self.output_tokens = self.cached_tokens = self.paid = self.paid_twice = 0
        self.embeddings = self.embedding_tokens = self.served = 0
        self.cost_usd = 0.0
        self.max_in_flight = self.in_flight
        self.by_status: Counter[int] = Counter()
        self.by_fault: Counter[str] = Counter()
        self.requests_paid: dict[bytes, int] = {}
        self.messages_paid: dict[bytes, int] = {}
        self.failed: Counter[bytes] = Counter()  # attempts that a fault struck

    def attempt(self, asked: Asked) -> int:
        """The number of the attempt that begins now: 1 for the first."""
        return 1 + self.failed[asked.request] + self.requests_paid.get(asked.request, 0)

    def strike(self, fault: str) -> None:
        self.by_fault[fault] += 1

    def enter(self) -> None:
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)

    def pay(self, asked: Asked, output_tokens: int, cached_tokens: int, kind: str) -> None:
        """The model has answered. `kind` is `chat` or `batch`, and then `:fault` for what the answer suffers."""
        times = self.requests_paid.get(asked.request, 0) + 1
        self.requests_paid[asked.request] = times
        self.messages_paid[asked.message] = self.messages_paid.get(asked.message, 0) + 1
        self.paid += 1
        self.paid_twice += times == 2
        self.input_tokens += asked.input_tokens
        self.output_tokens += output_tokens
        self.cached_tokens += cached_tokens
        self.cost_usd += self._cost_usd(asked.input_tokens, cached_tokens, output_tokens, kind)
        if self.journal is not None:
            self.journal.write(f"{time.time():.3f}\t{asked.request.hex()}\t{asked.message.hex()}\t{kind}\n")

    def embed(self, tokens: int) -> None:
        """A request for embeddings was answered."""
        self.embeddings += 1
        self.embedding_tokens += tokens

    def to_json(self) -> dict[str, Any]:
        """The counts as /stats shows them."""
        names = """requests served paid paid_twice input_tokens cached_tokens output_tokens cost_usd in_flight
        max_in_flight rate_limited batches_created files_uploaded idempotent_replays embeddings embedding_tokens"""
        counts: dict[str, Any] = {name: getattr(self, name) for name in names.split()}
        by_status = {str(status): count for status, count in sorted(self.by_status.items())}
        return {**counts, "by_status": by_status, "by_fault": dict(self.by_fault)}

    def flush(self) -> None:
        if self.journal is not None:
            self.journal.flush()

    def _cost_usd(self, given: int, cached: int, written: int, kind: str) -> float:
        options = self.options
        price_cached = options.price_input if options.price_cached is None else options.price_cached
        cost = (given - cached) * options.price_input + cached * price_cached + written * options.price_output
        return cost / 1e6 * (options.batch_price if kind.startswith("batch") else 1.0)


def _open(journal: Path | None) -> Any:
    return journal.open("a", buffering=FLUSH_BYTES, encoding="ascii") if journal is not None else None
