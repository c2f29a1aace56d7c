"""Tokenizers by the name that a run file gives them: how an item becomes a short tuple of codes."""

from __future__ import annotations

from features.tokenizers.base import TokenInputs, Tokenizer
from features.tokenizers.letter import Letter
from features.tokenizers.lsh import Lsh
from features.tokenizers.p5_collaborative import P5Collaborative
from features.tokenizers.p5_hybrid import P5Hybrid
from features.tokenizers.p5_independent import P5Independent
from features.tokenizers.p5_semantic import P5Semantic
from features.tokenizers.p5_sequential import P5Sequential
from features.tokenizers.p5_title import P5Title
from features.tokenizers.pq import ProductQuantiser
from features.tokenizers.random_codes import RandomCodes
from features.tokenizers.rq_kmeans import RqKMeans
from features.tokenizers.rq_vae import RqVae
from schemas.sections import SemanticIds

TOKENIZERS: dict[str, type[Tokenizer]] = {
    "rq_kmeans": RqKMeans,
    "rq_vae": RqVae,
    "letter": Letter,
    "pq": ProductQuantiser,
    "lsh": Lsh,
    "random": RandomCodes,
    "p5_title": P5Title,
    "p5_independent": P5Independent,
    "p5_sequential": P5Sequential,
    "p5_collaborative": P5Collaborative,
    "p5_semantic": P5Semantic,
    "p5_hybrid": P5Hybrid,
}

__all__ = ["TOKENIZERS", "TokenInputs", "Tokenizer", "make_tokenizer"]


def make_tokenizer(config: SemanticIds) -> Tokenizer:
    """The unfitted tokenizer that an entry of [[semantic_ids]] names."""
    return TOKENIZERS[config.tokenizer](**config.options)
