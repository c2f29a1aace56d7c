"""Formats in which a release leaves the lake."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from features.export.feast import write_feast
from features.export.huggingface import write_huggingface
from features.export.parquet import write_parquet
from features.export.plain import exported_tables
from features.views import Released

FORMATS: Mapping[str, Callable[[Released, Path, Sequence[str]], dict[str, Any]]] = {
    "parquet": write_parquet,
    "huggingface": write_huggingface,
    "feast": write_feast,
}

__all__ = ["FORMATS", "exported_tables"]
