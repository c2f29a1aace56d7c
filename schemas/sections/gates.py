"""What a table must be to be published: thresholds of the expectation suites, for every table of its own."""

from __future__ import annotations

from datetime import date

from pydantic import Field

from schemas.sections.base import Section


class Gate(Section):
    """One table's gate; what no threshold is named for holds always (unique keys, ids that are there, ...)."""

    enabled: bool = Field(True, description="false: the table is published unseen")


class CatalogueGate(Gate):
    """Users or items, most of it against the night before: a first night has nothing to compare with."""

    min_share: float = Field(0.8, ge=0, description="rows against the night before: less is half a catalogue")
    kept: float = Field(0.8, ge=0, le=1, description="share of the ids of the night before that are still there")
    blank_rise: float = Field(0.1, ge=0, le=1, description="rise of the share of cells without a value, by column")
    alike_rise: float = Field(0.2, ge=0, le=1, description="rise of the share of the most frequent value, by column")
    rewritten: float = Field(
        0.5, ge=0, le=1, description="share of ids of both nights that have another text, by column; not of numbers"
    )


class EventGate(Gate):
    """Interactions."""

    min_share: float = Field(0.8, ge=0, description="rows, users and items against the night before")
    blank_rise: float = Field(0.1, ge=0, le=1, description="rise of the share of cells without a value, by column")
    rejected_rise: float = Field(0.02, ge=0, le=1, description="rise of the share of rows that could not be used")
    rating_shift: float = Field(0.5, ge=0, description="change of the mean rating, in its standard deviations")
    busiest_rise: float = Field(0.1, ge=0, le=1, description="rise of the share of events of one user or one item")
    earliest: date | None = Field(None, description="the first day that an event may be of; default: any")
    max_age_days: float | None = Field(None, gt=0, description="days without events before the night at most")


class SplitGate(Gate):
    """The interactions in their parts."""

    min_share: float = Field(0.8, ge=0, description="rows against the night before")
    part_share: float = Field(0.25, ge=0, description="a part's share of the rows against the night before")


class ProfileGate(Gate):
    """Texts on users and items; the other thresholds are [gates] itself and [quality]."""

    rewritten: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of texts that are others than the night before though the prompt is the same",
    )


class EmbeddingGate(Gate):
    """Vectors, by source, against the night before."""

    moved: float = Field(0.01, ge=0, le=1, description="share of vectors that are others though the text is the same")
    coverage_drop: float = Field(0.1, ge=0, le=1, description="fall of the share of users or items with a vector")
    drift: float = Field(
        6.0, ge=1, description="energy distance between the two nights, as a multiple of that within the night before"
    )
    sampled: int = Field(1000, ge=100, description="users or items of a source whose vectors are compared")


class ListGate(Gate):
    """Published lists."""

    coverage: float = Field(0.95, ge=0, le=1, description="share of users with a list, and of places that are filled")
    alike: float = Field(
        0.8, ge=0, le=1, description="mean overlap of two lists, 0 by chance and 1 the same; not of popularity"
    )
    distinct_share: float = Field(0.5, ge=0, description="items in any list against the night before, of one model")


class GrowthGate(Gate):
    """A table that a night may not lose much of."""

    min_share: float = Field(0.8, ge=0, description="rows against the night before")


class NeighbourGate(Gate):
    """Neighbours of items."""

    coverage: float = Field(0.5, ge=0, le=1, description="share of items with neighbours, and of places filled")
    distinct_share: float = Field(0.5, ge=0, description="items that are neighbours against the night before")


class GateTables(Section):
    """One section for every table that has a gate: `[gates.tables.items]`."""

    users: CatalogueGate = CatalogueGate()
    items: CatalogueGate = CatalogueGate()
    interactions: EventGate = EventGate()
    splits: SplitGate = SplitGate()
    prompts: GrowthGate = GrowthGate()
    profiles: ProfileGate = ProfileGate()
    answer_quality: Gate = Gate()
    llm_edges: Gate = Gate()
    generated_items: Gate = Gate()
    partitions: Gate = Gate()
    embeddings: EmbeddingGate = EmbeddingGate()
    semantic_ids: Gate = Gate()
    instructions: GrowthGate = GrowthGate()
    recommendations: ListGate = ListGate()
    neighbours: NeighbourGate = NeighbourGate()


class Gates(Section):
    """Thresholds of the expectation suites."""

    coverage: float = Field(0.9, ge=0, le=1, description="share of asked entities that must have a profile")
    user_coverage: float | None = Field(None, ge=0, le=1, description="coverage for users where it differs")
    min_characters: int = Field(10, ge=0, description="of a text; not of fields that are names")
    max_characters: int = Field(4000, gt=0, description="of a text")
    duplicates: float = Field(
        0.05, ge=0, le=1, description="share of rows whose text may stand under another id as well"
    )
    mostly: float = Field(0.99, ge=0, le=1, description="share of rows that must pass each row-wise rule")
    min_compared: int = Field(20, ge=1, description="rows of the night before from which on shares are compared")
    tables: GateTables = Field(GateTables(), description="thresholds of single tables")
