"""What the LLM engine must show: `python -m benchmarks.llm_engine` measures R1 to R13, R16, R17 and the throughput.

Everything runs on this machine, against `loregraph simulate` in a process of its own, at no cost and without a key.
"""

from __future__ import annotations

from benchmarks.llm_engine.peers import PEERS
from benchmarks.llm_engine.scenarios import SCENARIOS
from benchmarks.scenario import command_line, perform

DURATION = "All of it takes about an hour on 2 cores; --check under 5 minutes. Exit code 1 names what falls short."


def main() -> None:
    """Measure what the command line names."""
    parser = command_line("benchmarks.llm_engine", __doc__, DURATION, SCENARIOS)
    perform(parser.parse_args(), SCENARIOS, PEERS)


if __name__ == "__main__":
    main()
