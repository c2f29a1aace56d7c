"""What of the comparison with `generate` is not timing: both score the same prompts, and score them alike."""

import pytest
import torch

pytest.importorskip("peft")

from benchmarks.local_scoring import (
    CANDIDATES,
    LETTERS,
    LISTED,
    MOST_APART,
    YES_NO,
    World,
    generated,
    measured,
    one_by_one,
)
from language_models.tuning.answers import answer_ids
from language_models.tuning.likelihood import log_likelihoods, next_logits


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World.made(tmp_path_factory.mktemp("world"), users=2)


def test_every_user_and_candidate_is_asked_about(world):
    pairs, lists = world.yes_no(), world.listed()
    assert len(pairs) == 2 * CANDIDATES
    assert len(set(pairs)) == len(pairs)
    told = [world.model.tokenizer.decode(prompt.ids) for prompt in (*pairs, *lists)]
    assert all(text.startswith(f"<s>{YES_NO}") and text.endswith("Answer:\n") for text in told[: len(pairs)])
    assert all(text.startswith(f"<s>{LISTED}") and text.count("\n(") == CANDIDATES for text in told[len(pairs) :])
    assert all(150 <= len(prompt) <= 400 for prompt in (*pairs, *lists))
    assert not set(world.histories[0]) & set(world.candidates[0])


@pytest.mark.parametrize(("kind", "answers"), [("yes_no", ("Yes", "No")), ("listed", LETTERS)])
def test_both_give_the_same_scores(world, kind, answers):
    prompts, ids = getattr(world, kind)()[:5], answer_ids(world.model, "Answer:\n", answers)
    ours, theirs = next_logits(world.model, prompts, tokens=ids), generated(world.model, prompts, ids)
    assert ours.shape == theirs.shape == (len(prompts), len(answers))
    assert (ours - theirs).abs().max() < MOST_APART
    assert theirs.std() > 0.1  # scores that differ more than what is allowed to differ


def test_titles_have_the_same_likelihoods(world):
    prompts, responses = world.listed()[:1], [world.responses()[0][:3]]
    ours = torch.stack(log_likelihoods(world.model, prompts, responses))
    assert torch.allclose(ours, one_by_one(world.model, prompts, responses), rtol=0, atol=MOST_APART)


def test_what_is_slower_or_differs_falls_short(world):
    prompts, ids = world.yes_no()[:2], answer_ids(world.model, "Answer:\n")
    alike = {name: lambda: generated(world.model, prompts, ids) for name in ("ours", "loop")}
    figures = {figure.what: figure for figure in measured("yes_no", world.model, prompts, alike, 2, turns=1)}
    speed = next(figure for what, figure in figures.items() if what.startswith("candidates per CPU second"))
    assert not speed.passed  # the same speed
    assert figures["largest difference of scores"].found == "0"
    other = alike | {"ours": lambda: generated(world.model, prompts, ids) + 0.001}
    apart = measured("yes_no", world.model, prompts, other, 2, turns=1)[-1]
    assert not apart.passed
