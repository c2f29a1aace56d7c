"""Progress without a terminal: plain lines on stderr with what is done and about how long is left."""

import time

import pytest

from pipelines import progress
from pipelines.progress import Progress


def test_lines_say_how_far_and_about_how_long(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.05)
    with Progress().track("ask", 4) as advance:
        advance(1, "too early to say")
        time.sleep(0.06)
        advance(1, "2 cached")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip().startswith("ask: 2/4 after 0 s, about 0 s left, 2 cached")
    assert len(said.err.splitlines()) == 1


def test_an_unknown_total_is_left_out(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    with Progress().track("ask") as advance:
        advance(3, "")
    assert capsys.readouterr().err.strip() == "ask: 3 after 0 s"
