"""Every tuned recommender finds what only its mechanism can tell, and no longer does when that is taken away."""

import numpy as np
import pytest

from tests.support.planted import buried, found_first, half_named, planted
from tests.support.tuned import fitted, with_other_rows, with_other_titles

CHANCE = 0.5  # at most; among six it is a sixth


def test_tallrec_reads_which_theme_a_user_likes(tmp_path):
    made = fitted("tallrec", planted(), tmp_path, {"candidates": 6, "train_on_prompt": False}, 12)
    assert found_first(made, planted()) > 0.9
    assert found_first(with_other_titles(made), planted()) < CHANCE


@pytest.mark.slow
def test_rella_sees_what_is_no_longer_among_the_latest(tmp_path):
    made = fitted("rella", buried(), tmp_path, {"candidates": 6, "history": 1}, 26, learning_rate=2e-3, batch_size=16)
    assert found_first(made, buried()) > 0.75  # between .82 and .99 from run to run; chance is a sixth
    made.view = lambda histories, places, item: made.latest(places)  # nothing is retrieved
    assert found_first(made, buried()) < CHANCE


@pytest.mark.slow
def test_collm_reads_in_vectors_what_half_of_the_titles_do_not_say(tmp_path):
    corpus = half_named(planted())
    unnamed = np.arange(corpus.num_items) % 2 == 0
    options = {"candidates": 6, "history": 3, "vectors_learning_rate": 1e-2}
    made = fitted("collm", corpus, tmp_path, options, 26, words=planted())
    assert found_first(made, corpus, among=unnamed) > 0.9
    assert found_first(with_other_rows(made, "item"), corpus, among=unnamed) < 0.6
    made.blind = True  # the placeholders stay
    assert found_first(made, corpus, among=unnamed) < 0.6


def test_llara_reads_in_vectors_what_titles_do_not_say(tmp_path):
    corpus = planted(named=False)
    made = fitted("llara", corpus, tmp_path, {"candidates": 6, "curriculum": False}, 14)
    assert found_first(made, corpus) > 0.9
    assert found_first(with_other_rows(made, "item"), corpus) < CHANCE
