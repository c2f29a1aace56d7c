"""The report of codes: each figure worked out by hand."""

import json

import numpy as np
import pytest

from features.tokenizers.report import neighbour_purity, report_codes, similarity


def test_usage_perplexity_and_ties():
    raw = np.array([[0, 0], [0, 0], [1, 0], [0, 1]], dtype=np.int32)
    codes = np.column_stack([raw, [0, 1, 0, 0]]).astype(np.int32)
    found = report_codes(raw, codes, (4, 2, 2), np.zeros((4, 0), np.float32), np.zeros(4, bool))
    assert found.collisions == 0.5
    assert (found.collisions_left, found.largest_tie, found.distinct) == (0.0, 2, 3)
    assert found.used == (0.5, 1.0)
    assert found.perplexity[0] == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))
    assert found.largest_first == 0.75
    assert (found.purity, found.collaborative, found.collaborative_any) == (None, None, None)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["sizes"] == [4, 2, 2]
    assert found.line() == "used 50 % 100 %, perplexity 2 2, collisions 50.0 % (largest 2)"


def test_a_tuple_that_has_ended_does_not_count_on_the_levels_after():
    codes = np.array([[0, -1], [1, 0], [2, 1]], dtype=np.int32)
    found = report_codes(codes, codes, (3, 4), np.zeros((3, 0), np.float32), np.zeros(3, bool))
    assert found.used == (1.0, 0.5)
    assert found.perplexity[1] == pytest.approx(2)


def test_purity_is_the_share_of_neighbours_with_the_same_prefix():
    x = np.repeat(np.eye(2, 4, dtype=np.float32), 6, axis=0)  # 0..5 and 6..11 are alike; 10 neighbours are all others
    codes = np.array([[row // 6, row % 2] for row in range(12)], dtype=np.int32)
    x += 0.01 * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    near = neighbour_purity(codes, x, np.ones(12, dtype=bool))
    assert near[0] == pytest.approx(0.5)  # the five of its own kind, and five of the six others
    assert near[1] == pytest.approx(0.2)  # two or three of its kind have its parity: 2 for each of six
    present = np.ones(12, dtype=bool)
    present[6:] = False
    assert neighbour_purity(codes, x, present)[0] == 1.0


def test_similarity_is_the_mean_cosine_with_the_others_of_a_group():
    vectors = np.array([[1, 0], [2, 0], [0, 3], [0, 0], [1, 1]], dtype=np.float32)
    group = np.array([0, 0, 0, 0, 1])  # the zero row takes no part, the last has no company
    pairs = {(0, 1): 1.0, (0, 2): 0.0, (1, 2): 0.0}
    of_item = [np.mean([value for pair, value in pairs.items() if item in pair]) for item in range(3)]
    assert similarity(group, vectors) == pytest.approx(np.mean(of_item))
    assert similarity(np.arange(5), vectors) is None
    assert similarity(group, np.zeros_like(vectors)) is None
