"""LETTER: RQ-VAE whose codes also know who reads what, and spread over their codebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from features.tokenizers.base import Codes, Count, Levels, Seed, TokenInputs, Weight
from features.tokenizers.rq_vae import (
    HIDDEN,
    BatchSize,
    Commitment,
    Epochs,
    Hidden,
    LatentDim,
    LearningRate,
    RqVae,
    SinkhornEpsilon,
    WeightDecay,
)
from features.tokenizers.ties import Ties
from schemas.errors import DataError

if TYPE_CHECKING:
    from features.tokenizers.vae_training import Terms


class Letter(RqVae):
    """L = |x - x^|^2 + mean_l (L_rq,l + diversity L_div,l) + collaborative L_CF.

    L_CF contrasts a quantised vector with the collaborative vectors of its batch; L_div pulls a code to the codes of
    its cluster and away from the others. As published the last level is assigned evenly by Sinkhorn, and items that
    share their codes are spread over it; there is no further code.
    """

    source: ClassVar[str] = "Wang et al., CIKM 2024 (LETTER), arXiv 2405.07314"
    reads_train: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        *,
        levels: Levels = 4,
        size: Codes = 256,
        dim: LatentDim = 32,
        hidden: Hidden = list(HIDDEN),  # noqa: B006 -- never changed
        commitment: Commitment = 0.25,
        collaborative: Annotated[Weight, Field(description="weight of the term that knows who reads what")] = 0.02,
        diversity: Annotated[Weight, Field(description="weight of spreading the codes of a level")] = 1e-4,
        clusters: Annotated[Count, Field(description="groups of a level's codes that the diversity term knows")] = 10,
        sinkhorn: SinkhornEpsilon = 0.003,
        epochs: Epochs = 100,
        batch_size: BatchSize = 1024,
        learning_rate: LearningRate = 1e-3,
        weight_decay: WeightDecay = 1e-4,
        seed: Seed = 0,
        ties: Ties = "sinkhorn",
    ) -> None:
        super().__init__(
            levels=levels,
            size=size,
            dim=dim,
            hidden=hidden,
            commitment=commitment,
            sinkhorn=sinkhorn,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            seed=seed,
            ties=ties,
        )
        self.alignment, self.diversity, self.clusters = collaborative, diversity, clusters

    @property
    def collaborative(self) -> int | None:
        return self.dim

    def _terms(self, inputs: TokenInputs) -> Terms:
        from features.tokenizers.letter_terms import LetterTerms

        vectors = inputs.collaborative
        if vectors is None or vectors.shape[1] != self.dim:
            found = "none" if vectors is None else str(vectors.shape[1])
            raise DataError(f"letter: expected collaborative vectors of {self.dim} dimensions, found {found}")
        return LetterTerms(vectors[inputs.present], self.alignment, self.diversity, self.clusters, self.seed)
