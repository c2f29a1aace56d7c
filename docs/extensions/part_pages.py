"""Directives of the pages under docs/parts: a part's card and its table of options, both read from the code."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from pipelines.listing import entries
from pipelines.part_facts import NEEDED, PartOption, part_card, part_options

MARKED = re.compile(r"`(?P<code>[^`]+)`|arXiv (?P<paper>\d{4}\.\d{5})")
WIDTHS = (24, 76)  # of what is named and what is said of it, in percent


class PartOptions(SphinxDirective):
    """`{part-options} KIND NAME`: every option with its meaning, and below that its type, range and default."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        options = part_options(*self.arguments)
        if not options:
            return [nodes.paragraph("", "It has no options.")]
        rows = [row(f"`{each.name}`", f"{each.meaning}\n{each.type}; {_default(each)}") for each in options]
        return [table(rows, row("option", "meaning"))]


class PartCard(SphinxDirective):
    """`{part-card} KIND NAME`: the documentation's first paragraph, the source, and what the class says of itself."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        kind, name = self.arguments
        entry = next(each for each in entries(kind) if each.name == name)
        facts = {"in a sentence": entry.doc, "source": entry.source, **part_card(kind, name)}
        return [table([row(label, text) for label, text in facts.items() if text != "no"])]


def table(rows: Sequence[nodes.row], head: nodes.row | None = None) -> nodes.table:
    """Rows under a head, where there is one: two columns, so that a telephone shows them side by side."""
    group = nodes.tgroup("", *(nodes.colspec("", colwidth=width) for width in WIDTHS), cols=len(WIDTHS))
    if head is not None:
        group += nodes.thead("", head)
    group += nodes.tbody("", *rows)
    return nodes.table("", group, classes=["part"])


def row(*cells: str) -> nodes.row:
    """Cells of one line or several."""
    return nodes.row("", *(nodes.entry("", *map(_line, each.split("\n"))) for each in cells))


def inline(text: str) -> Iterator[nodes.Node]:
    """Text with code in backticks and links to papers."""
    end = 0
    for found in MARKED.finditer(text):
        yield nodes.Text(text[end : found.start()])
        end = found.end()
        if found["code"]:
            yield nodes.literal("", found["code"])
        else:
            yield nodes.reference("", found[0], refuri=f"https://arxiv.org/abs/{found['paper']}")
    yield nodes.Text(text[end:])


def _default(option: PartOption) -> str:
    return "has to be given" if option.default == NEEDED else f"default `{option.default}`"


def _line(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", *inline(text))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of both."""
    app.add_directive("part-options", PartOptions)
    app.add_directive("part-card", PartCard)
    app.add_css_file("parts.css")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
