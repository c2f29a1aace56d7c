"""The decoder one code at a time against transformers' own pass over whole tuples."""

import numpy as np
import pytest
import torch
from torch import Tensor

from features.codes import ItemCodes
from recommenders.generative.beam_search import Search
from recommenders.generative.code_t5 import CodeT5, Read
from recommenders.generative.code_t5_step import CodeT5Step
from recommenders.generative.code_tokens import CodeTokens
from recommenders.generative.exact_likelihood import log_likelihood
from recommenders.generative.trie import Trie

SIZES = (5, 6, 7)


@pytest.fixture(scope="module")
def tokens() -> CodeTokens:
    rng = np.random.default_rng(0)
    drawn = {tuple(int(rng.integers(size)) for size in SIZES[: rng.integers(1, 4)]) for _ in range(60)}
    rows = [[*each, *[-1] * (3 - len(each))] for each in sorted(drawn)]
    return CodeTokens.of(ItemCodes(np.array(rows, dtype=np.int32), SIZES, "made"), separator=False)


@pytest.fixture(scope="module")
def model(tokens) -> CodeT5:
    torch.manual_seed(0)
    made = CodeT5(tokens.sizes, dim=16, inner=32, heads=2, head_dim=6, layers=2, dropout=0.3)
    for weight in made.parameters():  # far from what is drawn at first, or all logits are nearly alike
        torch.nn.init.normal_(weight, std=0.5)
    return made.eval()


def histories(tokens: CodeTokens, lengths: tuple[int, ...]) -> Tensor:
    rng, pad = np.random.default_rng(1), len(tokens.codes)
    item = np.full((len(lengths), max(lengths)), pad)
    for row, length in zip(item, lengths, strict=True):
        row[len(row) - length :] = rng.integers(pad, size=length)
    return torch.from_numpy(tokens.history(item, whole=False))


def test_step_by_step_gives_the_logits_of_the_whole_pass(model, tokens):
    """Beams change places after every code, as in a search."""
    read = model.read(histories(tokens, (4, 1, 2)))
    full = np.flatnonzero((tokens.codes >= 0).all(axis=1))[:6]
    codes = torch.from_numpy(tokens.codes[full])
    users, beams = 3, len(codes)
    with torch.no_grad():
        expected = model.forced_all(read, codes)
        step = CodeT5Step(model, read)
        first = step(torch.zeros(users, 1, dtype=torch.int64), torch.full((users, 1), -1))
        assert torch.allclose(first.expand(-1, beams, -1), expected[0], atol=1e-4)
        second = step(torch.zeros(users, beams, dtype=torch.int64), codes[:, 0].expand(users, -1))
        assert torch.allclose(second, expected[1], atol=1e-4)
        turned = torch.stack([torch.randperm(beams) for _ in range(users)])
        third = step(turned, codes[:, 1][turned])
        assert torch.allclose(third, expected[2].gather(1, turned[..., None].expand_as(third)), atol=1e-4)
    assert expected[2].std() > 0.5


@pytest.mark.parametrize("beam", [3, 100])
def test_a_search_gives_likelihoods_of_the_whole_pass(model, tokens, beam):
    read = model.read(histories(tokens, (2, 5)))
    trie = Trie.of(tokens.codes)
    found = Search(trie, beam)(CodeT5Step(model, read), 2)
    exact = log_likelihood(lambda some: model.forced_all(read, some), torch.from_numpy(tokens.codes), 16)
    for node, score, each in zip(found.node, found.score, exact, strict=True):
        assert torch.allclose(score, each[trie.item[trie.first[node]]], atol=1e-4)
    if beam == 100:
        assert torch.equal(trie.item[trie.first[found.node]], exact.argsort(dim=1, descending=True))


def test_padding_and_company_change_nothing(model, tokens):
    alone, together = histories(tokens, (2,)), histories(tokens, (2, 6))
    longer = torch.cat([torch.zeros_like(together[:1, : together.shape[1] - alone.shape[1]]), alone], dim=1)
    for token in (longer, torch.cat([longer, together[1:]])):
        read = model.read(token)
        logits = CodeT5Step(model, Read(read.state[:1], read.real[:1]))(
            torch.zeros(1, 1).long(), -torch.ones(1, 1).long()
        )
        expected = CodeT5Step(model, model.read(alone))(torch.zeros(1, 1).long(), -torch.ones(1, 1).long())
        assert torch.allclose(logits, expected, atol=1e-5)


def test_the_loss_is_the_mean_over_all_codes_that_there_are(model, tokens):
    token, codes = histories(tokens, (3, 3)), torch.from_numpy(tokens.codes[:2])
    assert (codes < 0).any()
    read = model.read(token)
    exact = log_likelihood(lambda some: model.forced_all(read, some), codes, 2)
    with torch.no_grad():
        found, sharp = (float(model.loss(token, codes, tau)) for tau in (1.0, 0.5))
    assert np.isclose(found, -float(exact.diagonal().sum()) / int((codes >= 0).sum()), atol=1e-5)
    assert abs(sharp - found) > 0.01
