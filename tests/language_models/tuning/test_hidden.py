"""Means of hidden states: of the text's own tokens, whatever stands beside it in a batch."""

import pytest
import torch

from language_models.tuning.hidden import mean_hidden
from schemas.errors import DataError
from tests.language_models.tuning.conftest import ARCHITECTURES

TEXTS = ["Dracula", "People who enjoy Gothic horror.", "x"]


@pytest.mark.parametrize("batch_tokens", [1, 40, 8192])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_vectors_are_the_means_of_plain_passes(tuned, kind, batch_tokens):
    model = tuned(kind)
    found = mean_hidden(model, TEXTS, batch_tokens)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = torch.tensor([model.prompt(text)])
        with torch.no_grad():
            states = model.lm(ids, output_hidden_states=True).hidden_states[-1][0]
        own = states[len(ids[0]) - len(model.encode(text)) :]
        torch.testing.assert_close(vector, own.mean(0), rtol=0, atol=1e-4)
    assert found.shape == (3, model.width)
    assert found.dtype == torch.float32
    assert not found.requires_grad


def test_a_text_without_tokens_and_one_that_is_too_long_are_named(opened):
    with pytest.raises(DataError, match="text 1: expected at least one token"):
        mean_hidden(opened(), ["x", ""])
    with pytest.raises(DataError, match="text 0: 301 tokens; the model reads at most 200"):
        mean_hidden(opened(), ["z" * 300])
