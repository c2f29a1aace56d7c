"""Pooled hidden states, proved against one text at a time without any padding."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from language_models.encoders import make_encoder
from language_models.encoders.hf import pool
from language_models.protocols import Encoded
from schemas.errors import ConfigError
from schemas.sections import Encoder
from tests.support.tiny_model import CONTEXT, save_tiny_model

TEXTS = ["Dracula", "People who enjoy Gothic horror, and the sea.", "a", "Describe. " * 12, "Answer in JSON."]


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def folder(request, tmp_path_factory):
    return save_tiny_model(tmp_path_factory.mktemp("models") / request.param, request.param)


def hf(folder, **changes):
    return make_encoder(Encoder(kind="hf", name=str(folder), **changes))


def states(folder, text):
    """Hidden states [T, D] of one text by itself."""
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"][:, :CONTEXT]
    with torch.inference_mode():
        return AutoModel.from_pretrained(folder)(input_ids=ids).last_hidden_state[0]


def unit(vector):
    return (vector / vector.norm()).numpy()


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_vectors_are_those_of_each_text_alone(folder, pooling):
    by_hand = {"mean": lambda rows: rows.mean(dim=0), "cls": lambda rows: rows[0], "last": lambda rows: rows[-1]}
    expected = np.stack([unit(by_hand[pooling](states(folder, text))) for text in TEXTS])
    vectors = hf(folder, pooling=pooling, batch_size=2).encode(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((5, 32), np.float32)
    assert vectors == pytest.approx(expected, abs=1e-5)


def test_poolings_differ_and_the_mean_is_the_default(folder):
    mean, cls, last = (hf(folder, pooling=pooling).encode(TEXTS[1:2]) for pooling in ("mean", "cls", "last"))
    assert np.array_equal(hf(folder).encode(TEXTS[1:2]), mean)
    for one, other in ((mean, cls), (cls, last), (mean, last)):
        assert np.abs(one - other).max() > 0.01


def test_padding_on_either_side_is_left_out():
    rows = torch.arange(1.0, 7.0).reshape(1, 3, 2)  # [1, 3, 2]
    nan = torch.full((1, 2, 2), 1e9)
    right, left = torch.cat([rows, nan], dim=1), torch.cat([nan, rows], dim=1)
    for how, expected in {"mean": [3.0, 4.0], "cls": [1.0, 2.0], "last": [5.0, 6.0]}.items():
        assert pool(right, torch.tensor([[1, 1, 1, 0, 0]]), how).tolist() == [expected]
        assert pool(left, torch.tensor([[0, 0, 1, 1, 1]]), how).tolist() == [expected]


def test_a_long_text_is_cut_or_read_in_windows(folder):
    text = "Gothic horror. " * 80
    cut, chunked = hf(folder), hf(folder, long="chunk")
    assert cut.encode([text])[0] == pytest.approx(unit(states(folder, text).mean(dim=0)), abs=1e-5)
    assert (cut.limit, cut.done) == (CONTEXT, Encoded(texts=1, truncated=1, tokens=CONTEXT))
    chunked.encode([text])
    whole = len(AutoTokenizer.from_pretrained(folder)(text)["input_ids"])
    assert chunked.done.truncated == 0
    assert whole - 10 <= chunked.done.tokens <= whole, "all but white space where it was cut"


def test_the_mean_of_windows_by_hand(folder):
    chunked = hf(folder, long="chunk", max_tokens=6)
    count = {text: len(AutoTokenizer.from_pretrained(folder)(text)["input_ids"]) for text in ("ab cd", "ef")}
    assert count == {"ab cd": 5, "ef": 2}, "a token for each letter, as the tokenizer has not learned these words"
    mean = 5 * hf(folder).encode(["ab cd"])[0] + 2 * hf(folder).encode(["ef"])[0]
    assert chunked.encode(["ab cd ef"])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_empty_input(folder):
    encoder = hf(folder)
    assert encoder.encode([]).shape == (0, 32)
    assert np.linalg.norm(encoder.encode(["", "a"]), axis=1) == pytest.approx(1.0, abs=1e-5)
    assert encoder.encode(["a", ""])[0] == pytest.approx(encoder.encode(["a"])[0], abs=1e-6)


def test_a_prefix_is_read(folder):
    assert hf(folder, prefix="query: ").encode(["a"]) == pytest.approx(hf(folder).encode(["query: a"]), abs=1e-6)


def test_half_precision_is_near(folder):
    exact, half = hf(folder).encode(TEXTS), hf(folder, precision="bfloat16").encode(TEXTS)
    assert (exact * half).sum(axis=1) == pytest.approx(1.0, abs=0.02)
    assert not np.array_equal(exact, half)


def test_what_cannot_be_loaded_is_named(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"encoder\.name: .*none: expected the folder.*nothing is downloaded"):
        hf(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"encoder\.max_tokens: .*expected at most 200, .*found 201"):
        hf(folder, max_tokens=CONTEXT + 1)
