"""How many calls may be in flight: additive increase, and decrease in proportion to how much too many they are.

As in DCTCP (Alizadeh et al. 2010, section 3), the share of marks says how far off the window is; a mark is a 429.
Latency plays no part: a client that queues looks like a slow server.
"""

from __future__ import annotations

from collections import deque
from math import inf

COOL_S = 0.5  # how long a slot rests after a 429 beyond the tolerance, so that one slot too many cannot spin
TOLERANCE = 0.1  # 429s per other outcome that say nothing of capacity
STEP = 1 / 32  # of the largest window, added per round
LARGEST_STEP = 1 / 4  # of the largest window; a step doubles with every round without a mark


class Window:
    """The number of calls that may be in flight, at most and at first `most`. Times are those of the event loop.

    A round is as many outcomes as the window has slots, and no shorter than a slot rests.
    """

    def __init__(self, most: int) -> None:
        self._most, self._size = most, float(most)
        self._credit = self._most_credit = 4 + most * TOLERANCE  # 429s that are tolerated
        self._resting: deque[float] = deque()  # when each resting slot may be used again
        self._step = STEP * most
        self._began = -inf  # of the round
        self._outcomes = self._marks = 0
        self._full = False

    @property
    def size(self) -> int:
        """Calls that may be in flight, those of resting slots included."""
        return int(self._size)

    def ready_at(self, now: float, in_flight: int) -> float:
        """When one more call may be in flight: now, when a slot has rested, or `inf` where one has to come back."""
        while self._resting and self._resting[0] <= now:
            self._resting.popleft()
        if in_flight + len(self._resting) < self.size:
            return now
        self._full = True
        return self._resting[0] if self._resting and in_flight < self.size else inf

    def free(self, now: float, in_flight: int) -> int:
        """How many more calls may be in flight now."""
        resting = sum(until > now for until in self._resting)
        return max(0, self.size - in_flight - resting)

    def returned(self, now: float) -> None:
        """Count a call that came back with anything but a 429."""
        self._credit = min(self._most_credit, self._credit + TOLERANCE)
        self._count(now)

    def limited(self, now: float) -> None:
        """Count a call that came back with a 429."""
        if self._credit >= 1:
            self._credit -= 1
        else:
            self._marks += 1
            self._resting.append(now + COOL_S)
        self._count(now)

    def _count(self, now: float) -> None:
        if self._began == -inf:
            self._began = now
        self._outcomes += 1
        if self._outcomes >= self.size and now - self._began >= COOL_S:
            self._adjust(now - self._began)
            self._began, self._outcomes, self._marks, self._full = now, 0, 0, False

    def _adjust(self, lasted: float) -> None:
        """End a round of so many seconds.

        The marks as a share of the outcomes, and the time that slots rested as a share of the round, both say how many
        slots are too many. Where 429s come back faster than answers the first is too high, where answers are fast
        the second; so the smaller counts.
        """
        base = STEP * self._most
        if self._marks:
            excess = min(self._marks / self._outcomes * self._size, self._marks * COOL_S / lasted, self._size / 2)
            self._size += min(base / 2, self._size / 8) - excess
            self._step = base
            for _ in range(min(int(excess), len(self._resting))):
                self._resting.popleft()  # these slots are gone
        elif self._full:
            self._size += self._step
            self._step = min(2 * self._step, LARGEST_STEP * self._most)
        self._size = min(max(self._size, 1.0), float(self._most))
