"""Folders as people have them: the sample's readers under other names, in other formats; deterministic."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

SAMPLE = Path(__file__).parents[2] / "infra" / "sample"
ROWS = 8_000


def _events(rows: int) -> pl.DataFrame:
    return pl.read_parquet(SAMPLE / "interactions.parquet").head(rows)


def books_folder(folder: Path, rows: int = ROWS) -> Path:
    """A reading app's export from a European spreadsheet: semicolons, stars, dates, an average of all stars."""
    folder.mkdir(parents=True)
    when = [datetime.fromtimestamp(each, UTC).strftime("%Y-%m-%d %H:%M:%S") for each in _events(rows)["timestamp"]]
    ratings = _events(rows).select(
        pl.col("user_id").alias("Reader"),
        pl.col("item_id").str.replace("b", "97800000").alias("ISBN"),
        (5 - (pl.int_range(pl.len()) % 7) // 2).alias("Stars"),
        pl.Series("Read At", when),
    )
    ratings.write_csv(folder / "ratings.csv", separator=";")
    items = pl.read_csv(SAMPLE / "items.csv")
    books = items.select(
        pl.col("id").str.replace("b", "97800000").alias("ISBN"),
        pl.col("title").alias("Book Title"),
        pl.col("author").alias("Author"),
        pl.col("year").alias("Year"),
        pl.col("subjects").alias("Subjects"),
        (pl.int_range(pl.len()) % 40 / 10 + 1).alias("Average Rating"),
        pl.format("https://covers.example/{}.jpg", pl.col("id")).alias("Image URL"),
    )
    books.write_csv(folder / "books.csv", separator=";", include_bom=True)
    (folder / "notes.csv").write_text("todo\nask Ann\n", encoding="utf-8")
    return folder


def shop_folder(folder: Path, rows: int = ROWS) -> Path:
    """A shop's export: orders with times in milliseconds, products with a name and nothing else."""
    folder.mkdir(parents=True)
    orders = _events(rows).select(
        pl.format("O-{}", pl.int_range(pl.len())).alias("orderId"),
        pl.col("user_id").str.strip_prefix("r").cast(pl.Int64).alias("customerId"),
        pl.col("item_id").str.strip_prefix("b").cast(pl.Int64).alias("sku"),
        pl.lit(1).alias("quantity"),
        (pl.col("timestamp") * 1000).alias("orderedAt"),
    )
    orders.write_parquet(folder / "orders.parquet")
    items = pl.read_csv(SAMPLE / "items.csv")
    products = items.select(
        pl.col("id").str.strip_prefix("b").cast(pl.Int64).alias("sku"), pl.col("title").alias("productName")
    )
    products.write_csv(folder / "products.csv")
    return folder
