"""A browser goes through the nights' pages, wide and narrow, light and dark: no errors, and axe agrees."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.browsing import check
from tests.support.ui_world import FIRST, PHONE, SECOND, WIDE


@pytest.mark.parametrize(
    "tab", [(WIDE, "light"), (PHONE, "dark")], indirect=True, ids=["wide and light", "phone and dark"]
)
def test_from_the_nights_to_why_and_to_the_run_in_progress(tab: Any, site: str) -> None:
    pytest.importorskip("axe_playwright_python")
    tab.goto(f"{site}/")
    assert tab.locator("h1").inner_text() == "mini"
    check(tab)
    tab.get_by_role("link", name=f"The night of {SECOND} in full").click()
    assert tab.locator("h1").inner_text() == f"Night of {SECOND}"
    tab.locator("summary", has_text="profiles").click()
    check(tab)
    tab.get_by_role("link", name="Report").click()
    assert "mini" in tab.title()
    tab.go_back()
    tab.get_by_role("link", name=f"← {FIRST}").click()
    tab.get_by_role("link", name="Recommendations").click()
    tab.keyboard.press("/")
    tab.keyboard.type("r07")
    tab.keyboard.press("Enter")
    tab.get_by_role("link", name="r07", exact=True).click()
    tab.get_by_text("All lists are there.").wait_for(timeout=60_000)
    assert tab.locator(".ranked").count() == 2
    assert tab.locator(".shared:visible").count() > 0
    check(tab)
    tab.locator(".ranked a").first.click()
    assert re.match("Why “The ", tab.locator("h1").inner_text())
    check(tab)
    tab.get_by_role("link", name="Live").click()
    tab.get_by_text("Renewed").wait_for(timeout=10_000)
    assert "has come to its end" in tab.locator("#live-status").text_content()
    tab.get_by_role("button", name="Pause").click()
    assert tab.get_by_role("button", name="Go on").get_attribute("aria-pressed") == "true"
    check(tab)
    assert tab.complaints == []


@pytest.mark.parametrize("tab", [(PHONE, "light")], indirect=True, ids=["phone"])
def test_a_reader_without_scripts_gets_everything(chromium: Any, site: str, tab: Any) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/runs/mini/user?id=r07&ds={SECOND}")
    page.get_by_role("link", name="make all of them").click()
    assert page.locator(".ranked").count() == 2
    page.get_by_role("link", name="Live").click()
    assert page.get_by_role("button", name="Pause").count() == 0
    page.get_by_role("link", name="Reload").click()
    assert "has come to its end" in page.locator("[data-status]").inner_text()
    context.close()
