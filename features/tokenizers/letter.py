"""LETTER: RQ-VAE whose codes also know who reads what, and spread over their codebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from features.tokenizers.base import Count, Levels, Rate, Seed, Size, TokenInputs, Weight
from features.tokenizers.rq_vae import HIDDEN, Hidden, RqVae
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
        size: Size = 256,
        dim: Count = 32,
        hidden: Hidden = list(HIDDEN),  # noqa: B006 -- never changed
        commitment: Weight = 0.25,
        collaborative: Weight = 0.02,
        diversity: Weight = 1e-4,
        clusters: Count = 10,
        sinkhorn: Weight = 0.003,
        epochs: Count = 100,
        batch_size: Count = 1024,
        learning_rate: Rate = 1e-3,
        weight_decay: Weight = 1e-4,
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
