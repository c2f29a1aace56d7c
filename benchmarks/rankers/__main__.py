"""What prompted and tuned language models must show as recommenders: `python -m benchmarks.rankers`.

The runs are the run files in infra/runs/rankers, in their own lakes, and go on where they were stopped; goodreads is
read from $LOREGRAPH_DATA (or ../shared/data), and what needs it is left out, and says so, where it is not. The language
model that is tuned is small and made from scratch: `python -m benchmarks.rankers reader --data goodreads --out FOLDER`.
"""

from __future__ import annotations

import sys

from benchmarks.rankers import reader
from benchmarks.rankers.scenarios import SCENARIOS
from benchmarks.scenario import command_line, perform

DURATION = (
    "All of it took over an hour on a busy machine; --check takes under 4 minutes. Exit code 1 names what falls short."
)


def main() -> None:
    """Measure what the command line names, or make the language model alone."""
    if sys.argv[1:2] == ["reader"]:
        reader.main(sys.argv[2:])
        return
    parser = command_line("benchmarks.rankers", __doc__, DURATION, SCENARIOS, has_peers=False)
    perform(parser.parse_args(), SCENARIOS, None)


if __name__ == "__main__":
    main()
