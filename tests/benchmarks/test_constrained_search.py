"""What of the comparison with `generate` is not timing: both search the same model, and find the same."""

import numpy as np
import pytest
import torch

pytest.importorskip("transformers")

from benchmarks.sequential.constrained import BEAM, LEVELS, Generate, Ours, alternate, catalogue, untrained


def test_both_find_the_same_items_with_the_same_probabilities():
    tokens = catalogue(items=300)
    model = untrained(tokens)
    history = torch.from_numpy(tokens.history(np.random.default_rng(0).integers(300, size=(2, 5)), whole=False))
    ours, theirs = (each(model, tokens)(history) for each in (Ours, Generate))
    assert ours.item.shape == (2, BEAM)
    assert np.array_equal(ours.item, theirs.item)
    assert np.allclose(ours.score, theirs.score, atol=1e-4)
    assert not np.array_equal(ours.item[0], ours.item[1])


def test_the_catalogue_has_distinct_codes_of_one_length():
    tokens = catalogue(items=300)
    assert tokens.codes.shape == (300, LEVELS)
    assert len(np.unique(tokens.codes, axis=0)) == 300
    assert tokens.codes.min() == 0


def test_the_first_turn_does_not_count():
    asked = []
    _, told = alternate({name: lambda name=name: asked.append(name) for name in ("one", "other")}, turns=2)
    assert asked == ["one", "other", "other", "one", "one", "other"]
    assert {name: len(each) for name, each in told.items()} == {"one": 2, "other": 2}
