"""What sequential and generative recommenders must show: `python -m benchmarks.sequential`.

The runs are the run files in infra/runs/sequential, in their own lakes, and go on where they were stopped; Beauty and
goodreads are read from $LOREGRAPH_DATA (or ../shared/data), and what needs them is left out, and says so, where they
are not. Leave-one-out, the whole catalogue ranked for all users, seen items no candidates.
"""

from __future__ import annotations

from benchmarks.scenario import command_line, perform
from benchmarks.sequential.scenarios import SCENARIOS

DURATION = "All of it takes about three hours on 2 cores; --check under 5 minutes. Exit code 1 names what falls short."


def main() -> None:
    """Measure what the command line names."""
    parser = command_line("benchmarks.sequential", __doc__, DURATION, SCENARIOS, has_peers=False)
    perform(parser.parse_args(), SCENARIOS, None)


if __name__ == "__main__":
    main()
