"""Where the events come from, and how they become train, valid and test."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import Field, field_validator

from schemas.sections.base import Section


class Data(Section):
    """Where the raw files are and how to read them."""

    format: Literal["neutral", "movielens", "amazon"] = Field(
        "neutral", description="neutral: interactions, items, users as Parquet, CSV or JSON lines; or as published"
    )
    path: str = Field(
        description="folder of the source files; relative to the run file; $NAME and ${NAME:-default} are expanded"
    )
    url: str | None = Field(None, description="archive to download into path when path has no data")
    sha256: str | None = Field(None, description="checksum of the downloaded archive")
    files: dict[Literal["interactions", "items", "users"], str] = Field(
        {}, description="our table name -> the source's file name below path, where it is another (neutral)"
    )
    separator: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="between the fields of a CSV file; default: a comma, in .tsv a tab",
    )
    columns: dict[str, str] = Field({}, description="our column name -> the source's column name (interactions)")
    item_columns: dict[str, str] = Field({}, description="our column name -> the source's column name (items)")
    user_columns: dict[str, str] = Field({}, description="our column name -> the source's column name (users)")
    time_unit: Literal["s", "ms", "us", "iso"] = Field(
        "s", description="unit of the source's timestamps, stored as seconds; iso: text such as 2026-11-22T10:00:00Z"
    )
    min_rating: float | None = Field(None, description="ratings below it are not positive interactions and are dropped")
    k_core: int = Field(0, ge=0, description="repeatedly drop users and items with fewer interactions; 0 keeps all")
    items_from: Literal["catalogue", "first_event"] = Field(
        "catalogue", description="when an item of the catalogue exists: always, or from its first event on"
    )
    simulated: bool = Field(False, description="shown wherever the data is shown")

    @field_validator("files")
    @classmethod
    def below_path(cls, files: dict[str, str]) -> dict[str, str]:
        """Files lie in the folder: a run file that came from elsewhere reads nothing beside it."""
        for table, name in files.items():
            if not name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise ValueError(f"{table}: expected the name of a file below data.path")
        return files


class Split(Section):
    """How interactions become train, valid and test."""

    rule: Literal["published", "time", "ratio", "leave_one_out", "oldest"] = Field(
        "time",
        description="published: the column split; time: the last events; ratio: shares of each user's events; "
        "leave_one_out: each user's last two; oldest: the first events of each user are train, for click models",
    )
    valid: float = Field(
        0.1, gt=0, lt=1, description="share of valid (time, ratio; oldest: of users; published without valid: of train)"
    )
    test: float = Field(0.1, gt=0, lt=1, description="share of test (time, ratio; oldest: of users)")
    valid_rows: Literal["random", "last"] = Field(
        "random",
        description="published without valid: which of a user's train rows become it, at random or the last ones; "
        "as the test part was cut, so that validation is like it",
    )
    min_interactions: int = Field(3, ge=3, description="leave_one_out: users with fewer stay in train whole")
    seed: int = Field(0, description="of every random choice")
    history: int = Field(30, gt=0, description="oldest: events of a user in train at most, and at most half of them")
    cold_items: float = Field(0.0, ge=0, lt=1, description="share of items that train knows nothing of")
    cold_users: float = Field(0.0, ge=0, lt=1, description="share of users that train knows nothing of")
