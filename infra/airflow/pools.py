"""The pools that the run files need, as the JSON that `airflow pools import` reads.

    python infra/airflow/pools.py --run infra/runs > pools.json && airflow pools import pools.json

Airflow leaves a task whose pool it does not know waiting for ever, so import them before the first night, and again
when a run file names another endpoint.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pipelines.pools import pools
from pipelines.run_files import DEFAULT, find_runs
from schemas.errors import ConfigError


def main() -> int:
    """Print the JSON; exit code 2 where a run file is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default=DEFAULT, help="run files and folders, several separated by ':'")
    try:
        sys.stdout.write(pools_json(parser.parse_args().run) + "\n")
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def pools_json(run: str, base: Path | None = None) -> str:
    """The pools of run files and folders, relative to `base` (here). Raises ConfigError for a wrong run file."""
    runs, errors = find_runs(run, base or Path.cwd())
    if errors:
        raise ConfigError("\n".join(map(str, errors)))
    return json.dumps(pools(runs), indent=1)


if __name__ == "__main__":
    sys.exit(main())
