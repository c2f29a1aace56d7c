"""What the site shows of a part's options and card: every option, its default, and links to papers."""

import sys
from typing import Any

import pytest

from pipelines.part_facts import part_options
from tests.support.pages import ROOT

nodes = pytest.importorskip("docutils.nodes")
pytest.importorskip("sphinx")


@pytest.fixture
def part_pages(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "extensions"))
    monkeypatch.delitem(sys.modules, "part_pages", raising=False)
    import part_pages as found

    return found


def shown(directive: type, *arguments: str) -> Any:
    """What a directive makes; it looks at nothing but its arguments."""
    made = directive.__new__(directive)
    made.arguments = list(arguments)
    (found,) = made.run()
    return found


def test_the_table_has_every_option_with_range_and_default(part_pages: Any) -> None:
    rows = [
        [cell.astext() for cell in row]
        for row in shown(part_pages.PartOptions, "recommenders", "ease").findall(nodes.row)
    ]
    assert rows == [
        ["option", "meaning"],
        ["l2", "weight of the squared length of the map\n\nnumber above 0; default 200.0"],
    ]
    table = shown(part_pages.PartOptions, "backbones", "autocf")
    assert len(list(table.findall(nodes.row))) == 1 + len(part_options("backbones", "autocf"))
    assert "has to be given" in shown(part_pages.PartOptions, "recommenders", "transfer").astext()


def test_a_part_without_options_says_so(part_pages: Any) -> None:
    assert shown(part_pages.PartOptions, "adaptors", "concat").astext() == "It has no options."


def test_the_card_links_the_paper_and_leaves_out_what_is_not(part_pages: Any) -> None:
    card = shown(part_pages.PartCard, "recommenders", "ease")
    assert [link["refuri"] for link in card.findall(nodes.reference)] == ["https://arxiv.org/abs/1905.03375"]
    labels = [row[0].astext() for row in card.findall(nodes.row)]
    assert labels[:2] == ["in a sentence", "source"]
    assert "reads text" not in labels
