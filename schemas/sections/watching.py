"""What a night tells those who watch it, and where."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.sections.base import Section


class Watch(Section):
    """Logs, metrics and lineage for other systems; the log of a night is in its folder whatever is said here."""

    log: Literal["plain", "json"] = Field(
        "plain", description="stderr: words for people, or JSON lines alone; LOREGRAPH_LOG goes before"
    )
    metrics: str | None = Field(
        None, description="folder that the Prometheus node exporter reads; default: metrics in `work`"
    )
    lineage: str | None = Field(
        None,
        description="file that OpenLineage events are added to; default: where OpenLineage's own environment says "
        "(OPENLINEAGE_URL, OPENLINEAGE_CONFIG), else none are made",
    )
    nights: int = Field(90, gt=0, description="nights that the report shows cost and lift of")
