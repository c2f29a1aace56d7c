"""What graph training and ranking must show: `python -m benchmarks.graph` measures each beside a peer in one run.

Everything runs on this machine. Gowalla is read from $LOREGRAPH_DATA (or ../shared/data); where it is not, a synthetic
graph of its size stands in for it, and what needs the real data is left out and says so. `python -m benchmarks.graph
peers` makes the peers' environment and measures what is paired with them.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.graph.peers import PEERS
from benchmarks.graph.scenarios import scenarios
from benchmarks.scenario import command_line, perform

DURATION = "All of it takes about an hour on 2 cores; --check under 5 minutes. Exit code 1 names what falls short."


def main() -> None:
    """Measure what the command line names."""
    parser = command_line("benchmarks.graph", __doc__, DURATION, scenarios())
    parser.add_argument("--plot", type=Path, help="save the plot of `growth` as a PNG file")
    given = parser.parse_args()
    perform(given, scenarios(given.plot), PEERS)


if __name__ == "__main__":
    main()
