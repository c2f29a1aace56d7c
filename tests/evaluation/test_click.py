import numpy as np
import pytest
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import roc_auc_score

from evaluation.click import Clicks, Difference, auc, compare_clicks, gauc, log_loss, measure, resample, weighted_auc
from schemas.errors import DataError


def made(seed: int, signal: float = 1.0, users: int = 40, each: int = 25) -> Clicks:
    """Clicks whose probability follows a hidden score; the same seed has the same labels whatever the signal."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users), each)
    score, noise = rng.normal(size=len(user)), rng.normal(size=len(user))
    label = (rng.random(len(user)) < 1 / (1 + np.exp(-2 * score))).astype(np.float32)
    mixed = signal * score + (1 - signal) * noise
    return Clicks(user, label, (1 / (1 + np.exp(-mixed))).astype(np.float32))


def compare(candidate: list[Clicks], baseline: list[Clicks], resamples: int) -> list[Difference]:
    return compare_clicks(resample(candidate, resamples), resample(baseline, resamples))


@pytest.mark.parametrize("decimals", [0, 1, 2, 7])
def test_auc_is_that_of_scikit_learn_with_and_without_ties(decimals):
    rng = np.random.default_rng(decimals)
    label = (rng.random(500) < 0.3).astype(np.float32)
    score = np.round(rng.random(500) + 0.2 * label, decimals).astype(np.float32)
    assert auc(label, score) == pytest.approx(roc_auc_score(label, score), abs=1e-12)


def test_a_weight_counts_a_sample_as_often():
    rng = np.random.default_rng(1)
    label, score = (rng.random(60) < 0.5).astype(np.float32), np.round(rng.random(60), 1).astype(np.float32)
    weight = rng.integers(0, 4, size=(3, 60))
    expected = [roc_auc_score(np.repeat(label, row), np.repeat(score, row)) for row in weight]
    assert weighted_auc(label, score, weight.astype(np.float64)) == pytest.approx(expected)


def test_three_clicks_worked_out_by_hand():
    label = np.array([1, 0, 1, 0], dtype=np.float32)
    score = np.array([0.8, 0.8, 0.6, 0.2], dtype=np.float32)
    assert auc(label, score) == (0.5 + 1 + 0 + 1) / 4
    assert log_loss(label, score) == pytest.approx(-np.log([0.8, 0.2, 0.6, 0.8]).mean())


def test_log_loss_is_that_of_scikit_learn_and_a_sure_mistake_is_finite():
    clicks = made(2)
    assert log_loss(clicks.label, clicks.probability) == pytest.approx(
        sklearn_log_loss(clicks.label, clicks.probability.astype(np.float64)), rel=1e-6
    )
    assert np.isfinite(log_loss(np.array([1.0], dtype=np.float32), np.array([0.0], dtype=np.float32)))


def test_one_class_alone_has_no_auc():
    with pytest.raises(DataError, match="found 3 clicks in 3 samples"):
        auc(np.ones(3, dtype=np.float32), np.zeros(3, dtype=np.float32))


def test_gauc_weighs_users_by_samples_and_passes_over_those_with_one_class():
    user = np.array([2, 0, 0, 1, 1, 1, 2])
    label = np.array([1, 1, 0, 1, 0, 0, 1], dtype=np.float32)
    score = np.array([0.1, 0.9, 0.1, 0.5, 0.9, 0.1, 0.2], dtype=np.float32)
    assert gauc(Clicks(user, label, score)) == pytest.approx((2 * 1.0 + 3 * 0.5) / 5)
    assert gauc(Clicks(user[:1], label[:1], score[:1])) is None
    assert "gauc" in measure(Clicks(user, label, score))


def test_a_model_does_not_differ_from_itself():
    for found in compare([made(3)], [made(3)], resamples=50):
        assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_a_better_model_is_better_and_an_equal_one_is_not():
    good, bad = [made(4, 1.0)], [made(4, 0.3)]
    area, loss = compare(good, bad, resamples=300)
    assert (area.metric, loss.metric, area.users) == ("auc", "log_loss", 40)
    assert area.low > 0
    assert loss.high < 0
    assert area.difference == pytest.approx(measure(good[0])["auc"] - measure(bad[0])["auc"])
    noise = [
        Clicks(each.user, each.label, np.random.default_rng(n).random(1000).astype(np.float32))
        for n, each in enumerate([made(4)] * 2)
    ]
    area = compare(noise[:1], noise[1:], resamples=300)[0]
    assert area.low < 0 < area.high


def test_the_mean_over_seeds_is_compared_and_not_the_first_seed():
    base = [made(5, 0.5)]
    area = compare([made(5, 1.0), made(5, 0.2)], base, resamples=20)[0]
    means = np.mean([measure(made(5, 1.0))["auc"], measure(made(5, 0.2))["auc"]])
    assert area.difference == pytest.approx(means - measure(base[0])["auc"])


def test_users_and_not_samples_are_resampled():
    """Samples of a user that are all alike make the interval as wide as one sample per user would."""
    one = made(6, users=60, each=1)
    twenty = Clicks(np.repeat(one.user, 20), np.repeat(one.label, 20), np.repeat(one.probability, 20))
    other = made(6, 0.3, users=60, each=1)
    twenty_other = Clicks(twenty.user, twenty.label, np.repeat(other.probability, 20))
    narrow = compare([one], [other], resamples=200)[0]
    wide = compare([twenty], [twenty_other], resamples=200)[0]
    assert wide.high - wide.low == pytest.approx(narrow.high - narrow.low)


def test_other_samples_cannot_be_compared():
    with pytest.raises(DataError, match="the same samples and draws"):
        compare([made(7)], [made(8)], resamples=10)
    with pytest.raises(DataError, match="the same samples and draws"):
        compare_clicks(resample([made(7)], 10), resample([made(7)], 20))
    with pytest.raises(DataError, match="the same samples with every seed"):
        resample([made(7), made(8)], 10)


def test_a_draw_without_both_classes_has_no_auc_and_is_left_out():
    clicks = Clicks(np.array([0, 1]), np.array([1, 0], dtype=np.float32), np.array([0.9, 0.1], dtype=np.float32))
    other = Clicks(clicks.user, clicks.label, clicks.probability[::-1])
    assert np.isnan(resample([clicks], 50).drawn[0]).any()
    area = compare([clicks], [other], 50)[0]
    assert (area.difference, area.low, area.high) == (1.0, 1.0, 1.0)
