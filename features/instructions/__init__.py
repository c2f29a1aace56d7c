"""Builders of instructions by the name that a run file gives them: the examples that papers tune language models on."""

from __future__ import annotations

from features.instructions.base import KEYS, Builder
from features.instructions.bigrec import Bigrec
from features.instructions.instructrec import Instructrec
from features.instructions.lc_rec import LcRec
from features.instructions.llamarec import Llamarec
from features.instructions.llara import Llara
from features.instructions.rella import Rella
from features.instructions.s_dpo import SDpo
from features.instructions.sources import Sources
from features.instructions.tallrec import Tallrec
from schemas.sections import Instructions

INSTRUCTIONS: dict[str, type[Builder]] = {
    "tallrec": Tallrec,
    "rella": Rella,
    "instructrec": Instructrec,
    "lc_rec": LcRec,
    "llamarec": Llamarec,
    "llara": Llara,
    "bigrec": Bigrec,
    "s_dpo": SDpo,
}

__all__ = ["INSTRUCTIONS", "KEYS", "Builder", "Sources", "make_builder"]


def make_builder(config: Instructions) -> Builder:
    """The builder that an entry of [[instructions]] names, with its options."""
    return INSTRUCTIONS[config.builder](**config.options)
