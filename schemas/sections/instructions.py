"""Instruction tables: examples that users tune language models on elsewhere."""

from __future__ import annotations

from pydantic import Field

from schemas.sections.base import Option, Section


class Instructions(Section):
    """How examples are made: one entry is one set of rows in the table `instructions`."""

    name: str = Field(pattern=r"^[\w+-][\w.+-]{0,99}$", description="unique among the instructions; that of the files")
    builder: str = Field(description="tallrec, rella, instructrec, lc_rec, llamarec, llara, bigrec, s_dpo")
    options: dict[str, Option] = Field({}, description="the builder's own options")
    noun: str = Field("item", min_length=1, description="what is recommended, in the singular: book, film, place")
    history: int = Field(10, gt=0, description="items of a user that are shown")
    examples: int = Field(0, ge=0, description="how many, drawn evenly over the builder's tasks; 0: all that there are")
    seed: int = Field(1, ge=0, description="of every random choice")
    profile: str | None = Field(None, description="`recipe/field` whose text of a user stands in the prompts")
    intention: str | None = Field(None, description="`recipe/field` whose text of an item or user stands for a wish")
    codes: str | None = Field(None, description="entry of [[semantic_ids]] whose codes stand for the items")
    vectors: str | None = Field(None, description="the item text, column or `recipe/field`, by which items are near")
