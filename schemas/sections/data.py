"""Where the events come from, and how they become train, valid and test."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.sections.base import Section


class Data(Section):
    """Where the raw files are and how to read them."""

    format: Literal["neutral", "movielens", "amazon"] = "neutral"
    path: str = Field(
        description="folder of the source files; relative to the run file; $NAME and ${NAME:-default} are expanded"
    )
    url: str | None = Field(None, description="archive to download into path when path has no data")
    sha256: str | None = Field(None, description="checksum of the downloaded archive")
    columns: dict[str, str] = Field({}, description="our column name -> the source's column name (interactions)")
    item_columns: dict[str, str] = Field({}, description="our column name -> the source's column name (items)")
    user_columns: dict[str, str] = Field({}, description="our column name -> the source's column name (users)")
    time_unit: Literal["s", "ms", "us"] = Field("s", description="unit of the source's timestamps; stored as seconds")
    min_rating: float | None = Field(None, description="ratings below it are not positive interactions and are dropped")
    k_core: int = Field(0, ge=0, description="repeatedly drop users and items with fewer interactions; 0 keeps all")
    items_from: Literal["catalogue", "first_event"] = Field(
        "catalogue", description="when an item of the catalogue exists: always, or from its first event on"
    )
    simulated: bool = Field(False, description="shown wherever the data is shown")


class Split(Section):
    """How interactions become train, valid and test."""

    rule: Literal["published", "time", "ratio", "leave_one_out", "oldest"] = "time"
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
