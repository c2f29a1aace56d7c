"""Table schemas: keys are columns, every column has a storable type, frames are brought into shape or refused."""

import polars as pl
import pytest

from schemas.errors import DataError
from schemas.tables import TABLES, conform


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_a_doc_and_a_key_of_its_columns(name: str) -> None:
    table = TABLES[name]
    assert table.doc
    assert set(table.key) <= set(table.columns)
    assert "ds" not in table.columns  # the store adds it
    assert table.empty().columns == list(table.columns)


def test_conform_orders_and_casts() -> None:
    frame = pl.DataFrame(
        {"vector": [[1.0]], "text_hash": ["x"], "encoder": ["m"]}, schema_overrides={"vector": pl.Array(pl.Float64, 1)}
    )
    found = conform("vectors", frame)
    assert found.columns == ["encoder", "text_hash", "vector"]
    assert found.schema["vector"] == pl.List(pl.Float32)


def test_conform_keeps_optional_and_open_columns() -> None:
    assert conform("items", pl.DataFrame({"title": ["Emma"], "id": [1]})).to_dicts() == [{"id": "1", "title": "Emma"}]
    splits = TABLES["splits"].empty().with_columns(review=pl.lit("good"))
    assert conform("splits", splits).columns[-1] == "review"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (TABLES["metrics"].empty().drop("slice"), "table metrics: column slice is missing"),
        (TABLES["metrics"].empty().with_columns(sclie=1), "table metrics: column sclie is unknown"),
        (TABLES["metrics"].empty().clear(1).with_columns(users=pl.lit("many")), "table metrics: .*many"),
    ],
)
def test_conform_names_table_and_column(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        conform("metrics", frame)
