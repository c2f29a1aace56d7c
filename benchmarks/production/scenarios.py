"""What is measured, in full and in the short form of `--check`."""

from __future__ import annotations

from benchmarks.production import big_night, gating, publications, table_work
from benchmarks.scenario import Scenario

SCENARIOS = (
    Scenario("publications", ("publications",), publications.publications, publications.check_publications),
    Scenario("gates", ("gates",), gating.gating_figures, gating.check_gating_figures),
    Scenario("big night", ("big_night",), big_night.big_night, big_night.check_big_night),
    Scenario("table work", ("tables",), table_work.figures, table_work.check_figures),
)
