import numpy as np
import pytest

from evaluation.intervals import compare, compare_many, holm, mean_over_seeds, smallest_p
from evaluation.metrics import Scores
from schemas.errors import DataError


def scores(values: np.ndarray) -> Scores:
    return Scores(np.arange(len(values)), {"recall@20": values})


def test_a_constant_gain_has_no_width():
    baseline = np.random.default_rng(0).random(50)
    found = compare(scores(baseline + 0.1), scores(baseline), resamples=500)["recall@20"]
    assert found.difference == pytest.approx(0.1)
    assert (found.low, found.high) == (pytest.approx(0.1), pytest.approx(0.1))
    assert found.lift == pytest.approx(0.1 / baseline.mean())
    assert found.p == pytest.approx(2 / 501)
    assert found.users == 50


def test_the_width_is_that_of_the_normal_approximation():
    rng = np.random.default_rng(1)
    baseline, gain = rng.random(2000), rng.normal(0.02, 0.5, 2000)
    found = compare(scores(baseline + gain), scores(baseline), resamples=4000)["recall@20"]
    error = gain.std() / np.sqrt(2000)
    assert found.low == pytest.approx(gain.mean() - 1.96 * error, abs=0.12 * error)
    assert found.high == pytest.approx(gain.mean() + 1.96 * error, abs=0.12 * error)


def test_the_confidence_sets_the_width():
    rng = np.random.default_rng(1)
    baseline, gain = rng.random(2000), rng.normal(0.02, 0.5, 2000)
    found = compare(scores(baseline + gain), scores(baseline), resamples=4000, confidence=0.8)["recall@20"]
    error = gain.std() / np.sqrt(2000)
    assert found.low == pytest.approx(gain.mean() - 1.2816 * error, abs=0.12 * error)
    assert found.high == pytest.approx(gain.mean() + 1.2816 * error, abs=0.12 * error)


def test_pairing_matters():
    """Users differ a lot, the models little: paired, a small steady gain is certain."""
    baseline = np.tile([0.0, 1.0], 200)
    candidate = baseline + np.tile([0.011, 0.009], 200)
    found = compare(scores(candidate), scores(baseline), resamples=300)["recall@20"]
    assert found.low > 0.009


def test_equal_models_are_not_different():
    found = compare(scores(np.ones(20)), scores(np.ones(20)), resamples=100)["recall@20"]
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_same_seed_same_interval_and_all_metrics_at_once():
    rng = np.random.default_rng(2)
    values = {"a": rng.random(30), "b": rng.random(30)}
    one, two = Scores(np.arange(30), values), Scores(np.arange(30), {name: row[::-1] for name, row in values.items()})
    assert compare(one, two, 200, seed=5) == compare(one, two, 200, seed=5)
    alone = compare(Scores(one.user, {"a": one.values["a"]}), Scores(two.user, {"a": two.values["a"]}), 200, seed=5)
    assert compare(one, two, 200, seed=5)["a"].low == pytest.approx(alone["a"].low)


def test_no_lift_over_nothing():
    found = compare(scores(np.ones(5)), scores(np.zeros(5)), resamples=50)["recall@20"]
    assert found.lift is None
    assert found.difference == 1


def test_chunks_do_not_change_the_number_of_resamples():
    found = compare(scores(np.arange(10.0)), scores(np.arange(10.0) - 1), resamples=99, draws_at_once=70)["recall@20"]
    assert found.p == pytest.approx(2 / 100)


def test_seeds_are_averaged_per_user():
    mean = mean_over_seeds([scores(np.array([0.0, 1.0])), scores(np.array([1.0, 1.0]))])
    assert mean.values["recall@20"].tolist() == [0.5, 1.0]


def test_different_users_are_refused():
    with pytest.raises(DataError, match="same users"):
        compare(scores(np.ones(3)), scores(np.ones(4)), resamples=10)
    with pytest.raises(DataError, match="every seed"):
        mean_over_seeds([scores(np.ones(3)), scores(np.ones(4))])


def test_many_pairs_at_once_are_what_each_is_alone():
    rng = np.random.default_rng(3)
    all_of = {name: scores(rng.random(60)) for name in "abc"}
    found = compare_many(all_of, [("a", "b"), ("c", "b")], 300, seed=4, draws_at_once=1000)
    for (one, other), intervals in found.items():
        alone = compare(all_of[one], all_of[other], 300, seed=4, draws_at_once=1000)["recall@20"]
        assert intervals["recall@20"].difference == pytest.approx(alone.difference)
        assert (intervals["recall@20"].low, intervals["recall@20"].p) == (pytest.approx(alone.low), alone.p)


def test_one_name_with_other_users_is_refused():
    with pytest.raises(DataError, match="same users"):
        compare_many({"a": scores(np.ones(3)), "b": scores(np.ones(4))}, [("a", "b")], 10)


def test_holm_on_a_worked_example():
    """Four hypotheses: 0.005 x 4, then 0.01 x 3, 0.03 x 2; 0.04 x 1 may not be smaller than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_smallest_p_is_that_of_a_difference_without_a_doubt():
    found = compare(scores(np.ones(9)), scores(np.zeros(9)), resamples=10_000)["recall@20"]
    assert found.p == smallest_p(10_000) == pytest.approx(2e-4, rel=1e-3)
