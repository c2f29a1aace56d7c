"""Every tokenizer: registered, documented, a bijection, blind to row order, stable when items come, kept on disk."""

import importlib
import inspect
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import features.tokenizers
from features.codes import align_codes
from features.tokenizers import TOKENIZERS, Tokenizer
from features.tokenizers.coding import Coded, code_items
from features.tokenizers.numbered import Numbered
from features.tokenizers.residual import ResidualTokenizer
from graph_models.options import check_options, known_options
from schemas.errors import StoreError
from tests.support.catalogue import ITEMS, OPTIONS, catalogue, first, reordered

BEFORE = 45


def fitted(name: str, inputs=None) -> Tokenizer:
    tokenizer = TOKENIZERS[name](**OPTIONS.get(name, {}))
    tokenizer.fit(catalogue() if inputs is None else inputs)
    return tokenizer


def rows(coded: Coded) -> pl.DataFrame:
    codes = pl.Series("codes", coded.codes.tolist(), dtype=pl.List(pl.Int32))
    return pl.DataFrame({"id": coded.ids}).with_columns(codes)


def test_the_registry_holds_every_file_of_its_folder():
    found: set[type] = set()
    for file in Path(features.tokenizers.__file__).parent.glob("*.py"):
        module = importlib.import_module(f"features.tokenizers.{file.stem}")
        found |= {each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, Tokenizer)}
    assert found - {Tokenizer, Numbered, ResidualTokenizer} == set(TOKENIZERS.values())


@pytest.mark.parametrize("name", TOKENIZERS)
def test_documented_and_every_option_has_a_default_that_it_would_take(name):
    each = TOKENIZERS[name]
    assert "arXiv" in each.source or "20" in each.source
    assert each.__doc__
    parameters = inspect.signature(each.__init__).parameters
    defaults = {option: parameters[option].default for option in known_options(each)}
    assert inspect.Parameter.empty not in defaults.values()
    check_options(each, defaults, name)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_every_item_has_codes_of_its_own_within_the_levels(name):
    inputs = catalogue()
    coded = code_items(fitted(name), inputs)
    assert coded.ids == inputs.ids
    assert coded.new.all()
    sizes = pl.Series("sizes", [list(coded.sizes)] * ITEMS, dtype=pl.List(pl.Int32))
    aligned = align_codes(rows(coded).with_columns(sizes), inputs.items["id"], name)  # refuses ties, gaps, overflows
    np.testing.assert_array_equal(aligned.codes, coded.codes)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_order_of_rows_changes_nothing(name):
    inputs = catalogue()
    other = reordered(inputs, np.random.default_rng(1).permutation(ITEMS))
    assert other.ids != inputs.ids
    tokenizer, again = fitted(name, inputs), fitted(name, other)
    plain = code_items(tokenizer, inputs)
    for coded in (code_items(again, other), code_items(tokenizer, other)):
        assert coded.ids == plain.ids
        np.testing.assert_array_equal(coded.codes, plain.codes)


@pytest.mark.parametrize("name", TOKENIZERS)
def test_new_items_are_coded_without_a_refit_and_change_no_old_code(name):
    inputs = catalogue()
    tokenizer = fitted(name, first(inputs, BEFORE))
    arrays = {key: array.copy() for key, array in tokenizer.arrays.items()}
    old = code_items(tokenizer, first(inputs, BEFORE))
    now = code_items(tokenizer, inputs, rows(old))
    np.testing.assert_array_equal(now.codes[:BEFORE], old.codes)
    assert now.new.tolist() == [False] * BEFORE + [True] * (ITEMS - BEFORE)
    assert len(set(map(tuple, now.codes.tolist()))) == ITEMS
    assert all((now.codes < now.sizes).all(axis=0))
    for key, array in arrays.items():
        np.testing.assert_array_equal(tokenizer.arrays[key], array)
    steps = code_items(tokenizer, first(inputs, BEFORE + 5), rows(old))
    later = code_items(tokenizer, inputs, rows(steps))
    np.testing.assert_array_equal(later.codes[: BEFORE + 5], steps.codes)
    assert len(set(map(tuple, later.codes.tolist()))) == ITEMS


@pytest.mark.parametrize("name", TOKENIZERS)
def test_codes_of_an_item_that_is_gone_are_not_given_to_another_one(name):
    inputs = catalogue()
    tokenizer = fitted(name, inputs)
    before = rows(code_items(tokenizer, inputs))
    gone = set(map(tuple, before["codes"].to_list()[:5]))
    left = reordered(inputs, np.arange(ITEMS))
    renamed = pl.concat([pl.Series("id", [f"z{n}" for n in range(5)]), left.items["id"][5:]])
    now = code_items(tokenizer, type(left)(left.items.with_columns(renamed), left.x, left.present, left.train), before)
    assert int(now.new.sum()) == 5
    assert not gone & set(map(tuple, now.codes.tolist()))


@pytest.mark.parametrize("name", TOKENIZERS)
def test_what_was_saved_codes_alike(name, tmp_path):
    inputs = catalogue()
    tokenizer = fitted(name, first(inputs, BEFORE))
    tokenizer.save(tmp_path)
    loaded = TOKENIZERS[name](**OPTIONS.get(name, {}))
    loaded.load(tmp_path)
    old = rows(code_items(tokenizer, first(inputs, BEFORE)))
    np.testing.assert_array_equal(code_items(loaded, inputs, old).codes, code_items(tokenizer, inputs, old).codes)
    assert loaded.sizes == tokenizer.sizes


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_broken_file_is_named(name, tmp_path):
    fitted(name).save(tmp_path)
    (tmp_path / "tokenizer.safetensors").write_bytes(b"torn")
    with pytest.raises(StoreError, match=f"{tmp_path}: no fitted tokenizer"):
        TOKENIZERS[name](**OPTIONS.get(name, {})).load(tmp_path)
