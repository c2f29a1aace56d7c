"""Tables become instructions: `instruct` makes the examples that papers tune language models on, from train alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from features.codes import align_codes
from features.corpus import Corpus
from features.instructions import Sources, make_builder
from features.instructions.titles import unique_titles
from features.instructions.wording import code_text
from features.recipes import RECIPES
from features.table import align_texts
from pipelines.gating import gated_examples
from pipelines.model_inputs import aligned
from pipelines.night import Counts, Night, step
from schemas.sections import Instructions


@step
def instruct(night: Night) -> Counts:
    """Make the rows of each entry of [[instructions]] and publish them block by block; nothing where there is none."""
    if not night.run.instructions:
        return {"instructions": []}
    told: dict[str, int] = dict.fromkeys([entry.name for entry in night.run.instructions], 0)
    _, rows = night.publish_blocks("instructions", gated_examples(night, _blocks(night, told)))
    for name, count in told.items():
        night.progress.say(f"instruct: {name}: {count:,} examples")
    return {"rows": rows, "instructions": [{"name": name, "rows": count} for name, count in told.items()]}


def _blocks(night: Night, told: dict[str, int]) -> Iterator[pl.DataFrame]:
    """The rows of all entries; how many each has is counted in `told`."""
    corpus = night.corpus()
    titles = tuple(unique_titles(corpus.items))
    yield night.empty("instructions")
    with night.progress.track("instruct") as advance:
        for entry in night.run.instructions:
            about = [pl.lit(entry.name).alias("name"), pl.lit(entry.builder).alias("builder")]
            sources = _sources(night, corpus, titles, entry)
            for block in make_builder(entry).build(sources, entry.examples, entry.seed):
                told[entry.name] += block.height
                advance(block.height, entry.name)
                yield block.with_columns(about)


def _sources(night: Night, corpus: Corpus, titles: tuple[str, ...], entry: Instructions) -> Sources:
    """What the builder of an entry reads of the night's tables."""
    read: dict[str, Any] = {}
    if entry.profile is not None:
        read["profile"] = _texts(night, corpus, entry.profile)
    if entry.intention is not None:
        kind = RECIPES[entry.intention.split("/")[0]].kind
        read |= {"intention": _texts(night, corpus, entry.intention), "intention_kind": kind}
    if entry.codes is not None:
        rows = night.read("semantic_ids", where=pl.col("name") == entry.codes)
        found = align_codes(rows, corpus.ids("item"), entry.codes).codes
        read["codes"] = tuple(code_text(row) for row in found.tolist())
    if entry.vectors is not None:
        read["vectors"] = np.asarray(aligned(night, corpus, "item", entry.vectors).x)
    return Sources(corpus, titles, entry.noun, entry.history, **read)


def _texts(night: Night, corpus: Corpus, source: str) -> tuple[str, ...]:
    """Tonight's texts `recipe/field` by row, empty where nobody wrote one."""
    recipe, _, field = source.partition("/")
    mine = (pl.col("recipe") == recipe) & (pl.col("field") == field)
    return align_texts(
        night.read("profiles", columns=["id", "text", "recipe", "field"], where=mine), corpus.ids(RECIPES[recipe].kind)
    )
