"""Probes: a place that wins whatever stands there is seen; readers of the candidates are not suspected."""

import numpy as np
import pytest

from recommenders.prompted.probes import Probes, correlation, percentiles


def probe(biased: bool, repeats: int = 1, users: int = 60, count: int = 10) -> dict:
    """Users with one wanted candidate; the model answers the order shown, or the wanted one before the others."""
    rng, probes, popularity = np.random.default_rng(0), Probes(), np.linspace(0, 1, count)
    for _ in range(users):
        want, points, orders = rng.random(count), np.zeros(count), []
        for _ in range(repeats):
            order = rng.permutation(count)
            places = np.arange(count) if biased else np.argsort(-want[order])
            points[order[places]] += count - np.arange(count)
            probes.answer(places.tolist(), count)
            orders.append(order)
        probes.ranking(points, orders, popularity)
    return probes.to_json()


def test_a_planted_position_bias_is_significant_and_without_it_there_is_none():
    biased, fair = probe(biased=True), probe(biased=False)
    assert biased["first_by_place"][0] == 1
    assert biased["first_by_place_p"] < 1e-20
    assert fair["first_by_place_p"] > 0.01
    assert biased["position_bias"] == biased["answers_follow_prompt"] == pytest.approx(1)
    assert abs(fair["position_bias"]) < 0.15


def test_adding_up_several_orders_lowers_what_users_get_of_the_bias():
    once, thrice = probe(biased=True), probe(biased=True, repeats=3)
    assert thrice["answers_follow_prompt"] == pytest.approx(1)  # the model is as biased as before
    assert thrice["position_bias"] < 0.7 < once["position_bias"]


def test_popularity_of_what_comes_first_beside_that_of_all_candidates():
    probes = Probes()
    probes.answer([1, 2, 0], 3)
    probes.ranking(np.array([1.0, 3.0, 2.0]), [np.arange(3)], np.array([0.1, 0.9, 0.5]))
    found = probes.to_json()
    assert found["popularity_top1"] == pytest.approx(0.9)
    assert found["popularity_top5"] == found["popularity_candidates"] == pytest.approx(0.5)
    assert Probes().to_json() == {}


def test_percentiles_share_a_place_and_correlation_is_spearmans():
    assert percentiles(np.array([0, 0, 1, 2]), 4).tolist() == [1.0, 0.5, 0.5, 0.0]
    assert correlation(np.array([5, 7, 9]), np.arange(3)) == pytest.approx(1)
    assert correlation(np.array([9, 7, 5]), np.arange(3)) == pytest.approx(-1)
