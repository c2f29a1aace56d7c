"""Texts on the page: searched, filtered, counted as the table has them; a subject beside all that is stored of it."""

import json
import re
from urllib.parse import quote

import polars as pl
import pytest
from markupsafe import Markup

from features.store import DeltaStore
from pipelines.ui.shelf import Shelf
from pipelines.ui.texts import SIZE, excerpt, marked, search_texts, warm
from tests.support.hostile_world import FIRST, HOSTILE_USER, LAST, UNREADABLE
from tests.support.inert import text_of

RUN = "/runs/paged"
ALL = dict.fromkeys(("kind", "recipe", "field", "model"), "")


@pytest.fixture(scope="module")
def shelf(hostile_file) -> Shelf:
    return Shelf(hostile_file)


@pytest.fixture(scope="module")
def stored(hostile_file) -> pl.DataFrame:
    return DeltaStore(str(hostile_file.parent / "lake")).read("profiles", LAST)


def test_all_texts_are_counted_by_every_filter(shelf, stored) -> None:
    found = search_texts(shelf, LAST, "", ALL, 1)
    assert (found.total, len(found.rows)) == (stored.height, SIZE)
    for name in ALL:
        assert dict(found.choices[name]) == dict(stored.group_by(name).len().rows())


def test_a_filter_counts_the_others_as_they_would_be(shelf, stored) -> None:
    found = search_texts(shelf, LAST, "", {**ALL, "kind": "user"}, 1)
    users = stored.filter(pl.col("kind") == "user")
    assert found.total == users.height
    assert dict(found.choices["recipe"]) == dict(users.group_by("recipe").len().rows())
    assert {kind for kind, _ in found.choices["kind"]} == {"item", "user"}, "the other kind can still be chosen"


def test_pages_are_all_rows_once_in_the_order_of_ids(shelf, stored) -> None:
    pages = [search_texts(shelf, LAST, "", ALL, place).rows for place in range(1, stored.height // SIZE + 3)]
    rows = [(row["kind"], row["id"]) for page in pages for row in page]
    assert len(rows) == stored.height
    assert rows == sorted(rows)
    assert pages[-1] == []


def test_words_are_found_in_title_id_and_text_in_any_case_all_of_them_and_titles_come_first(shelf) -> None:
    found = search_texts(shelf, LAST, "NUMBER 12", ALL, 1)
    assert {row["id"] for row in found.rows} == {"b12"}, "`Number 12` stands in a title alone"
    assert search_texts(shelf, LAST, "number winding", ALL, 1).total > 0, "one word of the title, one of the text"
    assert search_texts(shelf, LAST, "number nowhere", ALL, 1).total == 0
    first = search_texts(shelf, LAST, "crypt", ALL, 1).rows[0]
    assert "Crypt" in first["title"]


def test_a_search_is_no_pattern(shelf) -> None:
    assert search_texts(shelf, LAST, "b1.", ALL, 1).total == 0
    assert search_texts(shelf, LAST, "window.hacked=1</script>", ALL, 1).total > 0
    assert search_texts(shelf, LAST, "windowxhacked", ALL, 1).total == 0


def test_marks_stand_around_what_was_found_and_everything_is_escaped() -> None:
    assert marked("A <b>Tale</b> of tales", "tale") == Markup(
        "A &lt;b&gt;<mark>Tale</mark>&lt;/b&gt; of <mark>tale</mark>s"
    )
    assert marked("a.b axb", "a.b") == Markup("<mark>a.b</mark> axb")
    assert marked("<i>", "") == Markup("&lt;i&gt;")
    assert marked("a\u202eb\u0000", "b") == Markup("a<mark>b</mark>")


def test_an_excerpt_begins_a_little_before_what_was_found() -> None:
    text = "x " * 500 + "needle " + "y " * 500
    shown = excerpt(text, "needle")
    assert "<mark>needle</mark>" in shown
    assert shown.startswith("… x")
    assert shown.endswith(" …")
    assert len(shown) < 400


def test_the_list_links_to_subjects_of_the_same_night_and_says_where_nothing_is_found(hostile_client) -> None:
    page = hostile_client.get(f"{RUN}/texts?q=b12&ds={FIRST}").text
    assert f"/subject?kind=item&amp;id=b12&amp;ds={FIRST}" in page
    assert "small-model" in page
    assert "large-model" not in page
    assert "Leave a word or a filter out" in hostile_client.get(f"{RUN}/texts?q=zzz").text


def test_a_night_without_texts_tells_the_command_that_asks(hostile_copy, page_of) -> None:
    store = DeltaStore(str(hostile_copy.parent / "lake"))
    store.overwrite("profiles", store.read("profiles", LAST).clear(), LAST)
    assert "loregraph generate --run" in page_of(hostile_copy).get(f"{RUN}/texts").text


def test_what_was_warmed_is_not_read_again_and_a_new_version_is(hostile_copy) -> None:
    shelf = Shelf(hostile_copy)
    warm(shelf)
    before = search_texts(shelf, LAST, "", ALL, 1).total
    profiles = shelf.store.read("profiles", LAST)
    shelf.store.overwrite("profiles", profiles.head(3), LAST)
    assert (before, search_texts(shelf, LAST, "", ALL, 1).total) == (profiles.height, 3)


def test_an_item_has_attributes_texts_prompt_answer_and_the_other_night(hostile_client, hostile_file) -> None:
    page = text_of(hostile_client.get(f"{RUN}/subject?kind=item&id=b12").text)
    [asked] = (
        DeltaStore(str(hostile_file.parent / "lake"))
        .read("calls")
        .filter(pl.col("id") == "b12", pl.col("recipe") == "once.item", pl.col("night") == LAST)["user"]
    )
    assert json.loads(asked)["title"] == "The Crypt of Number 12"
    assert asked in page, "the prompt, as it was sent"
    assert '{"summarization":' in page, "the answer, as it came"
    assert "Gothic horror" in page
    assert re.search(rf"{FIRST}\s*rlmrec.item / summarization\s*small-model\s*another text", page)


def test_a_user_has_the_items_that_the_prompt_showed_and_their_texts(hostile_client, hostile_file) -> None:
    page = hostile_client.get(f"{RUN}/subject?kind=user&id={quote(HOSTILE_USER)}").text
    store = DeltaStore(str(hostile_file.parent / "lake"))
    [sources] = store.read("prompts", LAST).filter(pl.col("id") == HOSTILE_USER)["source_ids"]
    assert all(f"kind=item&amp;id={quote(id, safe='').replace('%20', '+')}&amp;ds={LAST}" in page for id in sources)
    assert "rlmrec.item / summarization, whole" in page


def test_reviews_stand_beside_the_interactions_that_they_were_written_with(hostile_copy, page_of) -> None:
    store = DeltaStore(str(hostile_copy.parent / "lake"))
    splits = store.read("splits", LAST).with_columns(review=pl.format("I, {}, read {} <b>", "user_id", "item_id"))
    store.overwrite("splits", splits, LAST)
    [sources] = store.read("prompts", LAST).filter(pl.col("id") == "r01")["source_ids"]
    page = text_of(page_of(hostile_copy).get(f"{RUN}/subject?kind=user&id=r01").text)
    assert f"I, r01, read {sources[0]} <b>" in page
    held_out = splits.filter(pl.col("user_id") == "r01", pl.col("part") != "train")["item_id"].to_list()
    assert not [id for id in held_out if f"I, r01, read {id} <b>" in page]


def test_a_reject_about_an_item_is_told_there(hostile_client) -> None:
    page = text_of(hostile_client.get(f"{RUN}/subject?kind=item&id={UNREADABLE}").text)
    assert "no_json" in page
    assert "I would rather not." in page


def test_an_unknown_id_names_the_nearest(hostile_client) -> None:
    response = hostile_client.get(f"{RUN}/subject?kind=item&id=b122")
    assert response.status_code == 404
    assert "nearest: b12" in response.text
