"""Samples whose target was named before are judged apart, and copying finds those alone."""

import pytest

from recommenders.prompted.dialogues import Sample, Turn, copied, judge, table

TURN = (Turn("seeker", "hello"),)
SAMPLES = [
    Sample(TURN, "c", ("a", "b")),
    Sample(TURN, "d", ("a",)),
    Sample(TURN, "a", ("a", "b")),
    Sample(TURN, "e"),
]


def test_figures_by_condition():
    found = judge(SAMPLES, [["x", "c"], ["d"], ["a"], []], ks=(1, 2))
    recommended = found["recommendation"]
    assert recommended["recall@1"].value == pytest.approx(1 / 3)
    assert recommended["recall@2"].value == pytest.approx(2 / 3)
    assert recommended["ndcg@2"].value == pytest.approx((1 / 1.5849625 + 1) / 3)
    assert recommended["mrr@2"].value == pytest.approx((0.5 + 1) / 3)
    assert recommended["recall@2"].samples == 3
    assert found["discussion"]["recall@1"].value == 1
    assert recommended["recall@2"].high - recommended["recall@2"].value == pytest.approx(1.96 * (1 / 3) ** 0.5 / 3**0.5)


def test_copying_is_only_good_at_discussion():
    lists = copied(SAMPLES)
    assert lists[0] == ["b", "a"]
    found = judge(SAMPLES, lists, ks=(1, 5))
    assert found["recommendation"]["recall@5"].value == 0
    assert found["discussion"]["recall@5"].value == 1
    assert table({"copy": found}, ks=(1, 5)) == [
        "recommendation: copy: 3 samples, R@1 0.0000 [0.0000, 0.0000], R@5 0.0000 [0.0000, 0.0000]",
        "discussion: copy: 1 samples, R@1 0.0000 [0.0000, 0.0000], R@5 1.0000 [1.0000, 1.0000]",
    ]
