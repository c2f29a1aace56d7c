"""A text-aware graph filter of our own: the collaborative kernel of GF-CF blended with a kernel of nearest texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy.sparse import csr_matrix

from features.corpus import Corpus, Part
from features.table import FeatureSet, FeatureTable
from graph_models.options import Positive, Size
from recommenders.gf_cf import SPACE, Alpha, Rank, low_pass
from recommenders.item_kernel import Float32, ItemKernel, Kernel, compact
from recommenders.item_knn import InPower, OutPower, UserPower, co_occurrence
from recommenders.text_kernel import behavioural, factors, text_kernel
from schemas.errors import ConfigError, DataError
from schemas.run import Run
from schemas.sections import Model

SAMPLE = 512  # users on whom the scale of profiles is measured


class LoreFilter(ItemKernel):
    """K = C + text s T, and profile t of what a user's own text says; s and t bring both to the size of C.

    C is the kernel of `gf_cf` with the same options. T are the `text_neighbours` nearest texts of every item, cosines
    to the power `text_power`; `text_map` compares them as they are (`plain`) or through a ridge map from text to the
    collaborative space that is fitted on train alone (`ridge`): an item that nobody has stands where its text says.
    A row of T sums to what one of C does, on average, so `text` is a share whatever the data. With `profile` above 0
    users' own texts, mapped in the same way to the space of users, score the items too, and serve users without
    history.
    """

    name: ClassVar[str] = "lore_filter"
    source: ClassVar[str] = "our own: GF-CF (arXiv 2108.07567) and nearest texts in one kernel"
    reads_text: ClassVar[bool] = True
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        **SPACE,
        "text": (0.0, 0.05, 0.1, 0.2, 0.3),
        "text_power": (1.0, 2.0, 4.0),
        "text_neighbours": (50, 100, 200),
        "text_map": ("plain", "ridge"),
    }

    def __init__(  # noqa: PLR0913 -- the options of a run file
        self,
        *,
        user_power: UserPower = 0.5,
        in_power: InPower = 0.5,
        out_power: OutPower = 0.5,
        alpha: Alpha = 0.3,
        rank: Rank = 64,
        text: Annotated[float, Field(ge=0, description="share of the text kernel beside the collaborative one")] = 0.1,
        text_power: Annotated[Positive, Field(description="cosines of texts are taken to this power")] = 4.0,
        text_neighbours: Annotated[Size, Field(description="nearest texts kept of every item")] = 100,
        text_map: Annotated[
            Literal["plain", "ridge"], Field(description="texts as they are, or through a map learned from train")
        ] = "plain",
        ridge: Annotated[Positive, Field(description="of that map")] = 3.0,
        profile: Annotated[float, Field(ge=0, description="share of users' own texts")] = 0.0,
    ) -> None:
        self.powers, self.alpha, self.rank, self.text = (user_power, in_power, out_power), alpha, rank, text
        self.text_power, self.text_neighbours, self.text_map = text_power, text_neighbours, text_map
        self.ridge, self.profile = ridge, profile

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        super().check(model, run)
        if model.features is None or model.features.item is None:
            raise ConfigError(f"{run.file}: models.{model.name}: lore_filter reads text; add [models.features]")

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        if features.item is None:
            raise DataError("lore_filter: features: expected item text, found none")
        linear = co_occurrence(corpus.train, *self.powers)
        blended = linear + self._text(features.item, corpus.train, linear) if self.text else linear
        kernel = Kernel(compact(blended), low_pass(corpus.train, self.rank, self.alpha))
        self.serve(corpus, kernel)
        if self.profile and features.user is not None:
            self.serve(corpus, Kernel(kernel.matrix, kernel.low_rank, self._profiles(features.user, corpus)))

    def _text(self, items: FeatureTable, train: Part, linear: csr_matrix) -> csr_matrix:
        table = behavioural(items, train, "item", self.ridge) if self.text_map == "ridge" else items
        kernel = text_kernel(table, self.text_power, self.text_neighbours)
        ours, theirs = linear.sum() / len(items.x), kernel.sum() / max(int(items.present.sum()), 1)
        return kernel * np.float32(self.text * ours / max(float(theirs), 1e-12))

    def _profiles(self, users: FeatureTable, corpus: Corpus) -> tuple[Float32, Float32]:
        """User text in the space of users, times item factors, at the size of the scores that are served already."""
        table = behavioural(users, corpus.train, "user", self.ridge)
        item = factors(corpus.train, table.x.shape[1])["item"].T.astype(np.float32)  # [k, I]
        some = np.flatnonzero(table.present & (corpus.train.user_degree > 0))[:SAMPLE]
        ours, theirs = self.state.kernel.scores(self.state.history[some], some), table.x[some] @ item
        scale = np.std(ours) / max(float(np.std(theirs)), 1e-12) if len(some) else 1.0
        return table.x * np.float32(self.profile * scale), item
