"""Shows what is wrong with run files as an import error of this file in Airflow; without any it holds no DAG.

The DAGs of the other run files are in `loregraph_dags.py`, which leaves out those that are named here.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.run_files import find_runs
from schemas.errors import ConfigError

_, errors = find_runs(os.environ.get("LOREGRAPH_RUN", ""), Path(__file__).resolve().parents[1])
if errors:
    raise ConfigError("\n".join(map(str, errors)))
