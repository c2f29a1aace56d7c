"""Charts of the report as inline SVG: text stays text, and every colour is the page's own, in light and in dark."""

from __future__ import annotations

import io
import math
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# matplotlib knows no CSS, so it draws in stand-in colours that `inline` exchanges for the page's own
INK, LINE, MUTED, ACCENT, PAPER = "#010101", "#020202", "#030303", "#040404", "#050505"
CSS = {INK: "currentColor", LINE: "var(--line)", MUTED: "var(--muted)", ACCENT: "var(--accent)", PAPER: "var(--paper)"}
STYLE: dict[Any, Any] = {  # Any: matplotlib types its settings by literal name
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name is text, also with dollar signs
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.unicode_minus": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
}


class Curve(NamedTuple):
    """Validation metric of one seed by epoch."""

    epochs: list[float]
    values: list[float]


def lift_chart(intervals: Sequence[Mapping[str, Any]], controls: Collection[str], axis: str, label: str) -> Markup:
    """One row per model, first on top: the difference as a dot, its interval as a line, and a line at zero.

    `intervals` have `name`, `difference`, `low`, `high` (all finite); those named in `controls` get a hollow dot, those
    that cross zero a muted one. `axis` is the text under the scale, `label` what a screen reader says.
    """
    names = [short(str(row["name"]), 24) for row in intervals]
    left, height = 12 + 6.7 * max(map(len, names), default=0), 34.0 * len(names) + 8
    figure, axes = blank_axes(400, height + 48, (left, 44, 16, 4))
    axes.axvline(0, color=MUTED, linewidth=1, dashes=(3, 3))
    for place, row in enumerate(intervals):
        _dot(axes, row, -place, hollow=row["name"] in controls)
    axes.set_yticks([-place for place in range(len(names))], names)
    axes.set_ylim(0.6 - len(names), 0.6)
    axes.tick_params("y", length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.4g}".replace("-", "−") if value else "0")
    axes.set_xlabel(short(axis, 56), labelpad=6)
    return inline(figure, label)


def curve_chart(
    curves: Sequence[Curve], limits: tuple[float, float], reference: float | None, axis: str, label: str
) -> Markup:
    """Validation metric by epoch, a thin line per seed with a dot at its best; `reference` is drawn dashed.

    `limits` are the lowest and highest value of the scale, the same for all models so that panels can be compared.
    """
    figure, axes = blank_axes(320, 190, (44, 40, 10, 10))
    if reference is not None:
        axes.axhline(reference, color=MUTED, linewidth=1, dashes=(3, 3))
    for epochs, values in curves:
        best = max(range(len(values)), key=values.__getitem__)
        axes.plot(epochs, values, color=ACCENT, linewidth=1.2, alpha=0.75)
        axes.plot(epochs[best], values[best], "o", color=ACCENT, markersize=4.5, markeredgecolor=PAPER)
    axes.set_ylim(*_padded(*limits))
    axes.tick_params("y", length=0, labelcolor=MUTED)
    axes.yaxis.grid(visible=True)
    axes.set_xlabel(short(axis, 56))
    return inline(figure, label)


def nights_chart(nights: Sequence[str], lines: Mapping[str, Sequence[float]], label: str) -> Markup:
    """Shares (0 to 1) night by night, at most three lines, the first in the accent colour.

    Names stand at the end of their line, apart where two lines end close together.
    """
    figure, axes = blank_axes(320, 150, (44, 28, 104, 10))
    ends = []
    for color, (name, values) in zip((ACCENT, MUTED, INK), lines.items(), strict=False):
        axes.plot(range(len(values)), values, "o-", color=color, linewidth=1.4, markersize=3.5, markeredgecolor=PAPER)
        ends.append((values[-1], name, color))
    lowest = -1.0
    for height, name, color in sorted(ends):
        lowest = max(height, lowest + 0.14)
        axes.text(len(nights) - 0.85, lowest, short(name, 18), color=color, fontsize=11, va="center", clip_on=False)
    axes.set_ylim(-0.06, 1.06)
    axes.set_xlim(-0.2, len(nights) - 0.9)
    axes.set_yticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
    axes.set_xticks([0, len(nights) - 1], [nights[0][5:], nights[-1][5:]])
    axes.tick_params("y", length=0, labelcolor=MUTED)
    axes.yaxis.grid(visible=True)
    return inline(figure, label)


def place_chart(places: Sequence[str], values: Sequence[float], axis: str, label: str) -> Markup:
    """A bar per place in the order shown, from zero; level bars mean that a place says nothing."""
    figure, axes = blank_axes(320, 150, (44, 40, 10, 10))
    axes.bar(range(len(values)), values, color=ACCENT, width=0.7)
    axes.set_xticks(range(len(places)), [short(place, 8) for place in places])
    axes.set_ylim(0, max(*values, 1e-3) * 1.08)
    axes.tick_params("both", length=0, labelcolor=MUTED)
    axes.yaxis.grid(visible=True)
    axes.set_xlabel(short(axis, 56))
    return inline(figure, label)


def limits_of(curves: Sequence[Curve], reference: float | None) -> tuple[float, float]:
    """Lowest and highest value of all curves and the reference; (0, 1) where there is none."""
    values = [value for curve in curves for value in curve.values] + ([] if reference is None else [reference])
    return (min(values), max(values)) if values else (0.0, 1.0)


def _dot(axes: Axes, row: Mapping[str, Any], height: float, hollow: bool) -> None:
    color = MUTED if row["low"] <= 0 <= row["high"] else ACCENT
    axes.plot([row["low"], row["high"]], [height, height], color=color, linewidth=2, solid_capstyle="round")
    fill = PAPER if hollow else color
    axes.plot(row["difference"], height, "o", markersize=8, color=fill, markeredgecolor=color, markeredgewidth=1.6)


def blank_axes(width: float, height: float, margins: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """An empty figure of CSS pixels (an SVG point is one unit) with margins left, bottom, right, top and no frame."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    left, bottom, right, top = margins
    frame = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
    with rc_context(STYLE):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.add_axes(frame)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return figure, axes


def inline(figure: Figure, label: str) -> Markup:
    """The figure as an `<svg>` element for HTML: no namespaces, no scripts or styles, ids only where one is used."""
    from matplotlib import rc_context

    file = io.StringIO()
    salt = {"svg.hashsalt": label}  # ids that differ between charts, and are the same for the same report
    with rc_context(STYLE | salt), warnings.catch_warnings():
        # The browser's fonts draw the text, so a letter that matplotlib's own font lacks does not matter.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(
            file, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    drawn = ElementTree.fromstring(file.getvalue())
    svg = ElementTree.Element(
        "svg", {"viewBox": drawn.attrib["viewBox"], "role": "img", "aria-label": _printable(label)}
    )
    svg.extend(_plain(child) for child in drawn if not child.tag.endswith("metadata"))
    return Markup(ElementTree.tostring(svg, encoding="unicode", method="html"))


def _plain(element: ElementTree.Element) -> ElementTree.Element:
    tag = element.tag.rpartition("}")[2]
    kept = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    if tag == "g":
        kept.pop("id", None)
    if "style" in kept:
        kept["style"] = _styled(kept["style"])
    plain = ElementTree.Element(tag, kept)
    plain.text = element.text if tag == "text" else None
    plain.extend(_plain(child) for child in element if not child.tag.endswith("style"))
    return plain


def _styled(style: str) -> str:
    """The style with the page's colours, and without the font family, which is the page's as well."""
    style = "; ".join(part for part in style.split("; ") if not part.startswith("font-family"))
    for stand_in, color in CSS.items():
        style = style.replace(stand_in, color)
    return style


def _padded(low: float, high: float) -> tuple[float, float]:
    space = max(0.08 * (high - low), 1e-4)
    return low - space, high + space


def short(name: str, length: int) -> str:
    name = _printable(name)
    return name if len(name) <= length else name[: length - 1] + "…"


def _printable(text: str) -> str:
    """Without control characters, which XML cannot carry."""
    return "".join(letter for letter in text if letter.isprintable())


def finite(value: object) -> TypeGuard[float]:
    """Whether a value of report.json is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
