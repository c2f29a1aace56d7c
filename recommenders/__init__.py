"""Recommenders by the name that a run file gives them, and how to check, make and load one."""

from __future__ import annotations

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from graph_models.curve import Progress
from recommenders.base import Recommender
from recommenders.cold_items import check_cold_items
from recommenders.ease import EASE
from recommenders.gf_cf import GFCF
from recommenders.graph import Graph
from recommenders.hstu import HSTU
from recommenders.item_knn import ItemKNN
from recommenders.lore_filter import LoreFilter
from recommenders.most_recent import MostRecent
from recommenders.popularity import Popularity
from recommenders.prompted.llm_listwise import LLMListwise
from recommenders.prompted.llm_pointwise import LLMPointwise
from recommenders.prompted.llmrank import LLMRank
from recommenders.prompted.zero_shot_crs import ZeroShotCRS
from recommenders.pure_svd import PureSVD
from recommenders.sasrec import SASRec
from recommenders.text_knn import TextKNN
from recommenders.text_match import TextMatch
from recommenders.tiger import Tiger
from recommenders.transfer import Transfer
from recommenders.tuned.a_llmrec import ALLMRec
from recommenders.tuned.bigrec import BIGRec
from recommenders.tuned.collm import CoLLM
from recommenders.tuned.lc_rec import LCRec
from recommenders.tuned.llamarec import LlamaRec
from recommenders.tuned.llara import LLaRA
from recommenders.tuned.rella import ReLLa
from recommenders.tuned.s_dpo import SDPO
from recommenders.tuned.tallrec import TALLRec
from schemas.errors import ConfigError, StoreError, unknown_name
from schemas.run import Run
from schemas.sections import Model

# what loading raises for files that are damaged or were never ours; RecursionError is a RuntimeError
UNREADABLE = (SafetensorError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError)
RECOMMENDERS: dict[str, type[Recommender]] = {
    "a_llmrec": ALLMRec,
    "bigrec": BIGRec,
    "collm": CoLLM,
    "ease": EASE,
    "gf_cf": GFCF,
    "graph": Graph,
    "hstu": HSTU,
    "item_knn": ItemKNN,
    "lc_rec": LCRec,
    "llamarec": LlamaRec,
    "llara": LLaRA,
    "llm_listwise": LLMListwise,
    "llm_pointwise": LLMPointwise,
    "llmrank": LLMRank,
    "lore_filter": LoreFilter,
    "most_recent": MostRecent,
    "popularity": Popularity,
    "pure_svd": PureSVD,
    "rella": ReLLa,
    "s_dpo": SDPO,
    "sasrec": SASRec,
    "tallrec": TALLRec,
    "text_knn": TextKNN,
    "text_match": TextMatch,
    "tiger": Tiger,
    "transfer": Transfer,
    "zero_shot_crs": ZeroShotCRS,
}


def check_model(model: Model, run: Run) -> None:
    """Refuse a model that could not be made, without making it. Raises ConfigError naming file, key and known names."""
    where = f"{run.file}: models.{model.name}"
    if model.recommender not in RECOMMENDERS:
        raise ConfigError(unknown_name(f"{where}.recommender", model.recommender, RECOMMENDERS))
    read = model.features
    changed = read and (read.item or read.edges or read.semantic_ids or read.user_profile or read.item_profile)
    if model.control != "none" and not changed:
        raise ConfigError(
            f"{where}.control: {model.control} changes texts, edges and codes; add [models.features] or remove it"
        )
    check_cold_items(model, run, RECOMMENDERS[model.recommender].places_cold_items)
    RECOMMENDERS[model.recommender].check(model, run)


def make_recommender(
    model: Model, run: Run, seed: int, folder: Path | None = None, progress: Progress | None = None
) -> Recommender:
    """Make the untrained recommender of one model and seed.

    `folder` keeps its checkpoint (none without it); `progress` is called after each epoch of training. Raises
    ConfigError as `check_model` does.
    """
    check_model(model, run)
    return RECOMMENDERS[model.recommender].make(model, run, seed, folder, progress)


def load_recommender(folder: Path) -> Recommender:
    """Load what `save` wrote, whichever recommender it was. Raises StoreError where there is none that can be read.

    A folder is data: no code of it is run, whoever has written it.
    """
    file = folder / "recommender.json"
    try:
        name = str(json.loads(file.read_text())["recommender"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{file}: no saved recommender here ({error}); run `loregraph train` first") from None
    if name not in RECOMMENDERS:
        raise StoreError(unknown_name(f"{file}: recommender", name, RECOMMENDERS))
    try:
        return RECOMMENDERS[name].load(folder)
    except UNREADABLE as error:
        said = f"{type(error).__name__}: {(str(error).strip() or 'no reason').splitlines()[0][:200]}"
        raise StoreError(
            f"{_damaged(folder)}: cannot be read as a saved {name} ({said}); move the folder away and run `loregraph "
            "train` again"
        ) from None


def _damaged(folder: Path) -> Path:
    """The first file of tensors that cannot be opened, else the folder."""
    for file in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(file, framework="np"):
                pass
        except (SafetensorError, OSError):
            return file
    return folder
