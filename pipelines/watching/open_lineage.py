"""OpenLineage events of every step: START, COMPLETE or FAIL, with the tables that it has read and written.

Made only where somebody takes them: as OpenLineage's own environment says (OPENLINEAGE_URL, OPENLINEAGE_CONFIG, ...),
or `watch.lineage` of the run file. https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pipelines.lineage import loregraph_version
from pipelines.watching.logs import told_of
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.tables import TABLES

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent

    from pipelines.night import Night

log = logging.getLogger(__name__)
Kind = Literal["START", "COMPLETE", "FAIL"]
CONFIGURED = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")  # variables that begin so
IDS = uuid.UUID("6b0f9c1e-5a1c-5d5e-9f0e-2f6a1c0d7e11")  # of the ids made here
QUIET_S = 300.0  # without an event after one that could not be sent: its retries take seconds


class Attempt(Protocol):
    """What an event needs to know of a step's try."""

    name: str
    part: str
    attempt: int


class _Server:
    """When events may be sent again."""

    quiet_until = 0.0


def wanted(run: Run) -> bool:
    """Whether anybody takes events."""
    if os.environ.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    return run.watch.lineage is not None or any(name.startswith(CONFIGURED) for name in os.environ)


def emit(night: Night, attempt: Attempt, kind: Kind, error: BaseException | None = None) -> None:
    """Send one event. What cannot be sent is said and logged, and nothing more is sent for a while."""
    if time.monotonic() < _Server.quiet_until:
        return
    try:
        with _alone(night.run.watch.lineage):
            _client(night.run).emit(_event(night, attempt, kind, error))
    except Exception as unsent:  # noqa: BLE001  whatever a transport raises: the night goes on
        _Server.quiet_until = time.monotonic() + QUIET_S
        log.warning("no lineage sent", extra={"event": "lineage_not_sent", "wait_s": QUIET_S, **told_of(unsent)})
        why = ": ".join(told_of(unsent).values())
        night.progress.say(
            f"lineage: an event could not be sent ({why}); the night goes on, the next try is in {QUIET_S:.0f} s"
        )


def run_id(lake: str, run: str, ds: str, part: str = "", attempt: int = 0) -> str:
    """The same id for the same try of the same step, wherever it is worked out; without a part that of the night."""
    return str(uuid.uuid5(IDS, "\n".join([lake, run, ds, part, str(attempt)])))


def dataset_name(lake: str, table: str) -> tuple[str, str]:
    """Namespace and name by OpenLineage's naming: `file` and the path, or `s3://bucket` and the key."""
    scheme, separated, place = lake.partition("://")
    if not separated:
        return "file", f"{lake.rstrip('/')}/{table}"
    host, _, folder = place.partition("/")
    return f"{scheme}://{host}", "/".join(part for part in (folder.strip("/"), table) if part)


@contextmanager
def _alone(file: str | None) -> Iterator[None]:
    """Hold the file while an event is added to it: the client does not write a long one at once."""
    if file is None:
        yield
        return
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with Path(file).open("a", encoding="utf-8") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _client(run: Run) -> OpenLineageClient:
    try:
        from openlineage.client import OpenLineageClient
    except ImportError:
        raise ConfigError(
            "OpenLineage events are wanted, and its client is not installed: pip install 'loregraph[lineage]'"
        ) from None
    if run.watch.lineage is None:
        return OpenLineageClient()
    from openlineage.client.transport.file import FileConfig, FileTransport

    return OpenLineageClient(transport=FileTransport(FileConfig(log_file_path=run.watch.lineage, append=True)))


def _event(night: Night, attempt: Attempt, kind: Kind, error: BaseException | None) -> RunEvent:
    from openlineage.client.event_v2 import Run as LineageRun
    from openlineage.client.event_v2 import RunEvent, RunState

    ended = kind != "START"
    identity = run_id(night.store.root, night.run.name, night.ds, attempt.part, attempt.attempt)
    return RunEvent(
        eventType=RunState[kind],
        eventTime=datetime.now(UTC).isoformat(),
        run=LineageRun(identity, _run_facets(night, error)),
        job=_job(night, attempt.name),
        producer=f"urn:loregraph:{loregraph_version()}",
        inputs=list(_inputs(night)) if ended else [],
        outputs=list(_outputs(night)) if ended else [],
    )


def _job(night: Night, step: str) -> Job:
    from openlineage.client.event_v2 import Job
    from openlineage.client.facet_v2 import job_type_job

    facet = job_type_job.JobTypeJobFacet("BATCH", "LOREGRAPH", "TASK")
    return Job(_namespace(night), f"{night.run.name}.{step}", {"jobType": facet})


def _run_facets(night: Night, error: BaseException | None) -> dict[str, Any]:
    """When the night was due, the night as a whole, what runs it, and what went wrong."""
    from openlineage.client.facet_v2 import error_message_run, nominal_time_run, parent_run, processing_engine_run

    day = datetime.fromisoformat(night.ds).replace(tzinfo=UTC)
    due = nominal_time_run.NominalTimeRunFacet(day.isoformat(), (day + timedelta(days=1)).isoformat())
    whole = parent_run.Run(run_id(night.store.root, night.run.name, night.ds))
    facets: dict[str, Any] = {
        "nominalTime": due,
        "parent": parent_run.ParentRunFacet(whole, parent_run.Job(_namespace(night), night.run.name)),
        "processing_engine": processing_engine_run.ProcessingEngineRunFacet(loregraph_version(), "Loregraph"),
    }
    if error is not None:
        told = ": ".join(told_of(error).values())
        facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(told, "PYTHON")
    return facets


def _inputs(night: Night) -> Iterator[InputDataset]:
    """What was read, in which version; and the rows that went through a gate, with what was found of them."""
    from openlineage.client.event_v2 import InputDataset

    for source in night.trace.reads.values():
        yield InputDataset(*_named(night, source.table), facets=_facets(source.table, source.version))
    for gate in night.trace.gates:
        found = {"dataQualityAssertions": _assertions(gate)}
        yield InputDataset(*_named(night, gate["table"]), facets=_facets(gate["table"], None), inputFacets=found)


def _outputs(night: Night) -> Iterator[OutputDataset]:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    for table, told in night.trace.published.items():
        rows: dict[str, Any] = {
            "outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=told["rows"])
        }
        yield OutputDataset(*_named(night, table), facets=_facets(table, told["version"]), outputFacets=rows)


def _facets(table: str, version: int | None) -> dict[str, Any]:
    """The columns that the table is known to have, and its version."""
    from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

    columns = TABLES[table].columns if table in TABLES else {}
    fields = [schema_dataset.SchemaDatasetFacetFields(name, str(dtype)) for name, dtype in columns.items()]
    found: dict[str, Any] = {"schema": schema_dataset.SchemaDatasetFacet(fields)} if fields else {}
    if version is not None:
        found["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(version))
    return found


def _assertions(gate: Mapping[str, Any]) -> Any:
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as quality

    return quality.DataQualityAssertionsDatasetFacet(
        [
            quality.Assertion(
                assertion=each["expectation"],
                success=each["success"],
                column=each.get("column") or None,
                expected=each.get("expected"),
                actual=each.get("observed"),
            )
            for each in gate.get("results", ())
        ]
    )


def _namespace(night: Night) -> str:
    root = night.store.root
    return root if "://" in root else f"file://{root}"


def _named(night: Night, table: str) -> tuple[str, str]:
    return dataset_name(night.store.root, table)
