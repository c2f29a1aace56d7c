"""The nightly job in Airflow: profiles, embeddings and training DAGs of every run file, chained by assets.

LOREGRAPH_RUN names run files and folders, relative to the repository, several separated by ':'; by default the folder
`infra/runs`. A file in a folder is taken when it has an `[airflow]` section. What is wrong with a run file is shown as
the import error of `loregraph_run_files.py`, so that it takes no other run's DAGs down.
"""

from __future__ import annotations

import os
from pathlib import Path

from airflow.sdk import DAG
from nightly.graphs import dags_of

from pipelines.run_files import find_runs

REPOSITORY = Path(__file__).resolve().parents[1]

runs, _ = find_runs(os.environ.get("LOREGRAPH_RUN", ""), REPOSITORY)
made: list[DAG] = [dag for run in runs for dag in dags_of(run)]
globals().update({dag.dag_id: dag for dag in made})
