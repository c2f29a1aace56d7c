"""A browser goes from hostile texts to prompts, compared answers and rejects: nothing runs, all can be read."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.browsing import check
from tests.support.hostile_world import FIRST, HOSTILE_ITEM, LAST, SCRIPT
from tests.support.ui_world import PHONE, WIDE


@pytest.mark.parametrize(
    "tab", [(WIDE, "light"), (PHONE, "dark")], indirect=True, ids=["wide and light", "phone and dark"]
)
def test_from_texts_to_the_prompt_to_compared_answers_to_rejects(tab: Any, hostile_site: str) -> None:
    pytest.importorskip("axe_playwright_python")
    tab.goto(f"{hostile_site}/runs/paged/texts")
    check(tab)
    tab.keyboard.press("/")
    tab.keyboard.type("crypt script")
    tab.keyboard.press("Enter")
    tab.locator("mark").first.wait_for()
    tab.get_by_role("link", name="The Crypt").first.click()
    assert SCRIPT in tab.locator("h1").inner_text()
    tab.locator("summary", has_text="The prompt, as it was sent").first.click()
    assert tab.get_by_text("You say which kinds of users would enjoy a book.").first.is_visible()
    check(tab)
    tab.get_by_role("link", name="Compare its answers").click()
    assert tab.locator("ins").count() > 0
    assert tab.locator("del").count() > 0
    assert {"small-model", "large-model"} <= set(" ".join(tab.locator("section h2").all_inner_texts()).split())
    check(tab)
    tab.get_by_role("link", name="Rejects").click()
    tab.get_by_role("link", name="no_json").first.click()
    tab.locator("summary").first.click()
    assert tab.get_by_text("I would rather not.").first.is_visible()
    check(tab)
    assert tab.evaluate("window.hacked") is None
    assert tab.complaints == []


@pytest.mark.parametrize("tab", [(WIDE, "light")], indirect=True, ids=["wide"])
def test_a_hostile_id_is_opened_by_its_link_and_a_night_by_the_keyboard(tab: Any, hostile_site: str) -> None:
    tab.goto(f"{hostile_site}/runs/paged/texts?q=onerror&kind=item&recipe=once.item")
    tab.get_by_role("link", name="The Voyage of Number 9").click()
    assert HOSTILE_ITEM in tab.locator("h1").inner_text()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "skip"
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "content"
    tab.locator("#ds").focus()
    tab.keyboard.press("ArrowDown")
    tab.wait_for_url(f"**ds={FIRST}*")
    assert "small-model" in tab.locator("main").inner_text()
    assert tab.get_by_role("link", name=LAST).count() > 0
    assert tab.evaluate("window.hacked") is None
    assert tab.complaints == []
