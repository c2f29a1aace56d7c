"""The source and how it is cut."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.tables.base import Float32, Int64, String, Table

SOURCE: Mapping[str, Table] = {
    "users": Table(
        "one row per user: its id, and whatever text columns the source has",
        {"id": String},
        key=("id",),
        open=True,
    ),
    "items": Table(
        "one row per item: its id, and whatever text columns the source has",
        {"id": String},
        key=("id",),
        open=True,
    ),
    "interactions": Table(
        "what users did with items, as read from the source",
        {"user_id": String, "item_id": String},
        key=(),
        open=True,
    ),
    "splits": Table(
        "every interaction and its part (train, valid, test); time in unix seconds or empty, order where there is none",
        {
            "user_id": String,
            "item_id": String,
            "time": Int64,
            "order": Int64,
            "weight": Float32,
            "part": String,
            "split_id": String,
        },
        key=("order",),
        optional={"review": String, "rating": Float32},
    ),
}
