"""A run's counts as Prometheus metrics: in a text file for the node exporter, and on a port while it runs if wanted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from language_models.inquiry import Counts
from schemas.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client import Gauge

GAUGES = {
    "asked": "calls made",
    "cached": "questions answered from the ledger",
    "follow_ups": "further turns of calls",
    "rejected": "calls whose answers cannot be used",
    "failed": "calls that brought no answer",
    "unknown": "attempts that may have been paid and brought no answer",
    "orphaned": "calls of killed runs that may have been paid",
    "retried": "attempts repeated without cost",
    "rate_limited": "attempts held back by the endpoint (429)",
    "input_tokens": "tokens sent",
    "output_tokens": "tokens received",
    "cost_usd": "US dollars paid",
    "in_flight": "calls in flight",
}


class Metrics:
    """Gauges `loregraph_llm_*` with the given labels; they count from the start of a run."""

    def __init__(self, labels: Mapping[str, str], file: Path, port: int | None = None) -> None:
        """Raises ConfigError where the port is taken."""
        from prometheus_client import CollectorRegistry, Gauge

        self._labels, self._file = dict(labels), file
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {
            name: Gauge(f"loregraph_llm_{name}", doc, list(labels), registry=self._registry)
            for name, doc in GAUGES.items()
        }
        self._server: tuple[WSGIServer, Thread] | None = self._serve(port) if port else None

    def show(self, counts: Counts) -> None:
        """Set every gauge to what the run has counted so far."""
        for name, gauge in self._gauges.items():
            gauge.labels(**self._labels).set(getattr(counts, name))

    def close(self) -> None:
        """Free the port, and write the text file. Raises OSError where it cannot be written."""
        from prometheus_client import write_to_textfile

        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(self._file), self._registry)

    def _serve(self, port: int) -> tuple[WSGIServer, Thread]:
        from prometheus_client import start_http_server

        try:
            return start_http_server(port, addr="127.0.0.1", registry=self._registry)
        except OSError as error:
            raise ConfigError(f"llm.metrics_port: port {port} cannot be used: {error.strerror}") from None
