"""The peers and their environment: `python -m benchmarks.graph peers` makes `.venv-graph-peers` by pip and measures.

The files of this folder are run by the interpreter of that environment, never by ours; each holds its peer as a user
would call it, serves turns (`turns.py`), and imports nothing of Loregraph. Without the environment, what is paired with
a peer says so and is left out.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.environment import ROOT, Environment

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parent / "requirements.txt"
PEERS = Environment(ROOT / ".venv-graph-peers", REQUIREMENTS, "python -m benchmarks.graph peers")
