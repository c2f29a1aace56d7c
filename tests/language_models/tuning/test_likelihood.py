"""Batched, cached and shared passes against one plain forward pass per text, on four architectures."""

import pytest
import torch
from torch.testing import assert_close

from language_models.tuning.batches import Example, Text
from language_models.tuning.likelihood import log_likelihoods, losses, next_logits
from language_models.tuning.prefixes import keys, shared_prefix, stems
from schemas.errors import DataError
from tests.language_models.tuning.conftest import ARCHITECTURES
from tests.language_models.tuning.plain import plain_log_likelihood, plain_logits, words
from tests.support.tiny_model import CONTEXT

CLOSE = {"rtol": 0, "atol": 1e-4}
INSTRUCTION = "Say Yes or No: does this reader like the book? "
HISTORIES = ["Dracula, Emma", "The Castle of Otranto and then some more of those", "It", ""]
RESPONSES = [(5, 6, 7, 1), (8,), (9, 1), (40, 41, 42, 43, 44, 45, 1), (5, 6, 7, 8)]


def asked(model, candidates=("Vathek", "Melmoth the Wanderer", "She")):
    """Prompts that share an instruction, and those of a user a history."""
    return words(model, *(f"{INSTRUCTION}{read}; {book}?" for read in HISTORIES for book in candidates))


@pytest.fixture
def counted():
    """Counts the tokens that a model reads, padding included."""

    def count(model):
        seen = []
        model.embedding().register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].numel()))
        return seen

    return count


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_losses_of_a_batch_are_those_of_plain_passes(tuned, kind):
    model = tuned(kind)
    prompts = words(model, *(INSTRUCTION[:size] for size in (40, 3, 17, 9, 25)))
    total, count = losses(model, list(map(Example, prompts, RESPONSES)))
    expected = [-plain_log_likelihood(model, *each) for each in zip(prompts, RESPONSES, strict=True)]
    assert model.pad == model.end == 1  # and the responses end with it
    assert_close(total.detach(), torch.stack(expected), **CLOSE)
    assert count.tolist() == [4, 1, 2, 7, 4]
    assert total.dtype == torch.float32
    assert total.requires_grad


def test_losses_on_the_prompt_count_all_tokens_but_the_first(tuned):
    model = tuned()
    prompts = words(model, "Emma", "Dracula and It")
    total, count = losses(model, [Example(prompt, (5, 1)) for prompt in prompts], train_on_prompt=True)
    expected = [-plain_log_likelihood(model, Text(prompt.ids[:1]), (*prompt.ids[1:], 5, 1)) for prompt in prompts]
    assert_close(total.detach(), torch.stack(expected), **CLOSE)
    assert count.tolist() == [len(prompt) + 1 for prompt in prompts]


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_next_logits_are_those_of_plain_passes_in_order(tuned, kind, batch_tokens):
    model = tuned(kind)
    prompts = asked(model)
    found = next_logits(model, prompts, batch_tokens=batch_tokens)
    assert_close(found, torch.stack([plain_logits(model, prompt.ids)[-1] for prompt in prompts]), **CLOSE)
    assert not found.requires_grad
    assert torch.equal(next_logits(model, prompts, batch_tokens=batch_tokens, tokens=(9, 3)), found[:, [9, 3]])


def test_next_logits_do_not_need_a_common_beginning(tuned):
    model = tuned()
    prompts = words(model, "Emma", INSTRUCTION, "x", INSTRUCTION, "Dracula and It")
    expected = torch.stack([plain_logits(model, prompt.ids)[-1] for prompt in prompts])
    assert_close(next_logits(model, prompts), expected, **CLOSE)
    assert_close(next_logits(model, prompts[:1]), expected[:1], **CLOSE)


def test_instruction_and_histories_are_read_once(tuned, counted):
    model = tuned()
    prompts = asked(model)
    seen = counted(model)
    next_logits(model, prompts)
    assert sum(seen) < 0.5 * sum(map(len, prompts))
    seen.clear()
    next_logits(model, words(model, "Emma", "Dracula and It"))  # nothing worth sharing
    assert seen == [2 * len(model.prompt("Dracula and It"))]


@pytest.mark.parametrize("kind", ARCHITECTURES)
@pytest.mark.parametrize("batch_tokens", [1, 300, 100_000])
def test_candidates_have_the_likelihoods_of_plain_passes(tuned, kind, batch_tokens):
    model = tuned(kind)
    prompts = asked(model, ["Vathek"])
    responses = [RESPONSES, RESPONSES[1:2], RESPONSES[::-1], []]
    found = log_likelihoods(model, prompts, responses, batch_tokens=batch_tokens)
    assert list(map(len, found)) == [5, 1, 5, 0]
    for prompt, own, total in zip(prompts[:3], responses[:3], found[:3], strict=True):
        expected = [plain_log_likelihood(model, prompt, response) for response in own]
        assert_close(total, torch.stack(expected), **CLOSE)


def test_a_prompt_is_read_once_for_all_of_its_candidates(tuned, counted):
    model = tuned()
    prompts = asked(model, ["Vathek"])
    seen = counted(model)
    log_likelihoods(model, prompts, [RESPONSES] * len(prompts))
    again = len(prompts) * sum(map(len, RESPONSES))
    assert sum(seen) < sum(map(len, prompts)) + 2 * again  # padding included


@pytest.mark.parametrize("size", [0, 8])
def test_a_sliding_window_is_kept_to(tuned, size):
    """Padding between a shared beginning and the rest would count in it."""
    model = tuned("mistral")
    prompts = asked(model)[: 4 + size]
    assert min(map(len, prompts)) > model.window
    expected = torch.stack([plain_logits(model, prompt.ids)[-1] for prompt in prompts])
    assert_close(next_logits(model, prompts), expected, **CLOSE)
    found = log_likelihoods(model, prompts, [RESPONSES] * len(prompts))
    for prompt, total in zip(prompts, found, strict=True):
        assert_close(total, torch.stack([plain_log_likelihood(model, prompt, each) for each in RESPONSES]), **CLOSE)


@pytest.mark.parametrize("kind", ["llama", "opt"])
def test_soft_tokens_are_read_in_their_places_and_shared_where_they_are_equal(tuned, counted, kind):
    model = tuned(kind)
    users, items = torch.randn(2, model.width), torch.randn(3, model.width)
    begin, middle, end = model.prompt(INSTRUCTION), model.encode(" has read Dracula and It; "), model.encode("?")
    at = (len(begin), len(begin) + 1 + len(middle))
    prompts = [Text((*begin, 0, *middle, 0, *end), slots=at)] * 6
    soft = [torch.stack([user, item]) for user in users for item in items]
    expected = [plain_logits(model, prompts[0].ids, at, vectors)[-1] for vectors in soft]
    seen = counted(model)
    found = next_logits(model, prompts, soft)
    assert_close(found, torch.stack(expected), **CLOSE)
    assert sum(seen) == len(begin) + 2 * (1 + len(middle)) + 6 * (1 + len(end))
    (total, *_), whole = log_likelihoods(model, prompts, [RESPONSES] * 6, soft), soft[0]
    assert_close(total[3], plain_log_likelihood(model, prompts[0], RESPONSES[3], whole), **CLOSE)
    some = next_logits(model, prompts[:2], [None, soft[1]])
    assert_close(some, torch.stack([plain_logits(model, prompts[0].ids)[-1], expected[1]]), **CLOSE)


def test_losses_reach_soft_tokens(tuned):
    model = tuned()
    prompt = Text((*model.prompt("Dracula "), 0, 0, *model.encode(" read")), slots=(8, 9))
    vectors = torch.randn(2, model.width, requires_grad=True)
    total, _ = losses(model, [Example(prompt, (5, 1)), Example(Text((0, 5)), (6,))], [vectors, None])
    assert_close(total[0].detach(), -plain_log_likelihood(model, prompt, (5, 1), vectors.detach()), **CLOSE)
    total.sum().backward()
    assert vectors.grad is not None
    assert (vectors.grad.abs().sum(1) > 0).all()


def test_scoring_leaves_training_mode_as_it_was_and_has_no_dropout(opened):
    model = opened("gpt2")  # has dropout of its own
    prompts = words(model, "Emma", "Dracula and It")
    expected = next_logits(model, prompts)
    model.train()
    assert torch.equal(next_logits(model, prompts), expected)
    assert model.training
    assert torch.is_grad_enabled()


def test_what_is_too_long_or_empty_is_named(opened):
    model = opened()
    fits, long, empty = Text((5,) * CONTEXT), Text((5,) * (CONTEXT + 1)), Text(())
    assert next_logits(model, [fits]).isfinite().all()
    with pytest.raises(DataError, match=rf"prompt 1: {CONTEXT + 1} tokens; the model reads at most {CONTEXT}"):
        next_logits(model, [fits, long])
    with pytest.raises(DataError, match=rf"prompt 0: {CONTEXT + 2} tokens"):
        log_likelihoods(model, [fits], [[(5,), (6, 1)]])
    with pytest.raises(DataError, match=rf"example 0: {CONTEXT + 1} tokens"):
        losses(model, [Example(fits, (1,))])
    with pytest.raises(DataError, match="prompt 0: expected at least one token"):
        next_logits(model, [empty])
    with pytest.raises(DataError, match="prompt 0: expected at least one token"):
        log_likelihoods(model, [fits], [[()]])
    with pytest.raises(DataError, match="example 1: expected a prompt and a response"):
        losses(model, [Example(Text((5,)), (1,)), Example(Text((5,)), ())])


def test_half_precision_is_close(tuned):
    prompts = asked(tuned())
    half, whole = (next_logits(tuned(dtype=dtype), prompts) for dtype in (torch.bfloat16, torch.float32))
    assert half.dtype == torch.float32
    assert_close(half, whole, rtol=0, atol=0.35)  # the logits' standard deviation is above two
    assert not torch.equal(half, whole)


def test_stems_are_what_saves_most_tokens():
    user = [(*range(100), each) for each in (7, 8, 9)]
    other = [(*range(40), *(50,) * 60, each) for each in (7, 8)]
    alone = [(*range(20), *(99,) * 30)]
    texts = [user[0], other[0], alone[0], user[1], other[1], user[2]]
    assert shared_prefix(texts) == 20
    found = {stem.members: stem.length for stem in stems(texts, 20)}
    assert found == {(0, 3, 5): 100, (1, 4): 100, (2,): 20}
    assert shared_prefix([(*range(15), 1), (*range(15), 2)]) == 0
    assert shared_prefix([tuple(range(30))] * 3) == 29  # a token of each is left to read
    assert shared_prefix([tuple(range(30))]) == 0


def test_equal_vectors_are_the_same_and_others_are_not():
    text = Text((5, 6, 7), slots=(1,))
    first, second = torch.zeros(1, 4), torch.ones(1, 4)
    a, b, c, d = keys([text] * 4, [first, second, first.clone(), None])
    assert a == c == (5, -1, 7)
    assert b == (5, -2, 7)
    assert d == (5, 6, 7)
