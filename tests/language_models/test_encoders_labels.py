"""An encoder's label is the source of its vectors: equal labels, equal vectors."""

import pytest
from pydantic import ValidationError

from schemas.sections import Encoder

CHANGES_A_VECTOR = {
    "kind": ["hf"],
    "name": ["e5-base-v2", "blair-roberta-base"],
    "precision": ["bfloat16", "float16"],
    "prefix": ["passage: ", "passage:", "query: "],
    "pooling": ["mean", "cls", "last"],
    "long": ["chunk"],
    "max_tokens": [128, 256],
    "dimensions": [64, 128],
}
CHANGES_NONE = {
    "batch_size": [8],
    "device": ["cpu"],
    "workers": [2],
    "base_url": ["http://127.0.0.1:1/v1"],
    "key_env": ["BOOKS_KEY"],
    "usd_per_million": [0.02],
    "max_cost_usd": [],  # needs a price
}


def _possible(kind: str, changes: dict) -> list[Encoder]:
    fields = {field: values for field, values in changes.items() if field not in (*Encoder.FOREIGN[kind], "kind")}
    return [Encoder(**{"kind": kind, field: value}) for field, values in fields.items() for value in values]


@pytest.mark.parametrize("kind", ["sentence_transformer", "openai", "hf"])
def test_all_that_changes_a_vector_and_nothing_else_changes_the_label(kind):
    labels = [encoder.label for encoder in [Encoder(kind=kind), *_possible(kind, CHANGES_A_VECTOR)]]
    assert len(set(labels)) == len(labels)
    assert {encoder.label for encoder in _possible(kind, CHANGES_NONE)} == {Encoder(kind=kind).label}


def test_kinds_do_not_share_vectors_and_every_field_is_sorted():
    assert len({Encoder(kind=kind).label for kind in Encoder.FOREIGN}) == 3
    assert {*CHANGES_A_VECTOR, *CHANGES_NONE} == set(Encoder.model_fields), "a new field changes a vector, or does not"


@pytest.mark.parametrize(
    ("changes", "label"),
    [
        ({}, "all-MiniLM-L6-v2"),
        ({"precision": "bfloat16"}, "all-MiniLM-L6-v2 (bfloat16)"),
        ({"name": "intfloat/e5-base-v2"}, 'e5-base-v2 (prefix "query: ")'),
        ({"name": "intfloat/e5-base-v2", "prefix": ""}, "e5-base-v2"),
        ({"name": "models/multilingual-e5-small"}, 'multilingual-e5-small (prefix "query: ")'),
        ({"name": "intfloat/multilingual-e5-large-instruct"}, "multilingual-e5-large-instruct"),
        ({"name": "intfloat/e5-mistral-7b-instruct"}, "e5-mistral-7b-instruct"),
        ({"name": "hyp1231/blair-roberta-base"}, "blair-roberta-base (cls pooling)"),
        ({"name": "BAAI/bge-base-en-v1.5"}, "bge-base-en-v1.5"),
        (
            {"kind": "openai", "name": "a/b", "dimensions": 9, "long": "chunk", "max_tokens": 7},
            "a/b (openai, chunked, 7 tokens, 9 dimensions)",
        ),
        ({"kind": "hf", "name": "/models/Qwen3-0.6B", "pooling": "last"}, "Qwen3-0.6B (hf, last pooling)"),
    ],
)
def test_labels(changes, label):
    assert Encoder(**changes).label == label


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "openai", "pooling": "cls"}, "pooling: kind openai does not use it"),
        ({"kind": "hf", "dimensions": 64}, "dimensions: kind hf does not use it"),
        ({"base_url": "http://127.0.0.1/v1"}, "base_url: kind sentence_transformer does not use it"),
        ({"kind": "openai", "max_cost_usd": 1.0}, "without usd_per_million the cap cannot be kept"),
        ({"kind": "openai", "usd_per_million": float("nan")}, "usd_per_million"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_what_has_no_effect_or_no_meaning_is_refused(changes, said):
    with pytest.raises(ValidationError, match=said):
        Encoder(**changes)
