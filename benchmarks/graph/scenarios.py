"""What is measured, and at which sizes: in full, and in the short form of `--check`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.graph.encoding import encoding
from benchmarks.graph.evaluations import evaluations
from benchmarks.graph.growth import SHORT, SIZES, growth
from benchmarks.graph.runs import closed_form, memory, quality, quality_short
from benchmarks.graph.steps import steps
from benchmarks.scenario import Scenario


def scenarios(plot: Path | None = None) -> tuple[Scenario, ...]:
    """Every measurement; `plot` is where that of growth saves its picture."""
    return (
        Scenario(
            "step", ("step", "peers"), lambda folder: steps(folder, turns=9), lambda folder: steps(folder, turns=3)
        ),
        Scenario(
            "evaluation",
            ("evaluation", "peers"),
            lambda folder: evaluations(folder, turns=5),
            lambda folder: evaluations(folder, turns=2, share=0.25),
        ),
        Scenario("memory", ("memory",), lambda folder: memory(folder, 2048), lambda folder: memory(folder, 16_384)),
        Scenario("closed_form", ("closed_form",), lambda _: closed_form(), lambda _: closed_form()),
        Scenario("quality", ("quality",), quality, quality_short),
        Scenario(
            "growth",
            ("growth",),
            lambda folder: growth(folder, SIZES, plot),
            lambda folder: growth(folder, SHORT, plot),
        ),
        Scenario(
            "encoding",
            ("encoding",),
            lambda folder: encoding(folder, texts=256, turns=5),
            lambda folder: encoding(folder, texts=64, turns=2),
        ),
    )
