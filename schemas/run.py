"""The run file: TOML read into one frozen object that refuses unknown keys and names the nearest valid one."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from schemas.errors import ConfigError, unknown_name
from schemas.renamed import with_new_names
from schemas.secrets import without_passwords
from schemas.sections import (
    Airflow,
    Click,
    ClickModel,
    ClickTraining,
    Compare,
    Data,
    Encoder,
    Engine,
    Evaluation,
    Gates,
    Instructions,
    Llm,
    Model,
    Online,
    Promotion,
    Quality,
    Recipe,
    Recommend,
    Refresh,
    Section,
    SemanticIds,
    SequenceTraining,
    Split,
    System,
    Training,
    Watch,
)

SHARED_LLM_KEYS = ("max_cost_usd", "ledger", "metrics_port", "shards", "redact", "prices")


class Run(Section):
    """A whole run file."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,99}$", description="of the run, in DAGs, metrics and logs")
    lake: str = Field(description="folder or object-store URL of the tables; relative to the run file")
    work: str | None = Field(
        None, description="folder of ledger, checkpoints and reports; default: the lake, or .loregraph/NAME for a URL"
    )
    schedule: str = Field("0 2 * * *", description="cron line of the Airflow DAGs")
    airflow: Airflow = Airflow()
    data: Data
    engine: Engine = Engine()
    split: Split = Split()
    llm: Llm = Llm()
    recipes: tuple[Recipe, ...] = ()
    refresh: Refresh = Refresh()
    encoder: Encoder = Encoder()
    gates: Gates = Gates()
    quality: Quality = Quality()
    semantic_ids: tuple[SemanticIds, ...] = Field((), description="sets of item codes that `tokenize` makes")
    instructions: tuple[Instructions, ...] = Field((), description="sets of examples that `instruct` makes")
    training: Training = Training()
    sequence_training: SequenceTraining = SequenceTraining()
    seeds: tuple[int, ...] = Field((1, 2, 3), min_length=1, description="each model that draws is trained with each")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:0, ...")
    models: tuple[Model, ...] = Field((), description="what is trained and compared")
    baseline: str = Field("lightgcn", description="the model that lifts are measured against")
    evaluation: Evaluation = Evaluation()
    recommend: Recommend = Recommend()
    online: Online = Online()
    promotion: Promotion = Promotion()
    click: Click = Click()
    click_models: tuple[ClickModel, ...] = Field((), description="what `loregraph click` trains and compares")
    compare: Compare | None = Field(None, description="what `loregraph compare` tunes and compares")
    watch: Watch = Watch()
    file: Path = Field(Path("run.toml"), description="where this run was read from")

    @model_validator(mode="after")
    def names_agree(self) -> Run:
        """Model names are unique; the baseline and every `control_of` are among them."""
        names = [model.name for model in self.models]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"models: two models are called {name}")
        referred: list[tuple[str, str | None]] = [
            ("baseline", self.baseline),
            ("recommend.model", self.recommend.model),
        ]
        if (candidates := self.evaluation.candidates) is not None:
            referred.append(("evaluation.candidates.retriever", candidates.retriever))
        referred += [(f"models.{model.name}.control_of", model.control_of) for model in self.models]
        for where, referred_name in referred:
            if self.models and referred_name is not None and referred_name not in names:
                raise ValueError(unknown_name(where, referred_name, names))
        return self

    @model_validator(mode="after")
    def refits_are_judged_fairly(self) -> Run:
        """A refit has learned from validation, so the items of validation must not be candidates at test."""
        named: list[tuple[str, Model | System]] = [("models", each) for each in self.models]
        named += [("compare.systems", each) for each in (self.compare.systems if self.compare else ())]
        for where, each in named:
            if self.evaluation.leaves_valid and each.training.get("refit", self.training.refit):
                raise ValueError(
                    f"evaluation.protocol: {self.evaluation.protocol} leaves the items of validation among the "
                    f"candidates of test, and {where}.{each.name} learns from them; set training.refit = false"
                )
        return self

    @model_validator(mode="after")
    def semantic_ids_agree(self) -> Run:
        """Names of semantic ids are unique; every model's are among them."""
        names = [each.name for each in self.semantic_ids]
        readers: list[tuple[str, Model | ClickModel]] = [("models", each) for each in self.models]
        readers += [("click_models", each) for each in self.click_models]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"semantic_ids: two entries are called {name}")
        for where, model in readers:
            wanted = model.features.semantic_ids if model.features else None
            if wanted is not None and wanted not in names:
                raise ValueError(unknown_name(f"{where}.{model.name}.features.semantic_ids", wanted, names))
        return self

    @model_validator(mode="after")
    def instructions_agree(self) -> Run:
        """Names of instructions are unique; the codes of each are among the semantic ids."""
        names, codes = [each.name for each in self.instructions], [each.name for each in self.semantic_ids]
        for each in self.instructions:
            if names.count(each.name) > 1:
                raise ValueError(f"instructions: two entries are called {each.name}")
            if each.codes is not None and each.codes not in codes:
                raise ValueError(unknown_name(f"instructions.{each.name}.codes", each.codes, codes))
        return self

    @model_validator(mode="after")
    def click_names_agree(self) -> Run:
        """Names of click models are unique; every `control_of` is among them."""
        names = [model.name for model in self.click_models]
        for model in self.click_models:
            if names.count(model.name) > 1:
                raise ValueError(f"click_models: two models are called {model.name}")
            if model.control_of is not None and model.control_of not in names:
                raise ValueError(unknown_name(f"click_models.{model.name}.control_of", model.control_of, names))
        return self

    @model_validator(mode="after")
    def connections_are_read(self) -> Run:
        """Every environment variable that gets the password of a connection is one that a key is read from."""
        for name in self.airflow.connections:
            if name not in self.key_names:
                raise ValueError(unknown_name("airflow.connections", name, sorted(self.key_names)))
        return self

    @property
    def key_names(self) -> frozenset[str]:
        """The environment variables that keys and addresses with a password are read from."""
        own = [each.get("key_env") for each in (*(one.llm for one in self.recipes), *(one.llm for one in self.models))]
        names = (self.llm.key_env, self.encoder.key_env, self.online.url_env, *own)
        return frozenset(name for name in names if isinstance(name, str))

    def llm_of(self, recipe: str) -> Llm:
        """The chat engine's settings for one recipe: `[llm]` with the recipe's own keys on top."""
        return self._llm_with(next((each.llm for each in self.recipes if each.name == recipe), {}))

    def llm_of_model(self, model: Model) -> Llm:
        """The chat engine's settings for one model that is a language model: `[llm]` with the model's keys on top."""
        return self._llm_with(model.llm)

    def _llm_with(self, own: Mapping[str, Any]) -> Llm:
        if not own:
            return self.llm
        other_engine = own.get("engine", self.llm.engine) != self.llm.engine  # its settings are nobody else's
        shared = self.llm.model_dump(include=set(SHARED_LLM_KEYS) if other_engine else None)
        return Llm.model_validate({**shared, **own})

    def training_of(self, model: Model) -> Training:
        """The trainer's settings for one model: `[training]` with the model's own keys on top."""
        return Training.model_validate({**self.training.model_dump(), **model.training})

    def settings_of(self, model: Model) -> Training | SequenceTraining:
        """The trainer's settings for one model, whichever trainer it has."""
        return self.training_of(model) if model.recommender == "graph" else self.sequence_training_of(model)

    def sequence_training_of(self, model: Model) -> SequenceTraining:
        """The settings for one sequential model: `[sequence_training]` with the model's own keys on top."""
        return SequenceTraining.model_validate({**self.sequence_training.model_dump(), **model.training})

    def click_training_of(self, model: ClickModel) -> ClickTraining:
        """The trainer's settings for one click model: `[click.training]` with the model's own keys on top."""
        return ClickTraining.model_validate({**self.click.training.model_dump(), **model.training})


def load_run(file: Path, lake: str | None = None, max_cost_usd: float | None = None) -> Run:
    """Read a run file. `lake` and `max_cost_usd` override the file's own.

    Raises ConfigError naming the file, the key, and the nearest valid key.
    """
    raw = _read_toml(file)
    with_new_names(raw, file)
    folder = file.resolve().parent
    if lake is not None:
        raw["lake"] = lake if "://" in lake else str(Path(lake).resolve())  # relative to where the command runs
    if max_cost_usd is not None:
        raw.setdefault("llm", {})["max_cost_usd"] = max_cost_usd
    _expand_paths(raw, folder)
    try:
        run = Run.model_validate({**raw, "file": file.resolve()})
        for recipe in run.recipes:
            _llm_keys(f"recipes.{recipe.name}", recipe.llm)
            run.llm_of(recipe.name)
        for model in run.models:
            _llm_keys(f"models.{model.name}", model.llm)
            run.llm_of_model(model)
            _training_keys(model)
            run.settings_of(model)
        for system in run.compare.systems if run.compare else ():
            _training_keys(system, "compare.systems")
        for click_model in run.click_models:
            _click_training_keys(click_model)
            run.click_training_of(click_model)
    except ValidationError as error:
        raise ConfigError(_explain(file, error)) from None
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    return run


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such run file; `loregraph init FOLDER` writes one for your files") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, IsADirectoryError) as error:
        raise ConfigError(f"{file}: not a TOML file: {error}; mend that line") from None


def _expand_paths(raw: dict[str, Any], folder: Path) -> None:
    """Make every path of the run file absolute: a run means the same from any working directory."""
    data, llm = raw.get("data"), raw.get("llm")
    places: list[tuple[Any, str]] = [(raw, "lake"), (raw, "work"), (data, "path")]
    places.append((raw.get("online"), "path"))
    places += [(raw.get("watch"), "metrics"), (raw.get("watch"), "lineage")]
    recipes = [recipe for recipe in raw.get("recipes") or () if isinstance(recipe, dict)]
    places += [(recipe, "prompt") for recipe in recipes]
    encoder = raw.get("encoder")
    if isinstance(encoder, dict) and str(encoder.get("name", ""))[:1] in tuple("/.~$"):
        places.append((encoder, "name"))  # else the name of a model
    models = [model for model in raw.get("models") or () if isinstance(model, dict)]
    for each in (llm, *(part.get("llm") for part in (*recipes, *models))):
        places += [(each, "answers"), (each, "prices")]
        if isinstance(each, dict) and each.get("engine") == "hf" and str(each.get("model", ""))[:1] in tuple("/.~$"):
            places.append((each, "model"))  # else a name in the local cache of Hugging Face
    compare = raw.get("compare")
    systems = (compare.get("systems") or ()) if isinstance(compare, dict) else ()
    for model in (*models, *systems):
        places += [(model.get("options"), "trained")] if isinstance(model, dict) else []
    for section, key in places:
        if isinstance(section, dict) and isinstance(section.get(key), str):
            section[key] = _absolute(section[key], folder)


def _absolute(path: str, folder: Path) -> str:
    path = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: os.environ.get(match[1]) or match[2], path)
    path = os.path.expandvars(path).removeprefix("file://")
    return path if "://" in path else os.path.normpath(folder / Path(path).expanduser())


def _llm_keys(where: str, own: Mapping[str, Any]) -> None:
    for key in own:
        if key not in Llm.model_fields:
            raise ConfigError(unknown_name(f"{where}.llm", key, Llm.model_fields))
        if key in SHARED_LLM_KEYS:
            raise ConfigError(f"{where}.llm.{key}: one for the whole run; put it under [llm]")


def _training_keys(model: Model | System, where: str = "models") -> None:
    fields = (Training if model.recommender == "graph" else SequenceTraining).model_fields
    for key in model.training:
        if key not in fields:
            raise ConfigError(unknown_name(f"{where}.{model.name}.training", key, fields))


def _click_training_keys(model: ClickModel) -> None:
    for key in model.training:
        if key not in ClickTraining.model_fields:
            raise ConfigError(unknown_name(f"click_models.{model.name}.training", key, ClickTraining.model_fields))


def _explain(file: Path, error: ValidationError) -> str:
    return "\n".join(f"{file}: {_explain_one(entry)}" for entry in error.errors())


def _explain_one(entry: Mapping[str, Any]) -> str:
    path = [str(part) for part in entry["loc"]]
    where = ".".join(path)
    if entry["type"] == "extra_forbidden":
        fields = _fields_at(path[:-1])
        return unknown_name(".".join(path[:-1]) or "top level", path[-1], fields)
    if entry["type"] == "missing":
        return f"{where}: missing; add it"
    message = str(entry["msg"]).removeprefix("Value error, ")
    found = without_passwords(repr(entry["input"]))
    return f"{where}: {message}, found {found}" if where else message


def _fields_at(path: list[str]) -> list[str]:
    """The keys that are allowed at a path of the run file; list positions are passed over."""
    section: type[BaseModel] = Run
    for part in path:
        if part.isdigit() or part not in section.model_fields:
            continue
        inner = _section_in(section.model_fields[part].annotation)
        if inner is not None:
            section = inner
    return [name for name in section.model_fields if name != "file"]


def _section_in(annotation: Any) -> type[BaseModel] | None:
    """The Section inside an annotation such as `Part | None` or `tuple[Model, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple):
        return next((found for inner in get_args(annotation) if (found := _section_in(inner))), None)
    return None
