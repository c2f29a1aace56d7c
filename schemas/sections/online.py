"""Where the live release is served from by id."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from schemas.sections.base import Section


class Online(Section):
    """The online store that the night feeds after its release, and what of it."""

    store: Literal["none", "sqlite", "redis"] = Field(
        "none", description="sqlite: a file on a local disk; redis: a server that several hosts read"
    )
    path: str | None = Field(None, description="sqlite: the file; default: online.sqlite in `work`")
    url: str | None = Field(None, description="redis: its address, such as redis://127.0.0.1:6379/0")
    url_env: str | None = Field(None, description="redis: environment variable with an address that has a password")
    tables: tuple[Literal["profiles", "embeddings", "semantic_ids", "recommendations", "neighbours"], ...] = Field(
        ("profiles", "embeddings", "semantic_ids", "recommendations", "neighbours"),
        min_length=1,
        description="what of a release is brought there",
    )
    sources: tuple[str, ...] = Field(
        (), description="only these texts (recipe/field) and vectors (recipe/field@encoder); default: all"
    )

    @model_validator(mode="after")
    def has_its_place(self) -> Online:
        """Each store has a place of its own kind, and none of the other's."""
        if self.store == "redis" and (self.url is None) == (self.url_env is None):
            raise ValueError("redis needs either url or url_env")
        if self.store != "redis" and (self.url is not None or self.url_env is not None):
            raise ValueError(f"url and url_env are keys of redis, and store is {self.store}")
        if self.store != "sqlite" and self.path is not None:
            raise ValueError(f"path is a key of sqlite, and store is {self.store}")
        return self
