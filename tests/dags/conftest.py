"""A migrated Airflow in a temporary home, and the DAGs of the sample run on a temporary lake."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from features.store import DeltaStore

REPOSITORY = Path(__file__).resolve().parents[2]
# The sample, with a few models trained for an epoch or two, and recipes of every kind of answer.
RUN = """
name = "sample"
lake = "{lake}"
baseline = "lightgcn"
seeds = [1]
[data]
path = "{repository}/infra/sample"
[llm]
shards = 2
[airflow]
webhook_env = "LOREGRAPH_TEST_WEBHOOK"
[[recipes]]
name = "rlmrec.item"
options = {{ noun = "book" }}
[[recipes]]
name = "rlmrec.user"
options = {{ noun = "book" }}
[[recipes]]
name = "llmrec.edges"
options = {{ noun = "book" }}
[[recipes]]
name = "liber.partition"
options = {{ noun = "book" }}
[quality]
near_duplicates = 1.0
largest_cluster = 1.0
[training]
max_epochs = 2
evaluate_every = 1
[evaluation]
bootstrap = 50
[[models]]
name = "lightgcn"
backbone = {{ name = "lightgcn", options = {{ dim = 8 }} }}
[[models]]
name = "llmrec"
backbone = {{ name = "lightgcn", options = {{ dim = 8 }} }}
objectives = [{{ name = "llmrec_triplets", weight = 0.1 }}]
features = {{ edges = ["llmrec.edges"] }}
[[models]]
name = "text_match"
recommender = "text_match"
features = {{ item = "title" }}
"""
# Another run in the same Airflow: only items are asked about, at an endpoint that a test writes into it.
PAST = """
name = "past"
lake = "{home}/past"
baseline = "popularity"
[data]
path = "{repository}/infra/sample"
[airflow]
start_date = 2025-01-01
total_usd = 100.0
[llm]
shards = 2
[quality]
near_duplicates = 1.0
largest_cluster = 1.0
[[recipes]]
name = "rlmrec.item"
options = {{ noun = "book" }}
[[models]]
name = "popularity"
recommender = "popularity"
"""


@dataclass(frozen=True)
class Airflow:
    """What a test may do: load the DAGs, run one, look into the metadata database and the lake."""

    run_file: Path
    lake: Path
    dags: dict[str, Any]

    @property
    def store(self) -> DeltaStore:
        return DeltaStore(str(self.lake))

    def run(self, part: str, name: str = "sample", **options: Any) -> str:
        """The state in which a run of `loregraph_<name>_<part>` ended."""
        return str(self.dags[f"loregraph_{name}_{part}"].test(**options).state)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The answer of the metadata database."""
        from airflow import settings
        from sqlalchemy import text

        with settings.Session() as session:
            return [tuple(row) for row in session.execute(text(query))]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Path]]:
    """Airflow's settings, which it reads when it is imported first, and the run file's folder."""
    pytest.importorskip("deltalake")
    home = tmp_path_factory.mktemp("airflow")
    (home / "run.toml").write_text(RUN.format(lake=home / "lake", repository=REPOSITORY))
    (home / "past.toml").write_text(PAST.format(home=home, repository=REPOSITORY))
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "infra" / "airflow" / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "LOREGRAPH_RUN": f"{home}/run.toml:{home}/past.toml",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        patch.syspath_prepend(str(REPOSITORY / "dags"))  # as every service of Airflow does
        yield lambda: home


@pytest.fixture(scope="session")
def airflow(environment: Callable[[], Path]) -> Airflow:
    assert "airflow" not in sys.modules, "airflow was imported before its settings were made"
    home = environment()
    subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(REPOSITORY / "dags"))
    assert bag.import_errors == {}
    return Airflow(home / "run.toml", home / "lake", dict(bag.dags))
