"""Recorded answers of real language models: one Parquet file, field by field or as they came.

By field: `kind`, `id`, `field`, `text`, `model`. As they came: `raw` (the whole answer), `kind` and `id` or one of
`user_id` and `item_id`, and `version` or `model` where one subject has several.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from schemas.errors import ConfigError, DataError
from schemas.records import Completion, Prompt, canonical
from schemas.sections import Llm

COLUMNS = ("kind", "id", "field", "text", "model")
WHOLE = ""  # the field of an answer that was recorded as it came
DEFAULT_MODEL = "offline"  # what `llm.model` is when the run file says nothing


class RecordedEngine:
    """Answers a prompt with what was recorded for its kind and id, as JSON of the recipe's answer fields.

    A field that was not recorded is left out of the JSON. Answers recorded as they came are given as they are, several
    versions one below the other unless `llm.model` names one. Nothing recorded at all: `finish_reason` is `missing`.
    """

    name = "recorded"

    def __init__(self, llm: Llm) -> None:
        if llm.answers is None:
            raise ConfigError("llm.answers: missing; engine recorded reads an answers.parquet, name it in the run file")
        self._file = Path(llm.answers)
        table = _read(self._file)
        models = table["model"].drop_nulls().unique().sort().to_list()
        if llm.model == DEFAULT_MODEL and models and (table["field"] == WHOLE).all():
            self.model, chosen = "+".join(models), _merged(table)
        else:
            self.model = _choose_model(self._file, models, llm.model)
            chosen = table.filter(pl.col("model") == self.model)
        self._answers = _by_subject(self._file, chosen)
        self._fields = dict(llm.fields)
        self._sha256 = hashlib.sha256(self._file.read_bytes()).hexdigest()

    def key(self, prompt: Prompt) -> str:
        """Content key: the file's digest, who is asked about, how fields are named, and the prompt."""
        about = {"answers": self._sha256, "fields": self._fields, "kind": prompt.kind, "id": prompt.id}
        return prompt.key(self.model, {"engine": self.name, **about})

    def answer(self, prompts: Iterable[Prompt]) -> Iterator[Completion]:
        for prompt in prompts:
            recorded = self._answers.get((prompt.kind, prompt.id))
            text = self._text(prompt, recorded) if recorded else ""
            reason = "stop" if text else "missing"
            yield Completion(self.key(prompt), text, reason, 0, 0, 0.0, self.model, 0.0, turn=prompt.turn)

    def _text(self, prompt: Prompt, recorded: Mapping[str, str]) -> str:
        if WHOLE in recorded:
            return recorded[WHOLE]
        expected = prompt.answer_schema.get("properties", {})
        named = {self._fields.get(field, field): text for field, text in recorded.items()}
        known = {field: text for field, text in named.items() if field in expected}
        if not known:
            raise ConfigError(
                f"{self._file}: {prompt.kind} {prompt.id}: recorded fields {sorted(recorded)} are none of the answer's "
                f"fields {sorted(expected)} of {prompt.recipe}; map them in llm.fields"
            )
        return canonical(known)


def _read(file: Path) -> pl.DataFrame:
    try:
        table = pl.read_parquet(file)
    except FileNotFoundError:
        raise DataError(f"{file}: no such file of recorded answers; correct llm.answers in the run file") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{file}: expected a Parquet file of recorded answers: {error}") from None
    table = _by_field(table) if "raw" in table.columns and "field" not in table.columns else table
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"{file}: expected columns {', '.join(COLUMNS)}; {', '.join(missing)} missing")
    return table.select(pl.col(COLUMNS).cast(pl.String))


def _by_field(table: pl.DataFrame) -> pl.DataFrame:
    """Answers as they came in the columns of the others, as far as there are such columns."""
    own = next((kind for kind in ("user", "item") if f"{kind}_id" in table.columns and "id" not in table.columns), None)
    version = next((name for name in ("model", "version") if name in table.columns), None)
    columns = {"field": pl.lit(WHOLE), "text": pl.col("raw")}
    columns |= {"kind": pl.lit(own), "id": pl.col(f"{own}_id")} if own else {}
    columns["model"] = pl.lit("recorded") if version is None else pl.col(version).cast(pl.String).fill_null("recorded")
    return table.with_columns(**columns)


def _merged(table: pl.DataFrame) -> pl.DataFrame:
    """All versions of a subject as one answer, one below the other."""
    return (
        table.sort("model", maintain_order=True)
        .group_by("kind", "id", "field", maintain_order=True)
        .agg(pl.col("text").drop_nulls().str.join("\n"), pl.col("model").first())
    )


def _choose_model(file: Path, models: list[str], wanted: str) -> str:
    if wanted in models:
        return wanted
    if len(models) == 1 and wanted == DEFAULT_MODEL:
        return models[0]
    raise ConfigError(f"{file}: llm.model: expected one of {', '.join(models) or 'none'}, found {wanted}")


def _by_subject(file: Path, table: pl.DataFrame) -> dict[tuple[str, str], dict[str, str]]:
    answers: dict[tuple[str, str], dict[str, str]] = {}
    for kind, id, field, text in table.select(COLUMNS[:4]).drop_nulls().iter_rows():
        fields = answers.setdefault((kind, id), {})
        if field in fields:
            about = field or "a version"
            raise DataError(f"{file}: {kind} {id}: expected one text for {about}, found several")
        fields[field] = text
    return answers
