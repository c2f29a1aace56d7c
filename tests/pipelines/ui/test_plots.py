"""Charts as SVG: round ticks, bars from zero, whiskers where the interval is, names escaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from pipelines.ui.plots import BOTTOM, HEIGHT, Point, Scale, bars, dots, line, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1887, [0, 1000, 2000]),
        (-0.004, 0.010, [-0.005, 0, 0.005, 0.01]),
        (0, 0, [0, 0.0005, 0.001]),
        (0.5, 0.5, [0.45, 0.5, 0.55]),
    ],
)
def test_ticks_are_round_and_hold_the_values(low: float, high: float, ticks: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(ticks)


def test_a_share_has_no_tick_above_one() -> None:
    assert nice_ticks(0.979, 1.0, most=1.0)[-1] == 1.0
    assert nice_ticks(1.0, 1.0, most=1.0)[-1] == 1.0


def test_a_bar_is_as_high_as_its_value() -> None:
    drawn = ElementTree.fromstring(bars([Point("2026-01-01", 10, "a"), Point("2026-01-03", 20, "b")], "Cost", str))
    first, second = drawn.findall(".//rect")
    assert float(second.attrib["height"]) == pytest.approx(2 * float(first.attrib["height"]), abs=0.2)
    foot = float(first.attrib["y"]) + float(first.attrib["height"])
    assert foot == pytest.approx(HEIGHT - BOTTOM, abs=0.2)


def test_an_interval_is_drawn_where_it_is_and_one_across_zero_is_muted() -> None:
    clear, across = Point("2026-01-01", 2, "a", 1, 3), Point("2026-01-02", 0.5, "b", -1, 2, muted=True)
    text = str(dots([clear, across], "Lift", str))
    scale = Scale([clear, across], zero=True)
    assert f"M{scale.x(clear):.1f} {scale.y(1):.1f}V{scale.y(3):.1f}" in text
    assert text.count("muted") == 2


def test_nights_stand_at_their_dates() -> None:
    points = [Point(ds, 1.0, ds) for ds in ("2026-01-01", "2026-01-02", "2026-01-11")]
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', line(points, "Coverage", str))]
    assert (places[1] - places[0]) * 9 == pytest.approx(places[2] - places[1], rel=0.02)


def test_words_of_others_stay_words() -> None:
    text = str(line([Point("2026-01-01", 1.0, "<script>x</script>"), Point("2026-01-02", 2.0, "b")], '"><b>', str))
    assert "<script>" not in text
    assert "<b>" not in text
    ElementTree.fromstring(text)
