"""Beam search in a causal language model finds what reading every title would."""

import pytest
import torch

from language_models.tuning.batches import Text
from language_models.tuning.likelihood import log_likelihoods
from language_models.tuning.model import TunableModel
from recommenders.generative.beam_search import Search
from recommenders.generative.causal_step import CausalStep
from recommenders.generative.trie import Trie
from tests.support.planted import planted, save_reader

TITLES = ["ocean", "ocean forest", "forest ocean city", "desert", "city desert ocean", "ocean forest city"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    folder = save_reader(tmp_path_factory.mktemp("reader"), planted())
    return TunableModel.open(folder, torch.device("cpu"), None)


@pytest.mark.parametrize(
    "asked",
    [
        ["user : city", "user : forest ocean desert city"],
        ["Choose the item that the user will take next among the candidates . Answer only with its title . " + end
         for end in ("city", "ocean ocean", "desert forest")],
    ],
    ids=["nothing alike", "a long beginning alike"],
)  # fmt: skip
def test_a_wide_search_is_the_exact_ranking(model, asked):
    prompts = [Text(tuple(model.prompt(text))) for text in asked]
    texts = [(*model.encode(title), model.end) for title in TITLES]
    codes = torch.full((len(texts), 4), -1)
    for row, text in enumerate(texts):
        codes[row, : len(text)] = torch.tensor(text)
    trie = Trie.of(codes.numpy())
    with model.evaluating():
        beams = Search(trie, len(TITLES))(CausalStep(model, prompts), len(prompts))
    expected = torch.stack(log_likelihoods(model, prompts, [texts] * len(prompts)))
    items = trie.item[trie.first[beams.node]]
    assert torch.equal(items, expected.argsort(dim=1, descending=True))
    assert torch.allclose(beams.score, expected.gather(1, items), atol=1e-4)
