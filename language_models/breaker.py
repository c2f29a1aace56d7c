"""A circuit breaker: an endpoint that is down is asked now and then by one call, not all the time by all of them."""

from __future__ import annotations

from math import inf

FAILURES = 8  # in a row that open it
FIRST_S, LONGEST_S = 1.0, 30.0  # between probes
PATIENCE_S = 300.0  # without any success, before the run is given up


class Breaker:
    """Closed: calls go out. Open: none until the pause is over, then one probe. Times are those of the event loop."""

    def __init__(self) -> None:
        self.reached = False  # whether a connection was ever made
        self.probes = 0  # that failed since it opened
        self._failures = 0  # in a row
        self._opened_at: float | None = None
        self._until = -inf
        self._probing = False

    @property
    def open(self) -> bool:
        """Whether calls are held back."""
        return self._opened_at is not None

    def ready_at(self, now: float) -> float:
        """When the next call may go out; `inf` while a probe is under way."""
        if self._opened_at is None:
            return now
        return inf if self._probing else max(now, self._until)

    def sent(self) -> bool:
        """Note that a call goes out; returns whether it is a probe."""
        self._probing = self._opened_at is not None
        return self._probing

    def answered(self) -> None:
        """The endpoint works: an answer came, or it refused one call for what that call is."""
        self.reached, self._probing, self._opened_at = True, False, None
        self._failures = self.probes = 0

    def failed(self, now: float, probe: bool, reached: bool) -> None:
        """An outage came back. Calls that were sent before it opened change nothing any more."""
        self.reached |= reached
        self._failures += 1
        if self._opened_at is None:
            if self._failures >= FAILURES:
                self._opened_at, self._until = now, now + FIRST_S
        elif probe:
            self.probes += 1
            self._probing = False
            self._until = now + min(LONGEST_S, FIRST_S * 2**self.probes)

    def exhausted(self, now: float) -> bool:
        """Whether it has been open for so long that the run is given up."""
        return self._opened_at is not None and now - self._opened_at >= PATIENCE_S
