"""Hostile requests and hostile content: the page answers, shows what was stored as text, and gives no file away."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.support.hostile_world import (
    CLOSING,
    FIRST,
    HOSTILE_ITEM,
    HOSTILE_USER,
    IMAGE,
    SCRIPT,
    TEMPLATE,
    TITLES,
    UNREADABLE,
)
from tests.support.inert import text_of, what_runs

RUN = "/runs/paged"
SECRETS = ("root:x:0", "LEAST_CHARACTERS", "[llm]", "Traceback")  # a system file, our source, the run file, a trace
UNSEEN = [chr(code) for code in (0, 7, 0x202E, 0x2066)]
REQUESTS = {
    "a long search": f"{RUN}/texts?q={'a' * 199}",
    "a search that is too long": f"{RUN}/texts?q={'a' * 50_000}",
    "a NUL": f"{RUN}/texts?q=%00&recipe=%00",
    "text that turns its direction": f"{RUN}/texts?q=%E2%80%AEgnp.exe",
    "a script": f"{RUN}/texts?q={quote(SCRIPT)}",
    "an image with a handler": f"{RUN}/rejects?q={quote(IMAGE)}&reason={quote(IMAGE)}",
    "an end of the title": f"{RUN}/answers?id={quote(CLOSING)}",
    "a template": f"{RUN}/texts?q={quote(TEMPLATE)}&model={quote(TEMPLATE)}",
    "a pattern without its end": f"{RUN}/texts?q={quote('((((a+)+)+$ [')}",
    "percent signs that encode nothing": f"{RUN}/texts?q=%ff%fe%zz%",
    "half of a surrogate pair": f"{RUN}/texts?q=%ED%A0%80&kind=item",
    "a page that is not there": f"{RUN}/texts?place=999999",
    "a page beyond all numbers": f"{RUN}/texts?place={'9' * 400}",
    "a page that is no number": f"{RUN}/rejects?place=-1e309",
    "parameters that are repeated": f"{RUN}/texts?" + "&".join(["q=a", f"ds={FIRST}", "kind=item"] * 500),
    "a path for a night": f"{RUN}/texts?ds=../../../etc/passwd",
    "a night that no calendar has": f"{RUN}/rejects?ds=2026-99-99",
    "a path for an id": f"{RUN}/subject?kind=item&id={quote('../../../../etc/passwd')}",
    "a NUL in an id": f"{RUN}/subject?kind=item&id=b01%00.txt",
    "a script for a kind": f"{RUN}/subject?kind={quote(SCRIPT)}&id=b01",
    "a path for a run": "/runs/..%2f..%2f..%2fetc%2fpasswd/texts",
    "a script for a run": f"/runs/{quote(SCRIPT, safe='')}/rejects",
    "a path behind the static files": "/static/..%2fsecurity.py",
    "a path behind the static files, dots encoded": "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "answers that are not there": f"{RUN}/answers?kind=item&id=b11&left={quote(IMAGE)}&right=../../run.toml",
    "a header inside a value": f"{RUN}/texts?q=a%0d%0aSet-Cookie:%20a=b",
    "words of a database": f"{RUN}/rejects?reason={quote(chr(39) + ' OR 1=1; DROP TABLE rejects --')}",
    "an id of a thousand marks": f"{RUN}/subject?kind=user&id={quote('e' + chr(0x301) * 999)}",
}
PAGES = (
    f"{RUN}/texts",
    f"{RUN}/texts?q=hacked",
    f"{RUN}/texts?place=2",
    f"{RUN}/rejects",
    f"{RUN}/users",
    *(f"{RUN}/subject?kind=item&id={quote(id)}" for id in (*TITLES, HOSTILE_ITEM, UNREADABLE, "b10")),
    f"{RUN}/subject?kind=user&id={quote(HOSTILE_USER)}",
    f"{RUN}/subject?kind=user&id=r00",
    f"{RUN}/answers?kind=item&id={quote(HOSTILE_ITEM)}",
    f"{RUN}/answers?kind=user&id={quote(HOSTILE_USER)}",
    f"{RUN}/user?id={quote(HOSTILE_USER)}",
)


def check(response) -> None:
    """No failure of ours, nothing that runs, nothing unseen, no file, and the headers that hold a browser back."""
    assert response.status_code < 500, response.text
    assert what_runs(response.text) == []
    assert not [character for character in UNSEEN if character in response.text]
    assert not [secret for secret in SECRETS if secret in response.text]
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("request_of", REQUESTS.values(), ids=REQUESTS)
def test_a_hostile_request_gets_a_plain_answer(request_of, hostile_client) -> None:
    check(hostile_client.get(request_of))


@pytest.mark.parametrize("path", PAGES)
def test_what_was_stored_is_shown_and_never_run(path, hostile_client) -> None:
    response = hostile_client.get(path)
    assert response.status_code == 200
    check(response)


@pytest.mark.parametrize("id", ["b00", "b01", "b02", "b03", "b05"])
def test_a_hostile_title_is_read_as_it_stands(id, hostile_client) -> None:
    page = text_of(hostile_client.get(f"{RUN}/subject?kind=item&id={id}").text)
    assert TITLES[id] in page


def test_a_template_in_a_search_is_not_filled_in(hostile_client) -> None:
    page = hostile_client.get(f"{RUN}/texts?q={quote('{{7*7}}')}").text
    assert "{{7*7}}" in page
    assert "49" not in text_of(page).split()


def test_links_of_hostile_ids_lead_to_them_and_nowhere_else(hostile_client) -> None:
    page = hostile_client.get(f"{RUN}/texts?q={quote(HOSTILE_ITEM)}").text
    assert f"id={quote(HOSTILE_ITEM, safe='').replace('%20', '+')}" in page
