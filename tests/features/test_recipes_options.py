"""Recipes from a run file: their options, their order, their columns; and what RLMRec asks in particular."""

import json

import polars as pl
import pytest

from features.corpus import make_corpus
from features.recipes import make_recipe, make_recipes
from schemas import sections
from schemas.errors import AnswerError, ConfigError
from schemas.records import Event, Subject

ITEM, USER = sections.Recipe(name="rlmrec.item"), sections.Recipe(name="rlmrec.user")


@pytest.fixture
def corpus():
    users, items = pl.DataFrame({"id": ["u"]}), pl.DataFrame({"id": ["i"], "title": ["Emma"], "author": [None]})
    splits = pl.DataFrame({"user_id": ["u"], "item_id": ["i"], "time": [1], "order": [0], "weight": [1.0]})
    return make_corpus(users, items, splits.with_columns(part=pl.lit("train"), split_id=pl.lit("s")))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("rlmrec.itme", {}, "recipes: rlmrec.itme: unknown, did you mean rlmrec.item"),
        ("rlmrec.user", {"max_item": 3}, "rlmrec.user.options: max_item: unknown, did you mean max_items"),
        ("rlmrec.user", {"max_items": 0}, "rlmrec.user.options.max_items: .*greater than 0, found 0"),
        ("rlmrec.item", {"noun": 3}, "rlmrec.item.options.noun: .*found 3"),
    ],
)
def test_a_wrong_name_or_option_is_named(name, options, message):
    with pytest.raises(ConfigError, match=message):
        make_recipe(name, options)


def test_a_recipe_stands_after_what_it_shows(corpus):
    assert [recipe.name for recipe in make_recipes([ITEM, USER], corpus)] == ["rlmrec.item", "rlmrec.user"]
    with pytest.raises(ConfigError, match=r"rlmrec\.user shows what rlmrec\.item wrote; put rlmrec\.item before it"):
        make_recipes([USER, ITEM], corpus)
    with pytest.raises(ConfigError, match=r"rlmrec\.item stands twice"):
        make_recipes([ITEM, ITEM], corpus)


def test_all_columns_are_shown_unless_some_are_named(corpus):
    [recipe] = make_recipes([ITEM], corpus)
    [subject] = corpus.train.subjects("item")
    assert json.loads(recipe.ask(subject).user) == {"title": "Emma", "author": "None"}
    with pytest.raises(ConfigError, match="columns: titel: unknown, did you mean title"):
        make_recipes([sections.Recipe(name="rlmrec.item", options={"columns": ["titel"]})], corpus)


def test_the_noun_is_in_the_instruction():
    film = Subject("item", "1", {"title": "Alien"})
    assert "would enjoy a film" in make_recipe("rlmrec.item", {"noun": "film"}).ask(film).system


def test_an_item_with_reviews_has_two_labelled_blocks():
    events = (Event("u1", {}, review="Good. Write to me@x.org"), Event("u2", {}, review="Bad."))
    prompt = make_recipe("rlmrec.item").ask(Subject("item", "1", {"title": "Emma"}, events))
    assert prompt.user == ('BASIC INFORMATION:\n{"title": "Emma"}\nUSER FEEDBACK:\n[\n"Good. Write to …",\n"Bad."\n]')
    assert prompt.source_ids == ("u1", "u2")


def test_a_user_sees_title_profile_and_own_review_of_each_item():
    events = (Event("b1", {"title": "Emma"}, review="Fun"), Event("b2", {"name": "Mill", "city": "Reno"}))
    subject = Subject("user", "u", {}, events, profiles={"b1": "People who enjoy comedy."})
    prompt = make_recipe("rlmrec.user", {"label": "READ BOOKS"}).ask(subject)
    label, _, items = prompt.user.partition("\n")
    assert label == "READ BOOKS:"
    assert json.loads(items) == [
        {"title": "Emma", "description": "People who enjoy comedy.", "review": "Fun"},
        {"title": "Mill", "description": "None", "review": "None"},
    ]


def test_a_title_that_is_missing_is_replaced_by_a_text_and_never_by_an_id():
    subject = Subject("user", "u", {}, (Event("id-1", {"category": "Bakery"}), Event("id-2", {})))
    items = json.loads(make_recipe("rlmrec.user").ask(subject).user.partition("\n")[2])
    assert [item["title"] for item in items] == ["Bakery", "None"]


def test_an_answer_may_say_none_and_reasoning_may_be_left_out():
    recipe, subject = make_recipe("rlmrec.item"), Subject("item", "1", {"title": "Emma"})
    [row] = recipe.read(subject, '{"summarization": "People who enjoy comedy."}', "k")
    assert (row.field, row.text, row.id, row.key) == ("summarization", "People who enjoy comedy.", "1", "k")
    assert len(recipe.read(subject, '{"summarization": "a", "reasoning": "b"}', "k")) == 2
    assert len(recipe.read(subject, json.dumps({"summarization": "a", "reasoning": "b " * 900}), "k")) == 1
    with pytest.raises(AnswerError, match="none: summarization is None"):
        recipe.read(subject, '{"summarization": "None", "reasoning": "no facts"}', "k")


def test_redaction_is_set_by_the_run_and_is_no_option_of_a_recipe(corpus):
    assert [recipe.redacted for recipe in make_recipes([ITEM, USER], corpus, redacted=True)] == [True, True]
    with pytest.raises(ConfigError, match="redacted: unknown"):
        make_recipe("rlmrec.item", {"redacted": True})
