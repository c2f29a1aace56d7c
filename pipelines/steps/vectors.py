"""Texts become vectors: `encode` writes those that are not known yet, `materialize` publishes tonight's embeddings."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.recipes import can_write
from features.table_engine import Place, Vectors, table_engine
from language_models.encoders.shards import ShardEncoder, shard_encoder
from language_models.protocols import Encoded
from language_models.stopping import stop_requests
from pipelines.gating import gate_embeddings
from pipelines.night import Counts, Night, step
from schemas.errors import ConfigError, StopError, unknown_name
from schemas.records import KINDS, Kind, sha256
from schemas.run import Run

CHUNK = 1024  # texts between two writes: what a killed run has to encode again at most
WORTH_SAYING = 0.01  # share of texts that were cut


@dataclass(frozen=True)
class TextSource:
    """Columns of a table (`title+author`) or a recipe's field (`rlmrec.item/summarization`)."""

    kind: Kind
    source: str

    @property
    def is_profile(self) -> bool:
        return "/" in self.source


def text_sources(run: Run) -> list[TextSource]:
    """Every text whose vectors the run reads, for models, codes or instructions, each once, in the run file's order."""
    found: dict[TextSource, None] = {}
    read = [*(model.features for model in run.models), *(model.features for model in run.click_models)]
    read += run.compare.features() if run.compare else ()
    for features in read:
        if features is not None:
            for kind in KINDS:
                found |= {TextSource(kind, text): None for text in features.texts(kind)}
    for entry in run.semantic_ids:
        found |= {TextSource("item", text): None for text in entry.texts}
    found |= {TextSource("item", each.vectors): None for each in run.instructions if each.vectors is not None}
    return list(found)


@step
def encode(night: Night) -> Counts:
    """Encode the texts whose hash has no vector yet, a chunk at a time; a killed run goes on where it was.

    Raises StopError after SIGTERM or Ctrl-C: what is finished is written, and nothing else is lost than time.
    """
    texts = pl.concat([read_texts(night, source) for source in text_sources(night.run)] or [_no_texts()])
    distinct = texts.unique("text_hash", maintain_order=True)
    name, done = night.run.encoder.label, Encoded()
    todo = distinct.join(known_texts(night, name), on="text_hash", how="anti", maintain_order="left")
    if todo.height:
        with stop_requests() as stop:
            done, limit = _encode(night, _from_long_to_short(todo), stop)
        _say_truncated(night, done, limit)
        if done.texts < todo.height:
            raise StopError(
                f"encode: stopped by a signal; {done.texts:,} of {todo.height:,} new texts are encoded and kept; "
                "the same command goes on from there"
            )
    counts = {"texts": texts.height, "distinct": distinct.height, "encoded": todo.height, "encoder": name}
    rate = round(_truncation_rate(done), 6)
    spent = {"truncated": done.truncated, "truncation_rate": rate, "tokens": done.tokens, "cost_usd": done.cost_usd}
    return {**counts, **spent}


def _encode(night: Night, todo: pl.DataFrame, stop: threading.Event) -> tuple[Encoded, int | None]:
    """Write the vectors of texts, by the table engine where it encodes; what was done, and the encoder's limit."""
    waves = table_engine(night.run.engine).vectors(todo, night.run.encoder)
    if waves is not None:
        return _write_waves(night, waves, todo.height, stop)
    with shard_encoder(night.run.encoder, stop) as encoder:
        _write_vectors(night, todo, encoder)
        return encoder.done, encoder.limit


def _write_waves(
    night: Night, waves: Iterator[Vectors], total: int, stop: threading.Event
) -> tuple[Encoded, int | None]:
    """Append what a table engine has encoded wave by wave; after a stop request the wave that is made is the last."""
    done, limit, began = Encoded(), None, time.monotonic()
    with night.progress.track(f"encode with {night.run.encoder.label}", total) as advance:
        for wave in waves:
            night.append_made("vectors", wave.made)
            done, limit = done + wave.done, wave.limit
            advance(wave.done.texts, f"{done.texts / (time.monotonic() - began):,.0f} texts a second")
            if stop.is_set():
                break
    return done, limit


def _from_long_to_short(texts: pl.DataFrame) -> pl.DataFrame:
    return texts.sort(pl.col("text").str.len_chars(), descending=True)


def _write_vectors(night: Night, todo: pl.DataFrame, encoder: ShardEncoder) -> None:
    """Append what is encoded chunk by chunk, as the encoder finishes them."""
    name = night.run.encoder.label
    chunks = spread(list(todo.iter_slices(CHUNK)))
    began, written = time.monotonic(), 0
    with night.progress.track(f"encode with {name}", todo.height) as advance:
        for number, vectors in encoder.encode([chunk["text"].to_list() for chunk in chunks]):
            night.append("vectors", _vector_rows(name, chunks[number]["text_hash"], vectors))
            written += len(vectors)
            advance(len(vectors), f"{written / (time.monotonic() - began):,.0f} texts a second")


def spread(chunks: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Chunks from long to short texts as the longest, the shortest, the second longest, and so on.

    Memory that is too small shows at once, and the time that is left is not overestimated until the short ones come.
    """
    half = (len(chunks) + 1) // 2
    pairs = zip_longest(chunks[:half], reversed(chunks[half:]))
    return [chunk for pair in pairs for chunk in pair if chunk is not None]


@step
def materialize(night: Night) -> Counts:
    """Join tonight's texts with their vectors, gate them, and publish the embeddings of every source."""
    name = night.run.encoder.label
    parts = [_named(read_texts(night, source), source, name) for source in text_sources(night.run)]
    if not parts:
        return {"sources": [], "gate": None}
    made = table_engine(night.run.engine).embeddings(pl.concat(parts), _vectors(night), name)
    frame = made.frame
    gate_embeddings(night, frame)
    night.publish_made("embeddings", made)
    found = frame.group_by("kind", "source").agg(pl.len().alias("rows"), pl.col("dim").first())
    order = pl.concat(parts).select("kind", "source").unique(maintain_order=True)
    rows = order.join(found, on=["kind", "source"], maintain_order="left")
    sizes = {"user": night.read("users").height, "item": night.read("items").height}
    sources = [{**row, "missing": sizes[row["kind"]] - row["rows"]} for row in rows.to_dicts()]
    return {"sources": sources, "rows": frame.height}


def read_texts(night: Night, source: TextSource) -> pl.DataFrame:
    """The non-empty texts of a source: kind, id, text, text_hash. Raises ConfigError when it is not there."""
    frame = _profile_texts(night, source) if source.is_profile else _column_texts(night, source)
    frame = frame.with_columns(pl.col("text").str.strip_chars()).filter(pl.col("text").str.len_chars() > 0)
    hashes = [sha256(text) for text in frame["text"].to_list()]
    return frame.select(
        pl.lit(source.kind).alias("kind"), "id", "text", pl.Series("text_hash", hashes, dtype=pl.String)
    )


def known_texts(night: Night, encoder: str) -> pl.DataFrame:
    """The hashes of the texts that an encoder has already read."""
    if not night.store.exists("vectors"):
        return pl.DataFrame(schema={"text_hash": pl.String})
    known = night.read("vectors", columns=["encoder", "text_hash"])
    return known.filter(pl.col("encoder") == encoder).select("text_hash")


def _vectors(night: Night) -> Place | None:
    return night.place("vectors") if night.store.exists("vectors") else None


def _profile_texts(night: Night, source: TextSource) -> pl.DataFrame:
    recipe, field = source.source.split("/", 1)
    profiles = night.read("profiles").filter(pl.col("kind") == source.kind)
    rows = profiles.filter((pl.col("recipe") == recipe) & (pl.col("field") == field))
    if rows.is_empty() and not can_write(source.source):
        there = {f"{r}/{f}" for r, f in profiles.select("recipe", "field").unique().rows()}
        raise ConfigError(unknown_name(f"{night.run.file}: features.{source.kind}", source.source, there))
    return rows.select("id", "text")


def _column_texts(night: Night, source: TextSource) -> pl.DataFrame:
    table = night.read(f"{source.kind}s")
    names = source.source.split("+")
    for name in names:
        if name not in table.columns:
            raise ConfigError(
                unknown_name(f"{night.run.file}: features.{source.kind}", name, set(table.columns) - {"id"})
            )
    return table.select("id", pl.concat_str(names, separator=". ", ignore_nulls=True).alias("text"))


def _named(texts: pl.DataFrame, source: TextSource, encoder: str) -> pl.DataFrame:
    """The texts' places in the table `embeddings`."""
    return texts.select("kind", "id", pl.lit(f"{source.source}@{encoder}").alias("source"), "text_hash")


def _truncation_rate(done: Encoded) -> float:
    """Share of the texts encoded tonight of which the end was not read."""
    return done.truncated / done.texts if done.texts else 0.0


def _say_truncated(night: Night, done: Encoded, limit: int | None) -> None:
    if (rate := _truncation_rate(done)) > WORTH_SAYING:
        night.progress.say(
            f'{100 * rate:.1f} % of the texts were cut at {limit} tokens; `encoder.long = "chunk"` reads them whole'
        )


def _vector_rows(encoder: str, hashes: pl.Series, vectors: NDArray[np.float32]) -> pl.DataFrame:
    rows = pl.Series(
        "vector", vectors.astype(np.float32)
    ).arr.to_list()  # Delta reads lists back, fixed-size arrays not
    return pl.DataFrame(
        {"encoder": pl.Series([encoder] * len(hashes), dtype=pl.String), "text_hash": hashes, "vector": rows}
    )


def _no_texts() -> pl.DataFrame:
    return pl.DataFrame(schema={"kind": pl.String, "id": pl.String, "text": pl.String, "text_hash": pl.String})
