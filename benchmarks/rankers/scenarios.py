"""What is measured, in full and in the short form of `--check`."""

from __future__ import annotations

from benchmarks.rankers import nights, positions
from benchmarks.scenario import Scenario

SCENARIOS = (
    Scenario("llmrank", ("llmrank",), positions.figures, positions.figures),
    Scenario("tuned", ("tuned",), lambda _: nights.goodreads(), nights.short),
)
