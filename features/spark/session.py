"""Spark sessions: on this machine, on a master that the run file names, or the one that `spark-submit` has set up."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from schemas.errors import ConfigError
from schemas.sections import Engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CONNECTOR = "io.delta.sql.DeltaSparkSessionExtension"
SETTINGS: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # Spark's own default is read by few others
    "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
}
LOCAL: Mapping[str, str] = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def local_session(cores: int = 2) -> SparkSession:
    """A Spark session on this machine: loopback only, UTC, no web page. Needs Java 17."""
    return open_session(Engine(cores=cores))


def open_session(engine: Engine) -> SparkSession:
    """The session of `engine`, or the one that this process has already.

    Under `spark-submit` its master stays; else it is `engine.master`, or `engine.cores` of this machine. Raises
    ConfigError where Spark or Java is not installed.
    """
    _refuse_missing()
    from pyspark.sql import SparkSession

    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers must run this interpreter
    builder = SparkSession.builder.appName("loregraph")
    for key, value in settings_of(engine, submitted="PYSPARK_GATEWAY_PORT" in os.environ).items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def settings_of(engine: Engine, submitted: bool) -> dict[str, str]:
    """Spark's settings; what `engine.spark` says goes before ours."""
    master = engine.master or (None if submitted else f"local[{engine.cores or '*'}]")
    cores = engine.cores or os.cpu_count() or 1
    parts = engine.buckets if submitted or engine.master else 2 * cores  # Spark's own default is made for neither
    settings = {**SETTINGS, "spark.sql.shuffle.partitions": str(parts)}
    if master is not None:
        settings |= {"spark.master": master, **(LOCAL if master.startswith("local") else {})}
    return settings | engine.spark


def has_connector(spark: SparkSession, name: str = CONNECTOR) -> bool:
    """Whether the Delta connector is on the session's class path and switched on (`spark.sql.extensions`)."""
    if name not in str(spark.conf.get("spark.sql.extensions", "")):
        return False
    loader = spark.sparkContext._jvm.java.lang.Thread.currentThread().getContextClassLoader()
    return loader.getResource(f"{name.replace('.', '/')}.class") is not None


def _refuse_missing() -> None:
    if find_spec("pyspark") is None:
        raise ConfigError("engine.tables = spark: pyspark is not installed; `pip install 'loregraph[spark]'`")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise ConfigError("engine.tables = spark: no `java` on the PATH and no JAVA_HOME; install Java 17")
