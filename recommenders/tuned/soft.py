"""The base of those that read vectors of users and items beside the titles."""

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import Field
from torch import Tensor, nn

from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.curve import Progress
from language_models.tuning.soft_tokens import Activation
from recommenders.base import InnerProduct, Recommender
from recommenders.reranking import RETRIEVER, Float32
from recommenders.tuned.base import TunedReranker
from recommenders.tuned.vectors import WithVectors, own_vectors
from schemas.errors import ConfigError, unknown_name
from schemas.run import Run
from schemas.sections import Model

VECTORS = RETRIEVER  # the default
Vectors = Annotated[str, Field(description="whose vectors are read: a model of the run, or a recommender by name")]


class SoftReranker(TunedReranker):
    """`vectors` names the recommender whose vectors are read: a model of the run, or one without settings."""

    needs: ClassVar[tuple[str, ...]] = (*TunedReranker.needs, "inputs_embeds")
    activation: ClassVar[Activation] = "gelu"
    kinds: ClassVar[tuple[str, ...]] = ("item",)  # whose vectors are read
    vectors: Recommender | None = None
    vectors_model: Model

    @classmethod
    def parts_of(cls, model: Model, run: Run) -> dict[str, Model]:
        return {**super().parts_of(model, run), "vectors": cls.vectors_of(model, run)}

    @classmethod
    def vectors_of(cls, model: Model, run: Run) -> Model:
        name = str(model.options.get("vectors", VECTORS))
        known = {each.name: each for each in run.models if each.name != model.name}
        return known.get(name) or Model(name=name, recommender=name, features=model.features)

    @classmethod
    def check_parts(cls, model: Model, run: Run, where: str) -> None:
        from recommenders import RECOMMENDERS  # the registry knows this file

        super().check_parts(model, run, where)
        given = cls.vectors_of(model, run)
        able = [name for name, each in RECOMMENDERS.items() if issubclass(each, InnerProduct) and each.compares]
        if given.recommender not in able:
            known = [each.name for each in run.models if each.recommender in able]
            raise ConfigError(
                unknown_name(f"{where}.options.vectors: recommender with vectors", given.name, known or able)
            )

    @classmethod
    def make(cls, model: Model, run: Run, seed: int, folder: Path | None, progress: Progress | None) -> Self:
        made = super().make(model, run, seed, folder, progress)
        made.vectors_model = cls.vectors_of(model, run)
        return made

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        from recommenders import make_recommender  # the registry knows this file

        if self.vectors is None:
            self.vectors = make_recommender(self.vectors_model, self.run, self.settings.seed)
            self.vectors.fit(corpus, features)
        super().fit(corpus, features)

    def open(self, corpus: Corpus, features: FeatureSet) -> nn.Module:
        del corpus, features
        user, item = own_vectors(self.vectors, f"{self.name}: vectors")
        return self._network({name: table for name, table in (("user", user), ("item", item)) if name in self.kinds})

    def reopened(self, state: dict[str, Tensor]) -> nn.Module:
        return self._network({kind: state[kind].numpy() for kind in self.kinds})

    def hidden(self, dim: int) -> int | None:
        """Width of the projector's hidden layer; None for that of the language model."""
        del dim
        return None

    def _network(self, tables: dict[str, Float32]) -> WithVectors:
        dim = next(iter(tables.values())).shape[1]
        return WithVectors(self.open_model(), tables, self.hidden(dim), self.activation)
