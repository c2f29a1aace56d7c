"""docs/troubleshooting.md names messages that the source can still say, and enough of them."""

import re

import pytest

from tests.support.page_messages import is_built
from tests.support.pages import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^### `(.+)`$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("heading", HEADINGS)
def test_the_source_says_it(heading: str) -> None:
    assert is_built(heading), "no text of the source has these words in this order: the message has changed"


def test_forty_messages_are_there_once() -> None:
    assert len(HEADINGS) == len(set(HEADINGS)) >= 40


def test_a_message_that_nobody_says_is_found_out() -> None:
    assert not is_built("the moon is in …, run `loregraph tides`")


def test_every_message_has_something_to_do() -> None:
    told = re.findall(r"^### `.+`\n\n([\w`].+)$", PAGE, flags=re.MULTILINE)
    assert len(told) == len(HEADINGS)
