"""RQ-VAE: an autoencoder of text vectors whose middle is quantised level by level (TIGER)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from features.quantiser import BLOCK, Codebooks
from features.tokenizers.base import Codes, Count, Float32, Levels, Rate, Seed, TokenInputs, Weight
from features.tokenizers.residual import ResidualTokenizer
from features.tokenizers.ties import Ties
from schemas.errors import DataError

if TYPE_CHECKING:
    from features.tokenizers.vae_training import Terms, VaeTraining

Hidden = Annotated[list[int], Field(min_length=1, description="widths of the encoder; the decoder has them reversed")]
LatentDim = Annotated[Count, Field(description="columns of what is quantised")]
Commitment = Annotated[Weight, Field(description="weight of keeping a residual near its code")]
SinkhornEpsilon = Annotated[
    Weight, Field(description="epsilon of the balanced assignment on the last level in training; 0: nearest codes")
]
Epochs = Annotated[Count, Field(description="of training")]
BatchSize = Annotated[Count, Field(description="items of a batch")]
LearningRate = Annotated[Rate, Field(description="of AdamW")]
WeightDecay = Annotated[Weight, Field(description="decoupled, of AdamW")]
HIDDEN = (256, 128, 64)


class RqVae(ResidualTokenizer):
    """z = Enc(x); c_l = argmin_k |r_(l-1) - C_l[k]|, e_l = C_l[c_l], r_l = r_(l-1) - sg(e_l); x^ = Dec(sum_l e_l).

    L = |x - x^|^2 + sum_l |sg(r_(l-1)) - e_l|^2 + commitment |r_(l-1) - sg(e_l)|^2, all means over dimensions, with
    r_0 = z; the decoder's gradient goes straight through to z. x is centred, and scaled to a variance of 1. Codebooks
    start as k-means, codes that an epoch does not use start again; `sinkhorn` > 0 is the epsilon of a balanced
    assignment on the last level while training (LETTER's is 0.003).
    """

    source: ClassVar[str] = "Rajput et al., NeurIPS 2023 (TIGER), arXiv 2305.05065, section 3.1"

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        *,
        levels: Levels = 3,
        size: Codes = 256,
        dim: LatentDim = 32,
        hidden: Hidden = list(HIDDEN),  # noqa: B006 -- never changed
        commitment: Commitment = 0.25,
        sinkhorn: SinkhornEpsilon = 0.0,
        epochs: Epochs = 200,
        batch_size: BatchSize = 1024,
        learning_rate: LearningRate = 1e-3,
        weight_decay: WeightDecay = 1e-4,
        seed: Seed = 0,
        ties: Ties = "extra",
    ) -> None:
        super().__init__()
        self.levels, self.size, self.dim, self.hidden = levels, size, dim, tuple(hidden)
        self.commitment, self.sinkhorn, self.epochs, self.batch_size = commitment, sinkhorn, epochs, batch_size
        self.learning_rate, self.weight_decay, self.seed, self.ties = learning_rate, weight_decay, seed, ties

    @property
    def training(self) -> VaeTraining:
        """What the trainer wants to know."""
        from features.tokenizers.vae_training import VaeTraining

        return VaeTraining(
            hidden=self.hidden,
            dim=self.dim,
            levels=self.levels,
            size=self.size,
            commitment=self.commitment,
            epsilon=self.sinkhorn,
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            seed=self.seed,
        )

    def latent(self, x: Float32) -> Float32:
        """Products of one shape, whatever N: a row's code must not depend on the rows that come with it."""
        z = np.empty((len(x), self.dim), dtype=np.float32)
        for start in range(0, len(x), BLOCK):
            rows = (x[start : start + BLOCK] - self.arrays["shift"]) / self.arrays["scale"]
            block = np.zeros((BLOCK, x.shape[1]), dtype=np.float32)
            block[: len(rows)] = rows
            for layer in range(len(self.hidden) + 1):
                block = block if layer == 0 else np.maximum(block, 0)
                block = block @ self.arrays[f"weight.{layer}"].T + self.arrays[f"bias.{layer}"]
            z[start : start + BLOCK] = block[: len(rows)]
        return z

    def _fit(self, inputs: TokenInputs) -> None:
        from features.tokenizers.vae_training import train_vae

        x = inputs.x[inputs.present]
        shift = x.mean(axis=0, dtype=np.float64).astype(np.float32)
        scale = np.float32(max(float((x - shift).std(dtype=np.float64)), 1e-12))
        model = train_vae((x - shift) / scale, self.training, self._terms(inputs))
        self.arrays |= {"shift": shift, "scale": np.array([scale])}
        state = {name: tensor.numpy() for name, tensor in model.encoder.state_dict().items()}
        for layer in range(len(self.hidden) + 1):  # every other module is a ReLU
            self.arrays[f"weight.{layer}"] = state[f"{2 * layer}.weight"]
            self.arrays[f"bias.{layer}"] = state[f"{2 * layer}.bias"]
        if not all(np.isfinite(array).all() for array in (*state.values(), model.books.detach().numpy())):
            raise DataError(f"{type(self).__name__}: training has diverged; lower learning_rate")
        centres = tuple(model.books.detach().numpy())
        self.keep_books(Codebooks(np.zeros(self.dim, dtype=np.float32), centres), self.latent(x).mean(axis=0))

    def _terms(self, inputs: TokenInputs) -> Terms:
        """The loss of a batch."""
        del inputs  # for LETTER's
        from features.tokenizers.vae_training import Terms

        return Terms()
