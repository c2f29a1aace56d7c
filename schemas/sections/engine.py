"""Where the table work of a night is done."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.sections.base import Section


class Engine(Section):
    """What reads and writes the large tables: Polars on this machine, or Spark with the same results."""

    tables: Literal["polars", "spark"] = Field("polars", description="spark: for what outgrows one machine")
    master: str | None = Field(
        None, description="Spark's master; default: that of spark-submit, else this machine (local[cores])"
    )
    cores: int | None = Field(None, gt=0, description="cores of this machine that Spark uses; default: all")
    buckets: int = Field(64, gt=0, description="parts of the users (by hash) that Spark works on, one in memory each")
    spark: dict[str, str] = Field({}, description="settings of the Spark session, such as spark.executor.memory")
