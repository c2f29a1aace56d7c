"""What is measured, in full and in the short form of `--check`."""

from __future__ import annotations

from benchmarks.scenario import Scenario
from benchmarks.sequential import constrained
from benchmarks.sequential.runs import profiles, sasrec, short_check, tiger, tiger_short
from benchmarks.sequential.training import figures as training

SCENARIOS = (
    Scenario("sasrec", ("sasrec",), lambda _: sasrec(), None),
    Scenario("tiger", ("tiger",), lambda _: tiger(), None),
    Scenario("ids", ("ids",), lambda _: tiger_short(), short_check),
    Scenario("profiles", ("profiles",), lambda _: profiles(), None),
    Scenario(
        "constrained",
        ("constrained",),
        lambda folder: constrained.figures(folder, short=False),
        lambda folder: constrained.figures(folder, short=True),
    ),
    Scenario("training", ("training",), lambda _: training(turns=7, batches=8), lambda _: training(turns=3, batches=4)),
)
