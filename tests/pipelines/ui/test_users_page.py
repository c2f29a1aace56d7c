"""Recommendations: users are found, each fitted model's list is its own, nobody is asked, there is a why."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from features.store import DeltaStore
from pipelines.lookup import top
from tests.support.ui_world import FIRST, SECOND

ASKING = '\n[[models]]\nname = "asks"\nrecommender = "llmrank"\noptions = { retriever = "popularity" }\n'
NEW = '\n[[models]]\nname = "new"\nrecommender = "item_knn"\n'
ITEMS = re.compile(r'<li data-item="([^"]+)">')


def store_of(file: Path) -> DeltaStore:
    return DeltaStore(str(file.parent / "lake"))


def card(text: str, model: str) -> str:
    """The piece of a user's page about a model."""
    found = re.search(rf'<section class="card"[^>]*>\s*<h3[^>]*>{re.escape(model)}.*?</section>', text, re.DOTALL)
    assert found is not None, model
    return found[0]


def test_users_are_found_by_id_and_by_profile(client: TestClient, nights_file: Path) -> None:
    assert "/runs/mini/user?id=r07" in client.get("/runs/mini/users?q=R07").text
    profiles = store_of(nights_file).read("profiles", SECOND).filter(pl.col("kind") == "user")
    word = "gothic"
    expected = set(profiles.filter(pl.col("text").str.to_lowercase().str.contains(word))["id"])
    text = client.get(f"/runs/mini/users?q={word}").text
    found = set(re.findall(r"user\?id=(r\d\d)", text))
    assert found
    assert found == expected
    assert "No user of" in client.get("/runs/mini/users?q=%3Cb%3Enobody").text
    assert re.findall(r"user\?id=(r\d\d)", client.get("/runs/mini/users").text)


def test_a_user_has_his_history_with_titles_and_his_published_list(client: TestClient, nights_file: Path) -> None:
    text = client.get("/runs/mini/user?id=r07").text
    store = store_of(nights_file)
    mine = store.read("splits", SECOND).filter(pl.col("user_id") == "r07").sort("order", descending=True)
    titles = dict(store.read("items", SECOND).select("id", "title").iter_rows())
    places = [text.index(titles[item]) for item in mine["item_id"]]
    assert places == sorted(places)
    lists = store.read("recommendations", SECOND).filter((pl.col("user_id") == "r07") & (pl.col("rank") <= 10))
    assert ITEMS.findall(card(text, lists["model"][0])) == lists.sort("rank")["item_id"].to_list()
    assert client.get("/runs/mini/user?id=nobody").status_code == 404


def test_every_fitted_model_has_its_own_list(client: TestClient, nights_file: Path) -> None:
    published = store_of(nights_file).read("recommendations", SECOND)["model"][0]
    other = next(name for name in ("popularity", "lightgcn") if name != published)
    expected = [item["id"] for item in top(nights_file, "r07", 10, other, SECOND)["items"]]
    piece = client.get(f"/runs/mini/user/list?id=r07&model={other}&ds={SECOND}").text
    assert ITEMS.findall(piece) == expected
    assert "<html" not in piece
    whole = client.get(f"/runs/mini/user?id=r07&ds={SECOND}&model=all").text
    assert ITEMS.findall(card(whole, other)) == expected
    both = set(expected) & set(ITEMS.findall(card(whole, published)))
    assert card(whole, other).count('<span class="tag">published</span>') == len(both) > 0


def test_a_model_that_asks_is_left_alone_and_one_that_is_not_fitted_says_so(
    own_nights: Path, page_of: Callable[[Path], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    from recommenders.prompted.llmrank import LLMRank

    monkeypatch.setattr(LLMRank, "recommend", lambda *_: pytest.fail("it was asked"))
    own_nights.write_text(own_nights.read_text() + ASKING + NEW)
    text = page_of(own_nights).get("/runs/mini/user?id=r07&model=all").text
    assert "not asked from the page" in card(text, "asks")
    assert "no fitted new" in card(text, "new")
    assert "run train" in card(text, "new")
    wrong = page_of(own_nights).get("/runs/mini/user/list?id=r07&model=popularty")
    assert wrong.status_code == 400
    assert "popularity" in wrong.text


def test_why_shows_what_was_stored(client: TestClient, nights_file: Path) -> None:
    lists = store_of(nights_file).read("recommendations", FIRST).filter(pl.col("user_id") == "r07").sort("rank")
    item, model = lists["item_id"][0], lists["model"][0]
    text = client.get(f"/runs/mini/why?user=r07&item={item}&ds={FIRST}").text
    assert f"{model}, seed" in text
    assert "The history behind it" in text
    assert f"loregraph why recommendation r07 {item}" in text
    other = client.get(f"/runs/mini/why?user=r07&item=b99&ds={FIRST}")
    assert other.status_code == 404
    assert "they were offered" in other.text
