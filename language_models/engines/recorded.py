"""Recorded answers of real language models: `kind`, `id`, `field`, `text`, `model` in one Parquet file."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import polars as pl

from schemas.errors import ConfigError, DataError
from schemas.records import Completion, Prompt, canonical
from schemas.run import Llm

COLUMNS = ("kind", "id", "field", "text", "model")
DEFAULT_MODEL = "offline"  # what `llm.model` is when the run file says nothing


class RecordedEngine:
    """Answers a prompt with what was recorded for its kind and id, as JSON of the recipe's answer fields.

    A field that was not recorded is left out of the JSON. Nothing recorded at all: `finish_reason` is `missing`.
    """

    name = "recorded"

    def __init__(self, llm: Llm) -> None:
        if llm.answers is None:
            raise ConfigError("llm.answers: missing; engine recorded reads an answers.parquet, name it in the run file")
        self._file = Path(llm.answers)
        table = _read(self._file)
        self.model = _choose_model(self._file, table["model"].unique().sort().to_list(), llm.model)
        self._answers = _by_subject(self._file, table.filter(pl.col("model") == self.model))
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
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise DataError(f"{file}: expected columns {', '.join(COLUMNS)}; {', '.join(missing)} missing")
    return table.select(pl.col(COLUMNS).cast(pl.String))


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
            raise DataError(f"{file}: {kind} {id}: expected one text for {field}, found several")
        fields[field] = text
    return answers
