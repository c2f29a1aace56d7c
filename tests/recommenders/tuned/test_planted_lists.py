"""Tuned recommenders that list candidates or write the next item find what only their mechanism can tell."""

import numpy as np
import pytest

from evaluation.protocol import testing as make_test_exam
from evaluation.ranking import rank
from tests.support.planted import found_first, planted
from tests.support.tuned import fitted, with_other_titles

CHANCE = 0.5  # at most; among six it is a sixth


@pytest.mark.slow
def test_llamarec_finds_the_letter_of_the_title(tmp_path):
    made = fitted(
        "llamarec", planted(), tmp_path, {"candidates": 3, "history": 2}, 40, learning_rate=1e-3, batch_size=8
    )
    assert found_first(made, planted(), others=2) > 0.9
    assert found_first(with_other_titles(made), planted(), others=2) < 0.6


@pytest.mark.slow
def test_s_dpo_prefers_the_title_that_was_taken(tmp_path):
    made = fitted("s_dpo", planted(), tmp_path, {"candidates": 4, "history": 3, "beta": 0.5}, 8)
    assert found_first(made, planted(), others=3) > 0.9
    assert found_first(with_other_titles(made), planted(), others=3) < CHANCE
    assert set(made.report) == {"tuning", "preference"}


def test_bigrec_writes_a_title_of_the_theme(tmp_path):
    made = fitted("bigrec", planted(), tmp_path, {}, 6)
    assert found_first(made, planted()) > 0.9
    other = with_other_titles(made)
    other._trie = None
    assert found_first(other, planted()) < CHANCE


def test_lc_rec_writes_codes_of_the_theme(tmp_path):
    made = fitted("lc_rec", planted(), tmp_path, {}, 8)
    assert found_first(made, planted()) > 0.9
    drawn = np.random.default_rng(3).permutation(len(made.codes))
    made.codes, made._trie = tuple(made.codes[row] for row in drawn), None
    assert found_first(made, planted()) < CHANCE


def test_lc_rec_ranks_the_whole_catalogue(tmp_path):
    """What is found is not thanks to a list."""
    corpus = planted()
    made = fitted("lc_rec", corpus, tmp_path, {"alignment": 2}, 8)
    exam = make_test_exam(corpus)
    found = rank(made, exam.users, 12, exam.seen)
    theme = exam.truth.toarray().argmax(axis=1)[exam.users] // 12
    assert (found.item[:, :5] // 12 == theme[:, None]).mean() > 0.9
