"""What Airflow's page of a DAG says: what it does, for whom, and what to do when it fails."""

from __future__ import annotations

from schemas.run import Run
from schemas.sections.airflow import Part

DOES: dict[Part, str] = {
    "profiles": "Reads the source as it was at the end of `ds`, cuts it, asks every recipe in shards what the ledger "
    "does not know, and publishes the profiles when they pass the gates.",
    "embeddings": "Encodes the texts that have no vector yet, and publishes the embeddings when they pass the gate. "
    "Starts when the profiles of a night are published, for the same `ds`.",
    "training": "Makes codes and instructions where the run has any, fits every model with every seed, measures once, "
    "publishes the lists of the best on validation and makes the night what readers see. Starts when the embeddings "
    "of a night are published, for the same `ds`.",
}
PAGE = """
## The {part} of run `{name}`

{does}

| | |
|---|---|
| run file | `{file}` |
| lake | `{lake}` |
| cap of a night | {cap} |
| of all nights together | {total} |
| late | {late} |

**`ds`** is the night that a run works on. In this order: the parameter `ds`, the partition of the asset that started
the run, the day (UTC) on which the data interval starts, the last whole day before the run.

**Run again, clear, backfill:** any task, at any time. What is done is found again, nothing is paid twice, the same rows
leave a table as it is. `airflow backfill create --dag-id loregraph_{name}_profiles --from-date … --to-date …
--max-active-runs 1` makes up nights one after the other; each sees the events up to its `ds` and nothing later, and
each starts the DAGs that wait for it.

**When a task fails** for good, a line of `nights/<ds>/failures.jsonl` in the work folder says which, why and what now:

| error | tried again | what to do |
|---|---|---|
| ConfigError, DataError | no | mend the run file or the source as the message says, clear the task |
| GateError | no | the version before stays live; read the rejects and the Data Docs, mend the cause, clear the task |
| BudgetError | no | every answer is kept; raise the cap, clear the task |
| EngineError | no | look at key, quota and address of the endpoint, clear the task |
| LeakError | no | nothing was published; find where the held-out interaction got in |
| anything else | {retries} times | a killed process, a full disk, a lost connection: clear the task once that is over |
"""


def dag_page(run: Run, part: Part) -> str:
    """The page in Markdown."""
    late = run.airflow.deadline_hours.get(part)
    return PAGE.format(
        part=part,
        name=run.name,
        does=DOES[part],
        file=run.file,
        lake=run.lake,
        cap=_dollars(run.llm.max_cost_usd),
        total=_dollars(run.airflow.total_usd),
        late="no deadline" if late is None else f"{late:g} hours after it was queued",
        retries=run.airflow.retries,
    )


def _dollars(usd: float | None) -> str:
    return "no cap" if usd is None else f"${usd:,.2f}"
