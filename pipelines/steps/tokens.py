"""Vectors become codes: `tokenize` gives every item its semantic ids; old ones stay, new ones need no refit."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from features.corpus import Corpus
from features.table import joined
from features.tokenizers import TokenInputs, Tokenizer, make_tokenizer
from features.tokenizers.base import Float32
from features.tokenizers.coding import Coded, code_items
from features.tokenizers.report import TokenReport, report_codes
from graph_models.spectrum import singular_vectors
from pipelines.gating import gate_codes
from pipelines.model_inputs import aligned
from pipelines.night import Counts, Night, step, write_json
from pipelines.predecessor import why_held_out
from schemas.records import canonical, sha256
from schemas.sections import SemanticIds

ENTRY = "entry.json"  # beside a fitted tokenizer: what of the run file decides it


@dataclass(frozen=True)
class Earlier:
    """What earlier nights have coded with one fitted tokenizer."""

    fit: str
    rows: pl.DataFrame  # id, codes of every item that ever had any


@step
def tokenize(night: Night) -> Counts:
    """Give every item the codes of each entry of [[semantic_ids]] and publish them; nothing where there is none.

    A later night with the same settings keeps the codebooks and the codes of the items that it knows. It fits anew
    where `refit` is set, where codes were made from train pairs that are none tonight, and where the fitted tokenizer
    is gone.
    """
    if not night.run.semantic_ids:
        return {"semantic_ids": []}
    corpus, found = night.corpus(), list[tuple[pl.DataFrame, Counts]]()
    with night.progress.track("tokenize", len(night.run.semantic_ids)) as advance:
        for entry in night.run.semantic_ids:
            advance(0, entry.name)
            found.append(_code(night, corpus, entry))
            advance(1, entry.name)
    codes = pl.concat([rows for rows, _ in found])
    gate_codes(night, codes)
    night.publish("semantic_ids", codes)
    told = [counts for _, counts in found]
    sums = {name: sum(counts[name] for counts in told) for name in ("items", "new", "kept")}
    return {**sums, "semantic_ids": told}


def _code(night: Night, corpus: Corpus, entry: SemanticIds) -> tuple[pl.DataFrame, Counts]:
    """The rows of one entry, and what is said of them."""
    began = time.perf_counter()
    inputs, tokenizer = _inputs(night, corpus, entry), make_tokenizer(entry)
    earlier, why = _earlier(night, corpus, entry, tokenizer)
    fit = earlier.fit if earlier else _fit(night, corpus, entry, tokenizer, inputs)
    coded = code_items(tokenizer, inputs, earlier.rows if earlier else None)
    report = report_codes(
        coded.raw, coded.codes, coded.sizes, inputs.x, inputs.present, collaborative_vectors(corpus, 32)
    )
    new = int(coded.new.sum())
    about: Counts = {"name": entry.name, "tokenizer": entry.tokenizer, "fit": fit, "fitted_because": why}
    about |= {"items": len(coded.ids), "new": new, "kept": len(coded.ids) - new, "levels": len(coded.sizes)}
    about |= {"collisions": report.collisions, "report": report.to_json()}
    _say(night, about, report)
    return _rows(entry, fit, coded), {**about, "seconds": round(time.perf_counter() - began, 3)}


def _inputs(night: Night, corpus: Corpus, entry: SemanticIds) -> TokenInputs:
    """The catalogue with the vectors of the entry's texts side by side."""
    if not entry.texts:
        nothing = np.zeros((corpus.num_items, 0), dtype=np.float32)
        return TokenInputs(corpus.items, nothing, np.zeros(corpus.num_items, dtype=bool), corpus.train)
    table = joined([aligned(night, corpus, "item", text) for text in entry.texts])
    return TokenInputs(corpus.items, table.x, table.present, corpus.train)


def _earlier(
    night: Night, corpus: Corpus, entry: SemanticIds, tokenizer: Tokenizer
) -> tuple[Earlier | None, str | None]:
    """What the latest earlier night has coded with these settings, its tokenizer loaded; else why tonight fits anew."""
    if entry.refit:
        return None, "refit = true"
    before = [ds for ds in _nights(night) if ds < night.ds]
    if not before:
        return None, "no earlier night has semantic ids"
    latest = night.read("semantic_ids", ds=before[-1]).filter(pl.col("name") == entry.name)
    if latest.is_empty():
        return None, f"{before[-1]} has no codes of this name"
    fit = str(latest["fit"][0])
    if (why := _why_not(night, corpus, entry, tokenizer, fit, before[-1])) is not None:
        return None, why
    tokenizer.load(_folder(night, entry, fit))
    mine = (pl.col("name") == entry.name) & (pl.col("fit") == fit) & (pl.col("ds") < night.ds)
    rows = night.store.read("semantic_ids", columns=["ds", "id", "codes", "name", "fit"], where=mine).sort("ds", "id")
    return Earlier(fit, rows.unique("id", keep="last", maintain_order=True).select("id", "codes")), None


def _why_not(night: Night, corpus: Corpus, entry: SemanticIds, tokenizer: Tokenizer, fit: str, ds: str) -> str | None:
    """Why tonight cannot go on with a tokenizer that `ds` has used; None where it can."""
    file = _folder(night, entry, fit) / ENTRY
    if not file.exists():
        return f"the tokenizer of {ds} is no longer in {file.parent}"
    about = json.loads(file.read_text(encoding="utf-8"))
    if about["settings"] != _settings(night, entry):
        return f"other settings than on {ds}"
    if not tokenizer.reads_train:
        return None
    split_id = night.read("splits", ds=ds, columns=["split_id"])["split_id"][0]
    store: Any = night.store  # can be hashed, which the protocol does not say
    return why_held_out(store, ds, str(split_id), night.ds, corpus.split_id)


def _fit(night: Night, corpus: Corpus, entry: SemanticIds, tokenizer: Tokenizer, inputs: TokenInputs) -> str:
    """Fit the tokenizer, or load what was fitted with the same settings to the same data; returns the fit's hash."""
    read = inputs if tokenizer.reads_text else inputs.without_vectors()
    data = read.hash(tokenizer.columns, tokenizer.reads_train)
    fit = sha256(canonical({"settings": _settings(night, entry), "data": data}))[:16]
    folder = _folder(night, entry, fit)
    if (folder / ENTRY).exists():
        tokenizer.load(folder)
        return fit
    if tokenizer.collaborative is not None:
        inputs = replace(inputs, collaborative=collaborative_vectors(corpus, tokenizer.collaborative))
    tokenizer.fit(inputs)
    tokenizer.save(folder)
    write_json(folder / ENTRY, {"settings": _settings(night, entry), "ds": night.ds, "entry": entry.model_dump()})
    return fit


def collaborative_vectors(corpus: Corpus, dim: int) -> Float32:
    """Unit vectors [I, dim] of items by who has them in train: leading singular vectors, zero where nobody has."""
    matrix = corpus.train.by_user
    x = np.zeros((corpus.num_items, dim), dtype=np.float32)
    rank = min(dim, min(matrix.shape) - 1)
    if rank > 0 and matrix.nnz:
        _, values, right = singular_vectors(matrix, rank)
        x[:, :rank] = (right * values[:, None]).T
        x[corpus.train.item_degree == 0] = 0
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def _nights(night: Night) -> list[str]:
    return night.store.partitions("semantic_ids") if night.store.exists("semantic_ids") else []


def _settings(night: Night, entry: SemanticIds) -> str:
    """A hash of what decides a tokenizer but its data: its name, options and texts, and their encoder."""
    encoder = night.run.encoder.label if entry.texts else None
    decides = {"tokenizer": entry.tokenizer, "options": entry.options, "texts": entry.texts, "encoder": encoder}
    return sha256(canonical(decides))[:16]


def _folder(night: Night, entry: SemanticIds, fit: str) -> Path:
    return night.work / "tokenizers" / f"{entry.name}-{fit}"


def _rows(entry: SemanticIds, fit: str, coded: Coded) -> pl.DataFrame:
    count = len(coded.ids)
    lists = {"codes": coded.codes.tolist(), "sizes": [list(coded.sizes)] * count}
    told = {"name": [entry.name] * count, "id": coded.ids, "tokenizer": [entry.tokenizer] * count, "fit": [fit] * count}
    return pl.DataFrame({**told, **lists}, schema_overrides=dict.fromkeys(lists, pl.List(pl.Int32)))


def _say(night: Night, about: Counts, report: TokenReport) -> None:
    how = f"{about['new']:,} new" if about["fitted_because"] is None else f"fitted: {about['fitted_because']}"
    what = f"{about['name']} ({about['tokenizer']}): {about['items']:,} items, {how}"
    night.progress.say(f"tokenize: {what}; {report.line()}")
