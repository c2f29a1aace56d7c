"""Two answers side by side: which there are to choose from, and the words in which they differ."""

import polars as pl
import pytest
from markupsafe import Markup

from features.store import DeltaStore
from pipelines.ui.answers import WORDS, answers_about, differences, pair_of
from pipelines.ui.shelf import Shelf
from tests.support.hostile_world import FIRST, LAST, MODELS
from tests.support.inert import text_of

RUN = "/runs/paged"


@pytest.fixture(scope="module")
def found(hostile_file) -> list:
    return answers_about(Shelf(hostile_file), "item", "b12")


def test_every_recipe_field_and_model_of_all_nights_can_be_chosen(found) -> None:
    said = {(answer.ds, answer.recipe, answer.field, answer.model) for answer in found}
    fields = [("once.item", "description"), ("rlmrec.item", "reasoning"), ("rlmrec.item", "summarization")]
    assert said == {(ds, *field, model) for ds, model in MODELS.items() for field in fields}
    assert found[0].ds == LAST


def test_two_models_of_one_recipe_and_field_are_shown_first(found) -> None:
    old, new = pair_of(found, "", "")
    assert (old.recipe, old.field) == (new.recipe, new.field)
    assert (old.model, new.model) == (MODELS[FIRST], MODELS[LAST])


def test_named_ones_are_shown_and_a_wrong_name_is_none(found) -> None:
    first, last = found[0], found[-1]
    assert pair_of(found, first.name, last.name) == (first, last)
    assert pair_of(found, "nothing", last.name) == pair_of(found, "", "")
    assert pair_of(found[:1], "", "") is None


def test_an_answer_that_stays_the_same_stands_under_its_first_night(hostile_copy) -> None:
    store = DeltaStore(str(hostile_copy.parent / "lake"))
    store.overwrite("profiles", store.read("profiles", FIRST), LAST)
    assert {answer.ds for answer in answers_about(Shelf(hostile_copy), "item", "b12")} == {FIRST}


def test_only_words_that_differ_are_marked_and_both_texts_stay_whole() -> None:
    left, right = differences("a <b>short</b> tale of the sea", "a <b>long</b> tale of the sea at night")
    assert left == Markup("a <del>&lt;b&gt;short&lt;/b&gt;</del> tale of the sea")
    assert right == Markup("a <ins>&lt;b&gt;long&lt;/b&gt;</ins> tale of the sea<ins> at night</ins>")
    assert differences("same", "same") == (Markup("same"), Markup("same"))
    assert left.striptags() == "a <b>short</b> tale of the sea"


def test_very_long_texts_are_shown_and_not_compared() -> None:
    left, right = differences("a " * (WORDS + 1), "b")
    assert left == "a " * (WORDS + 1)
    assert right == "b"


def test_the_page_has_both_texts_with_tokens_dollars_and_words(hostile_client) -> None:
    page = hostile_client.get(f"{RUN}/answers?kind=item&id=b12").text
    assert "<del>short</del>" in page
    assert "<ins>long and winding</ins>" in page
    assert "14 words" in text_of(page)
    assert "US$ 0.00" in text_of(page)


def test_one_answer_alone_tells_how_to_get_another(hostile_copy, page_of) -> None:
    store = DeltaStore(str(hostile_copy.parent / "lake"))
    for ds in (FIRST, LAST):
        one = (pl.col("recipe") == "once.item") & (pl.col("id") == "b12")
        store.overwrite("profiles", store.read("profiles", FIRST, version=0).filter(one), ds)
    page = text_of(page_of(hostile_copy).get(f"{RUN}/answers?kind=item&id=b12").text)
    assert "There is one answer about it" in page
    assert "[[recipes]]" in page


def test_without_a_subject_some_are_offered_and_an_unknown_one_can_be_searched(hostile_client) -> None:
    assert "/answers?kind=item&amp;id=b00" in hostile_client.get(f"{RUN}/answers").text
    page = hostile_client.get(f"{RUN}/answers?kind=item&id=b999").text
    assert "No answer about item b999" in page
    assert "/texts?q=b999&amp;kind=item" in page
