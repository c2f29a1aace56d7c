"""The base of tuned language models that write the next item, so that the whole catalogue is ranked."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from evaluation.ranking import chunks, entries, join, top_k
from evaluation.recommendations import Recommendations
from features.corpus import Corpus
from features.table import FeatureSet
from graph_models.options import Size, check_options
from language_models.tuning.batches import Text
from recommenders.base import Recommender, known, popularity
from recommenders.generative.beam_search import Beams, Search, Seen
from recommenders.generative.causal_step import CausalStep
from recommenders.generative.d3 import Alpha, Assistant, AssistantName, ItemMass, TextFree
from recommenders.generative.trie import Trie
from recommenders.histories import Int64
from recommenders.reranking import Float32
from recommenders.tuned.base import Tuned
from recommenders.tuned.lessons import TrainHistories
from recommenders.tuned.options import LanguageModelOptions
from schemas.run import Run
from schemas.sections import Model

FILE = "known.safetensors"
LOGITS_AT_ONCE = 2**26  # of the beams of all users that are searched for together
MOST_USERS = 64


@dataclass(frozen=True, kw_only=True)
class GeneratorOptions(LanguageModelOptions):
    """Those of a search through all that may be written; the assistant counts in every token (D3, arXiv 2406.14900)."""

    beam: Annotated[Size, Field(description="texts kept after each token, or as many as are asked for")] = 20
    assistant: Assistant = "none"
    alpha: Alpha = 0.5


class WithMass(nn.Module):
    """A language model and the assistant of its search; a mass is counted, not trained."""

    def __init__(self, model: nn.Module, assistant: Literal["none"] | AssistantName, num_items: int) -> None:
        super().__init__()
        self.model = model
        self.mass = None if assistant == "none" else ItemMass(assistant, num_items)


class Generator(Tuned):
    """Searches the trie of what stands for the items: every result is an item. Without a history it is popular ones.

    The score is the log-probability of the whole text, the softmax being over the whole vocabulary, without any
    normalisation for length.
    """

    Options: ClassVar[type[LanguageModelOptions]] = GeneratorOptions
    learned: TrainHistories
    popular: Float32
    known: csr_matrix
    network: WithMass
    _trie: Trie | None = None

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        where = f"{run.file}: models.{model.name}"
        check_options(cls.Options, model.options, f"{where}.options")
        cls.check_parts(model, run, where)

    @abstractmethod
    def written(self, item: int) -> tuple[int, ...]:
        """The tokens that stand for an item, with the one that ends them."""

    @abstractmethod
    def prompt(self, user: int, places: Int64) -> Text:
        """What is asked about a user with what is at places of the histories that are served."""

    def fit(self, corpus: Corpus, features: FeatureSet) -> None:
        self.known, self.popular = known(corpus), popularity(corpus.train.item_degree)
        super().fit(corpus, features)

    def open(self, corpus: Corpus, features: FeatureSet) -> WithMass:
        del features
        return self._network(corpus.num_items)

    def reopened(self, state: dict[str, Tensor]) -> WithMass:
        del state
        return self._network(len(self.shown.titles))

    def learn(self, source: TrainHistories, corpus: Corpus) -> None:
        self.learned = source
        if self.network.mass is not None:
            self.network.mass.learn(source.histories)
        super().learn(source, corpus)

    def for_validation(self) -> Recommender:
        self._trie = self.trie  # made once, for both
        return super().for_validation()

    def recommend(self, users: Int64, k: int, seen: csr_matrix | None = None) -> Recommendations:
        seen = self.known if seen is None else seen
        strange = self.serving.length[users] == 0
        size = LOGITS_AT_ONCE // (max(self.options.beam, k) * len(self.model.tokenizer))
        blocks = chunks(int((~strange).sum()), min(max(size, 1), MOST_USERS))
        parts = [self._ranked(users[~strange][rows], k, seen) for rows in blocks]
        parts.append(self._popular(users[strange], k, seen))
        both, place = join(parts, k), np.argsort(np.argsort(strange, kind="stable"), kind="stable")
        return Recommendations(both.user[place], both.item[place], both.score[place])

    def _ranked(self, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        return self.searched(users, k, seen)

    @torch.no_grad()
    def searched(self, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        """The first k items [B, k] of users who have a history, by beam search."""
        trie, device = self.trie, self.settings.device
        prompts = [self.prompt(user, self.latest(self.serving.places(user))) for user in users.tolist()]
        search = Search(trie, max(self.options.beam, k), alpha=self.options.alpha)
        row, item = (torch.from_numpy(each).to(device) for each in entries(seen, users))
        hidden, assistant = Seen.of(trie, row, item), self._assistant(users, seen)
        with self.model.evaluating():
            beams = search(CausalStep(self.model, prompts), len(users), hidden, assistant)
        return listed(users, trie, beams, k, seen)

    def save(self, folder: Path) -> None:
        super().save(folder)
        tensors = {"indptr": self.known.indptr, "indices": self.known.indices, "popular": self.popular}
        save_file(tensors, folder / FILE)

    def restore(self, folder: Path, state: dict[str, Tensor]) -> None:
        arrays = load_file(folder / FILE)
        self.popular = arrays["popular"]
        shape, ones = (len(self.shown.user_ids), len(self.popular)), np.ones(len(arrays["indices"]), dtype=bool)
        self.known = csr_matrix((ones, arrays["indices"], arrays["indptr"]), shape=shape)
        super().restore(folder, state)

    @property
    def trie(self) -> Trie:
        """The trie of what stands for all items, made once."""
        if self._trie is None:
            texts = [self.written(item) for item in range(len(self.shown.titles))]
            codes = np.full((len(texts), max(map(len, texts))), -1, dtype=np.int64)
            for row, text in enumerate(texts):
                codes[row, : len(text)] = text
            self._trie = Trie.of(codes).to(self.settings.device)
        return self._trie

    def _assistant(self, users: Int64, seen: csr_matrix) -> TextFree | None:
        if self.network.mass is None:
            return None
        pad = len(self.popular)
        item, _ = self.serving.last(users, self.options.history, pad)
        mass = self.network.mass(torch.from_numpy(item).to(self.settings.device), seen, users)
        return TextFree.of(self.trie, mass)

    def _popular(self, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        return top_k(torch.from_numpy(np.repeat(self.popular[None], len(users), axis=0)), users, seen, k)

    def _network(self, num_items: int) -> WithMass:
        return WithMass(self.open_model(), self.options.assistant, num_items)


def listed(users: Int64, trie: Trie, beams: Beams, k: int, seen: csr_matrix) -> Recommendations:
    """The items of the leaves that were found: those that one text stands for in row order, seen ones left out."""
    item = np.full((len(users), k), -1, dtype=np.int64)
    score = np.full((len(users), k), -np.inf, dtype=np.float32)
    of, first, last = (each.cpu().numpy() for each in (trie.item, trie.first, trie.last))
    for row, (nodes, values) in enumerate(zip(beams.node.tolist(), beams.score.tolist(), strict=True)):
        own = set(seen.indices[seen.indptr[users[row]] : seen.indptr[users[row] + 1]].tolist())
        pairs = _leaves(nodes, values, of, first, last, own)[:k]
        item[row, : len(pairs)] = [each for each, _ in pairs]
        score[row, : len(pairs)] = [value for _, value in pairs]
    return Recommendations(users, item, score)


def _leaves(
    nodes: Sequence[int], values: Sequence[float], of: Int64, first: Int64, last: Int64, seen: set[int]
) -> list[tuple[int, float]]:
    return [
        (item, value)
        for node, value in zip(nodes, values, strict=True)
        if node >= 0
        for item in sorted(of[first[node] : last[node]].tolist())
        if item not in seen
    ]
