"""Vectors that Spark's workers make are those of this process, and what they took is summed up."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from features.spark import encoding
from features.spark.frames import to_polars
from language_models.encoders.shards import warm_encoder
from schemas.records import sha256
from schemas.sections import Encoder

pytest.importorskip("sentence_transformers")

TEXTS = ["A ghost in the attic.", "Ships and storms. " * 100, "Love letters", "A desert planet", "Cakes", "Maps"]


def test_a_block_is_encoded_with_what_it_took_in_its_first_row():
    config = Encoder()
    texts = pl.DataFrame({"text": TEXTS, "text_hash": [sha256(text) for text in TEXTS]})
    rows = encoding.encode_block(texts, config.model_dump_json(), config.label)
    alone = warm_encoder(config).encode(TEXTS)
    np.testing.assert_allclose(np.stack(rows["vector"].to_list()), alone, atol=1e-6)
    assert rows["text_hash"].to_list() == texts["text_hash"].to_list()
    assert rows["texts"].to_list() == [len(TEXTS)] + [None] * (len(TEXTS) - 1)
    assert rows["truncated"][0] == 1  # the long one
    again = encoding.encode_block(texts.tail(1), config.model_dump_json(), config.label)
    assert (again["texts"][0], again["truncated"][0]) == (1, 0), "an encoder that is kept counts each block on its own"


@pytest.mark.slow
def test_waves_bring_every_text_once_with_the_vectors_of_one_process(spark, monkeypatch):
    monkeypatch.setattr(encoding, "TEXTS", 2)  # two workers: four texts, then two
    config = Encoder()
    texts = pl.DataFrame({"text_hash": [sha256(text) for text in TEXTS], "text": TEXTS})
    found, done = list[pl.DataFrame](), list[tuple[int, int]]()
    for wave in encoding.encode_waves(spark, texts, config):
        found.append(to_polars(wave.rows))
        done.append((wave.done.texts, wave.done.truncated))
        assert wave.limit == warm_encoder(config).limit
    assert done == [(4, 1), (2, 0)]
    rows = pl.concat(found).sort("text_hash")
    assert rows.columns == ["encoder", "text_hash", "vector"]
    expected = texts.sort("text_hash")
    assert rows["text_hash"].to_list() == expected["text_hash"].to_list()
    alone = warm_encoder(config).encode(expected["text"].to_list())
    np.testing.assert_allclose(np.stack(rows["vector"].to_list()), alone, atol=1e-5)
