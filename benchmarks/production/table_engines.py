"""The table work of one engine in this process; the last line of stdout tells what it took and what came out.

`python -m benchmarks.production.table_engines ENGINE FOLDER`. CPU seconds are those of this process, and for Spark of
its JVM, without imports and the start of the session.
"""

from __future__ import annotations

import csv
import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks.child import cpu_seconds
from benchmarks.production.timed import peak_mb
from features.blocks import Digest
from features.splits import k_core, make_splits, split_id
from features.store import DeltaStore
from schemas.sections import Engine, Split

DS = "2026-01-01"
CORE, SHOWN, BUCKETS = 5, 50, 16
BY_TIME, LAST_OUT = Split(rule="time"), Split(rule="leave_one_out")
COMPARED = ["user_id", "item_id", "time", "order", "part", "split_id"]


def main() -> None:
    engine, folder = sys.argv[1], Path(sys.argv[2])
    out = folder / f"out-{engine}"
    out.mkdir(exist_ok=True)
    work, busy = WORK[engine](folder, out)
    began, before = time.monotonic(), busy()
    work()
    told = {"cpu_s": round(busy() - before, 3), "seconds": round(time.monotonic() - began, 3), "peak_mb": peak_mb()}
    digests = {name: _digest(out / name) for name in ("by_time", "last_out", "histories", "popularity")}
    sys.stdout.write(json.dumps({**told, "digests": digests}) + "\n")


def histories(splits: pl.DataFrame) -> pl.DataFrame:
    """The last items of every user's train events, oldest first."""
    train = splits.filter(pl.col("part") == "train").sort("order")
    return train.group_by("user_id", maintain_order=True).agg(pl.col("item_id").tail(SHOWN))


def on_polars(folder: Path, out: Path) -> tuple[Callable[[], None], Callable[[], float]]:
    def write(name: str, rows: pl.DataFrame) -> None:
        rows.write_parquet(out / name, compression="snappy")  # as the others do

    def work() -> None:
        core = k_core(DeltaStore(str(folder / "lake")).read("interactions", ds=DS), CORE)
        write("by_time", make_splits(core, BY_TIME).select(COMPARED))
        splits = make_splits(core, LAST_OUT)
        write("last_out", splits.select(COMPARED))
        write("histories", histories(splits))
        chosen = (
            splits.filter(pl.col("part") == "train").group_by("item_id").agg(pl.len().cast(pl.Int64).alias("chosen"))
        )
        write("popularity", splits.select("order", "item_id").join(chosen, on="item_id", how="left"))

    return work, _mine


def on_pandas(folder: Path, out: Path) -> tuple[Callable[[], None], Callable[[], float]]:
    import pandas as pd
    from deltalake import DeltaTable

    def work() -> None:
        files = DeltaTable(str(folder / "lake" / "interactions")).file_uris()
        rows = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
        height = -1
        while height != len(rows):
            height = len(rows)
            for side in ("user_id", "item_id"):
                rows = rows[rows.groupby(side)[side].transform("size") >= CORE]
        rows = rows.sort_values("timestamp", kind="stable").reset_index(drop=True).rename(columns={"timestamp": "time"})
        rows["order"] = rows.index
        rows["part"] = _parts_by_time(rows["time"].to_numpy())
        rows["split_id"] = _id_by_pandas(rows, BY_TIME)
        rows[COMPARED].to_parquet(out / "by_time")
        events = rows.groupby("user_id")["user_id"]
        last, size = events.cumcount(ascending=False), events.transform("size")
        rows["part"] = "train"
        held = size >= LAST_OUT.min_interactions
        rows.loc[held & (last == 0), "part"] = "test"
        rows.loc[held & (last == 1), "part"] = "valid"
        rows["split_id"] = _id_by_pandas(rows, LAST_OUT)
        rows[COMPARED].to_parquet(out / "last_out")
        train = rows[rows["part"] == "train"]
        shown = train.groupby("user_id").tail(SHOWN)
        shown.groupby("user_id")["item_id"].agg(list).reset_index().to_parquet(out / "histories")
        chosen = train.groupby("item_id").size().rename("chosen").reset_index()
        rows[["order", "item_id"]].merge(chosen, on="item_id", how="left").to_parquet(out / "popularity")

    return work, _mine


def on_spark(folder: Path, out: Path) -> tuple[Callable[[], None], Callable[[], float]]:
    from pyspark.sql import functions as F

    from features.spark import open_session
    from features.spark.frames import per_bucket
    from features.spark.k_core import k_core as spark_core
    from features.spark.splits import make_splits as spark_splits
    from features.spark.tables import read_placed

    spark = open_session(Engine(tables="spark", cores=2, spark={"spark.driver.memory": "6g"}))
    store = DeltaStore(str(folder / "lake"))
    jvm = spark.sparkContext._gateway.proc.pid

    def work() -> None:
        write = partial(_write, out)
        core = spark_core(read_placed(spark, store, "interactions", DS), CORE)
        by_time = spark_splits(core, BY_TIME, None, BUCKETS).rows
        write("by_time", by_time.select(COMPARED))
        by_time.unpersist()
        splits = spark_splits(core, LAST_OUT, None, BUCKETS).rows
        write("last_out", splits.select(COMPARED))
        schema = pl.Schema({"user_id": pl.String(), "item_id": pl.List(pl.String)})
        write("histories", per_bucket(splits.select(COMPARED), "user_id", BUCKETS, histories, schema))
        chosen = splits.where(F.col("part") == "train").groupBy("item_id").agg(F.count("*").alias("chosen"))
        write("popularity", splits.select("order", "item_id").join(chosen, "item_id", "left"))

    return work, lambda: _mine() + cpu_seconds(jvm)


def _write(out: Path, name: str, rows: Any) -> None:
    rows.write.mode("overwrite").parquet(str(out / name))


def _parts_by_time(times: Any) -> Any:
    """Cut at the moments nearest to the shares wanted."""
    import numpy as np

    cuts = np.flatnonzero(np.diff(times)) + 1
    test = _nearest(cuts[1:], len(times) * (1 - BY_TIME.test))
    valid = _nearest(cuts[cuts < test], len(times) * (1 - BY_TIME.test - BY_TIME.valid))
    return np.repeat(["train", "valid", "test"], [valid, test - valid, len(times) - test])


def _id_by_pandas(rows: Any, split: Split) -> str:
    columns = ["user_id", "item_id", "time", "part"]
    text = rows[columns].sort_values(columns).to_csv(header=False, index=False, quoting=csv.QUOTE_NONNUMERIC)
    return split_id([text.encode()], ["user_id", "item_id", "timestamp", "part"], len(rows), split)


def _nearest(cuts: Any, wanted: float) -> int:
    return int(cuts[abs(cuts - wanted).argmin()])


def _mine() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _digest(file: Path) -> str:
    """What a result holds, whatever the order of its rows and files."""
    rows = pl.read_parquet(file if file.is_file() else f"{file}/*.parquet")
    digest = Digest()
    digest.add(rows.select(sorted(rows.columns)).with_columns(pl.col(pl.Int64, pl.Float64).cast(pl.Int64)))
    return f"{digest.rows} {digest.sums}"


WORK = {"polars": on_polars, "pandas": on_pandas, "spark": on_spark}

if __name__ == "__main__":
    main()
