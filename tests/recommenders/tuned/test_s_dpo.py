"""The loss of S-DPO against its formulas, and its second stage."""

import math

import numpy as np
import pytest
import torch

from recommenders.tuned.s_dpo import softmax_preference
from tests.support.planted import planted, save_reader
from tests.support.tuned import made, planted_features, planted_run

ONE = torch.tensor([[-5.0, -7.0, -6.0, -9.0]])
REFERENCE = torch.tensor([[-5.5, -6.5, -6.0, -8.0]])


@pytest.mark.parametrize("others", [1, 3, 4, 15])
def test_where_policy_is_reference_the_loss_is_log_of_all(others):
    same = torch.randn(7, 1 + others)
    assert float(softmax_preference(same, same, 1.0)) == pytest.approx(math.log(1 + others), abs=1e-6)


def test_it_is_what_the_paper_writes():
    reward = (ONE - REFERENCE)[0] * 0.7
    inner = sum(math.exp(float(reward[k] - reward[0])) for k in (1, 2, 3))
    expected = -math.log(1 / (1 + math.exp(math.log(inner))))
    assert float(softmax_preference(ONE, REFERENCE, 0.7)) == pytest.approx(expected, abs=1e-6)


def test_one_other_is_dpo():
    gain = float((ONE - REFERENCE)[0, 0] - (ONE - REFERENCE)[0, 1])
    expected = -math.log(1 / (1 + math.exp(-0.3 * gain)))
    assert float(softmax_preference(ONE[:, :2], REFERENCE[:, :2], 0.3)) == pytest.approx(expected, abs=1e-6)


def test_the_order_of_the_others_changes_nothing_and_extremes_stay_finite():
    turned = [0, 3, 1, 2]
    assert torch.equal(
        softmax_preference(ONE, REFERENCE, 1.0), softmax_preference(ONE[:, turned], REFERENCE[:, turned], 1.0)
    )
    for far in (-1e3, 1e3):
        now = torch.tensor([[far, 0.0]], requires_grad=True)
        softmax_preference(now, torch.zeros(1, 2), 5.0).backward()
        assert now.grad is not None
        assert torch.isfinite(now.grad).all()


def test_likelier_is_better():
    now = ONE.clone().requires_grad_()
    softmax_preference(now, REFERENCE, 1.0).backward()
    assert now.grad[0, 0] < 0
    assert (now.grad[0, 1:] > 0).all()


def test_the_second_stage_begins_at_its_reference_and_never_rejects_what_was_taken(tmp_path):
    corpus = planted()
    run = planted_run(save_reader(tmp_path, corpus), 1, learning_rate=1e-6)
    found = made("s_dpo", run, {"candidates": 6, "rejected": 4, "samples": 24, "lora_dropout": 0.5, "tune": "lora"})
    found.fit(corpus, planted_features(corpus))
    choices = found.choices()
    assert len(choices) == 24
    assert all(len({each.response for each in choice.examples}) == 5 for choice in choices)
    titles = {found.title(found.learned.lesson(int(place)).item) for place in found.learned.places}
    assert {choice.examples[0].response for choice in choices} == titles
    with torch.no_grad():
        loss = found.preference_loss(choices)
    assert float(loss) == pytest.approx(math.log(5), abs=1e-4)


def test_the_second_stage_raises_the_margin(tmp_path):
    corpus = planted()
    run = planted_run(save_reader(tmp_path, corpus), 3, learning_rate=1e-3)
    found = made("s_dpo", run, {"candidates": 4, "samples": 60})
    found.fit(corpus, planted_features(corpus))
    assert found.history[0].loss["loss"] > found.history[-1].loss["loss"]
    assert found.history[0].loss["loss"] < math.log(4) + 0.2
    assert np.isfinite(found.history[-1].loss["loss"])
