"""What stands in the way of a night of one run file: the file, its data, its ledger, and the nights before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from features.readers import READERS
from pipelines.night import last_night, work_folder
from pipelines.starting.check import Check
from schemas.errors import ConfigError, DataError, LoregraphError, StoreError
from schemas.run import Run, load_run
from schemas.sections import Data


def loaded(file: Path, lake: str | None) -> tuple[Run | None, Check]:
    """The run, with its names looked up as a night does, and how that went."""
    try:
        run = load_run(file, lake=lake)
    except ConfigError as error:
        return None, Check("run file", "fail", str(error), "mend the line; `loregraph list KIND` shows names there are")
    try:
        from pipelines.checks import check_run

        check_run(run)
    except ImportError as error:
        return run, Check("run file", "fail", f"{file}: {error}", "install the extras that are missing, see below")
    except ConfigError as error:
        return run, Check("run file", "fail", str(error), "mend the line; `loregraph list KIND` shows names there are")
    return run, Check("run file", "ok", f"{file}: {len(run.recipes)} recipes, {len(run.models)} models")


def needed_extras(run: Run) -> set[str]:
    """The extras without which a night of the run ends in an error."""
    needed = {"gates", "report", "graph"}
    recipes = [run.llm_of(recipe.name).engine for recipe in run.recipes]
    models = [run.llm_of_model(model).engine for model in run.models if model.llm]
    if "openai" in {*recipes, *models} or run.encoder.kind == "openai":
        needed.add("llm")
    if "hf" in {*recipes, *models} or run.encoder.kind != "openai":
        needed.add("text")
    optional = {
        "minilm": run.encoder.kind == "sentence_transformer" and run.encoder.name == "all-MiniLM-L6-v2",
        "postgres": bool(run.llm.ledger),
        "spark": run.engine.tables == "spark",
        "ann": run.recommend.index == "usearch",
        "redis": run.online.store == "redis",
        "lineage": "://" in (run.watch.lineage or ""),
    }
    return needed | {extra for extra, wanted in optional.items() if wanted}


def check_data(data: Data) -> Check:
    """Whether the reader's files are there; they are not read."""
    folder = Path(data.path)
    if "://" in data.path:
        return Check("data", "fail", f"{data.path}: a URL", "copy the files to a folder and set data.path to it")
    try:
        found = READERS[data.format].locate(folder, data) if folder.is_dir() else None
    except (DataError, ConfigError) as error:
        return Check("data", "fail", str(error), "mend what it names")
    if found is not None:
        size = sum(file.stat().st_size for file in found.iterdir() if file.is_file())
        return Check("data", "ok", f"{found}: {data.format} files are there, {size / 2**20:,.1f} MiB in the folder")
    expects = data.files.get("interactions") or READERS[data.format].expects
    if data.url is not None:
        return Check("data", "ok", f"{folder}: empty, the first night downloads {data.url}")
    state = "not among its files" if folder.is_dir() else "there is no such folder"
    step = f"put the files there, or let `loregraph init {folder}` look at what is there"
    return Check("data", "fail", f"{folder}: {expects}: {state}", step)


def check_ledger(run: Run) -> Check:
    """Whether every page of the ledger can be read; nothing is written."""
    if run.llm.ledger:
        return _database(run.llm.ledger)
    file = work_folder(run) / "ledger.sqlite"
    if not file.exists():
        return Check("ledger", "ok", f"{file}: not there yet, the first question makes it")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as connection:
            said = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            answers = int(connection.execute("SELECT count(*) FROM responses").fetchone()[0]) if said == "ok" else 0
    except sqlite3.Error as error:
        said = str(error)
    if said == "ok":
        return Check("ledger", "ok", f"{file}: whole, {answers:,} answers")
    step = f"run: loregraph salvage --run {run.file}, which keeps every answer that can still be read"
    return Check("ledger", "fail", f"{file}: {said}", step)


def check_nights(run: Run) -> list[Check]:
    """The last night and what is live."""
    step = f"run: loregraph night --run {run.file}"
    if not list(work_folder(run).glob("nights/*/steps/split.json")):
        return [Check("last night", "ok", f"none yet; {step}")]
    night = last_night(run)
    reports = [work_folder(run) / "nights" / night / name for name in ("report.html", "report.json")]
    done = any(report.exists() for report in reports)
    first = (
        Check("last night", "ok", f"{night}, with its report")
        if done
        else Check(
            "last night",
            "warn",
            f"{night} has no report: it is under way, or it stopped",
            f"{step} --ds {night} goes on",
        )
    )
    return [first, _guarded("release", lambda: _release(run), step)]


def _release(run: Run) -> Check:
    from features.feature_store import FeatureStore

    live = FeatureStore(run.lake).latest().release
    return Check("release", "ok", f"{live.number} is live, of the night {live.ds}")


def _guarded(name: str, check: Callable[[], Check], step: str) -> Check:
    try:
        return check()
    except StoreError as error:
        return Check(name, "warn", str(error), step)


def _database(address: str) -> Check:
    from language_models.ledger.address import Address

    try:
        parsed = Address.parse(address)
    except LoregraphError as error:
        return Check("ledger", "fail", str(error), "mend llm.ledger")
    try:
        import psycopg
    except ImportError:
        return Check("ledger", "fail", f"{parsed.shown}: no driver", "run: pip install 'loregraph[postgres]'")
    try:
        with psycopg.connect(parsed.full, connect_timeout=5) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        found = f"{parsed.shown}: {parsed.scrub(str(error)).splitlines()[0]}"
        return Check("ledger", "fail", found, "is the database running, and are user and password right?")
    return Check("ledger", "ok", f"{parsed.shown}: reached")
