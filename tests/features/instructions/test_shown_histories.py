"""Which items of a history are shown: the latest, or the nearest to the target."""

import numpy as np
import pytest

from features.instructions import histories
from features.instructions.histories import recent, retrieved, retrieved_places


def brute_force(history: list[int], target: int, vectors: np.ndarray, k: int) -> list[int]:
    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        scale = float(np.linalg.norm(one) * np.linalg.norm(other))
        return round(float(one @ other) / scale, 6) if scale else 0.0

    places = [place for place, item in enumerate(history) if item != target]
    places.sort(key=lambda place: (-cosine(vectors[history[place]], vectors[target]), -place))
    return [history[place] for place in sorted(places[:k])]


def test_recent_is_the_end_of_the_history() -> None:
    assert recent([3, 1, 2], 2) == [1, 2]
    assert recent([3, 1], 5) == [3, 1]
    assert recent([3, 1], 0) == []


@pytest.mark.parametrize("events_at_once", [1, 40, 2**15])
def test_retrieved_equals_brute_force(monkeypatch, events_at_once: int) -> None:
    monkeypatch.setattr(histories, "EVENTS_AT_ONCE", events_at_once)
    draw = np.random.default_rng(0)
    vectors = draw.integers(-1, 2, size=(30, 3)).astype(np.float32)  # many ties, some zero vectors
    given = [draw.integers(0, 30, size=draw.integers(0, 25)) for _ in range(100)]
    targets = draw.integers(0, 30, size=100)
    for k in (1, 4, 100):
        found = list(retrieved_places(given, targets, vectors, k))
        assert len(found) == 100
        for history, target, places in zip(given, targets, found, strict=True):
            expected = brute_force(history.tolist(), int(target), vectors, k)
            assert history[places].tolist() == expected == retrieved(history, int(target), vectors, k)


def test_the_nearest_are_shown_in_their_order_in_time_without_the_target() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.9, 0.1], [0, 0]], dtype=np.float32)
    assert retrieved([2, 1, 0, 3, 2], 0, vectors, 2) == [2, 2]
    assert retrieved([1, 3], 0, vectors, 1) == [3]  # both have cosine 0: the later one
    assert retrieved([1, 0, 2], 0, vectors, 9) == [1, 2]
    assert list(retrieved_places([], [], vectors, 2)) == []
