"""One Spark session for all tests of this folder: starting it takes longer than most of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from features.spark import open_session
from schemas.sections import Engine

SMALL = {  # for tables of a few rows most of the time is planning and compiling
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.log.level": "ERROR",
}


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java 17 on the PATH")
    session = open_session(Engine(cores=2, spark=SMALL))
    yield session
    session.stop()
