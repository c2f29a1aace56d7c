"""What a night in production must hold: `python -m benchmarks.production`.

Readers beside publications and kills, faulty and clean nights in front of the gates, a night over 100,000 users and
50,000 items through the simulator, and table work in Polars, Spark and pandas. Everything is synthetic or the sample.
"""

from __future__ import annotations

from benchmarks.production.scenarios import SCENARIOS
from benchmarks.scenario import command_line, perform

DURATION = "--check takes under 5 minutes on a quiet machine, all of it hours. Exit code 1 names what falls short."


def main() -> None:
    """Measure what the command line names."""
    parser = command_line("benchmarks.production", __doc__, DURATION, SCENARIOS, has_peers=False)
    perform(parser.parse_args(), SCENARIOS, None)


if __name__ == "__main__":
    main()
