"""TIGER: a T5 reads the codes of a history and generates those of the next item (arXiv 2305.05065)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor

from evaluation.ranking import chunks, entries, join, top_k
from evaluation.recommendations import Recommendations
from graph_models.options import Dropout, Positive, Size
from recommenders.generative.beam_search import Beams, Search, Seen
from recommenders.generative.code_t5 import CodeT5, Read
from recommenders.generative.code_t5_step import CodeT5Step
from recommenders.generative.code_tokens import CodeTokens
from recommenders.generative.d3 import Alpha, Assistant, ItemMass, TextFree
from recommenders.generative.exact_likelihood import log_likelihood
from recommenders.generative.trie import Trie
from recommenders.histories import Histories
from recommenders.sequential.item_network import MaxLength
from recommenders.sequential.sequences import Catalogue, Int64, Network, Sequential
from schemas.errors import ConfigError, DataError
from schemas.run import Run
from schemas.sections import Model

USERS_AT_ONCE = {"cpu": 32}  # what fits its caches; 512 elsewhere
TUPLES_AT_ONCE = 2**12  # of all users, by teacher forcing


@dataclass(frozen=True)
class NextCodes:
    """Histories as tokens, and the codes of what follows them."""

    token: Tensor  # int64 [B, n, m], padded on the left
    codes: Tensor  # int64 [B, L]; -1 after the end of a tuple


class TigerNetwork(Network):
    """The next item's codes one after another, each given the history and the codes before it.

    Every item of a history but the first is learned from what came before it. The encoder reads code after code or,
    with history = items, item after item: the sum of its codes' vectors, which costs a fraction. `tau` divides the
    logits in the loss (LETTER, arXiv 2405.07314). `search` is beam, where `beam` tuples are kept after each code, or as
    many as are asked for; or exact, the likelihood of every item, for small catalogues. Scores are log probabilities of
    tuples, with `renormalise` among those that exist. An `assistant` has the share 1 - `alpha` in them (D3).
    """

    needs_codes: ClassVar[bool] = True

    def __init__(  # noqa: PLR0913 -- the options of the run file
        self,
        catalogue: Catalogue,
        *,
        dim: Annotated[Size, Field(description="columns of a code's vector")] = 128,
        inner: Annotated[Size, Field(description="hidden width of a layer's feed-forward part")] = 512,
        heads: Annotated[Size, Field(description="of the attention")] = 4,
        head_dim: Annotated[Size, Field(description="columns of a head")] = 32,
        layers: Annotated[Size, Field(description="of the encoder, and as many of the decoder")] = 2,
        dropout: Dropout = 0.1,
        max_length: MaxLength = 20,
        history: Annotated[
            Literal["codes", "items"],
            Field(description="a token for each code, or one for each item, at a fraction of the work"),
        ] = "codes",
        separator: Annotated[bool, Field(description="a token between two items; only of history = codes")] = False,
        tau: Annotated[Positive, Field(description="what logits are divided by in the loss (LETTER)")] = 1.0,
        beam: Annotated[Size, Field(description="tuples kept after each code, or as many as are asked for")] = 50,
        search: Annotated[
            Literal["beam", "exact"], Field(description="exact scores every item: for small catalogues")
        ] = "beam",
        renormalise: Annotated[bool, Field(description="probabilities among the tuples that exist")] = False,
        assistant: Assistant = "none",
        alpha: Alpha = 0.5,
    ) -> None:
        super().__init__()
        if catalogue.codes is None:
            raise DataError("items: expected codes (features.semantic_ids), found none")
        self.num_items, self.max_length, self.tau = catalogue.num_items, max_length, tau
        self.beam, self.search, self.renormalise, self.alpha = beam, search, renormalise, alpha
        self.whole = history == "items"
        self.codes = CodeTokens.of(catalogue.codes, separator)
        self.model = CodeT5(self.codes.sizes, dim, inner, heads, head_dim, layers, dropout)
        self.trie = Trie.of(self.codes.codes)
        self.mass = None if assistant == "none" else ItemMass(assistant, self.num_items)

    def learn(self, histories: Histories) -> None:
        if self.mass is not None:
            self.mass.learn(histories)

    def samples(self, histories: Histories) -> Int64:
        """Places of all items but the first of every user."""
        first = histories.indptr[:-1][histories.length > 0]
        return np.setdiff1d(np.arange(len(histories.item)), first, assume_unique=True).astype(np.int64)

    def lengths(self, histories: Histories, samples: Int64) -> Int64:
        length: Int64 = np.minimum(samples - _begin(histories, samples), self.max_length)
        return length

    def batch(self, histories: Histories, samples: Int64) -> NextCodes:
        longest = int(self.lengths(histories, samples).max())
        item, _ = histories.before(samples, _begin(histories, samples), longest, self.num_items)
        return NextCodes(self._tokens(item), self._tensor(self.codes.codes[histories.item[samples]]))

    def loss(self, batch: NextCodes) -> Tensor:
        return self.model.loss(batch.token, batch.codes, self.tau)

    def ranked(self, histories: Histories, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        by_length = np.argsort(histories.length[users], kind="stable")  # those of a block are padded to the longest
        blocks = chunks(len(users), USERS_AT_ONCE.get(self.device.type, 512))
        found = join([self._block(histories, users[by_length[rows]], k, seen) for rows in blocks], k)
        place = np.argsort(by_length)
        return Recommendations(found.user[place], found.item[place], found.score[place])

    def _block(self, histories: Histories, users: Int64, k: int, seen: csr_matrix) -> Recommendations:
        longest = int(min(histories.length[users].max(), self.max_length))
        item, _ = histories.last(users, longest, self.num_items)
        read = self.model.read(self._tokens(item))
        mass = None if self.mass is None else self.mass(self._tensor(item), seen, users)
        ranked = self._searched if self.search == "beam" else self._scored
        return ranked(read, users, k, seen, mass)

    def _searched(self, read: Read, users: Int64, k: int, seen: csr_matrix, mass: Tensor | None) -> Recommendations:
        trie = self.trie.to(self.device)
        search = Search(trie, max(self.beam, k), self.renormalise, self.alpha)
        hidden = Seen.of(trie, *(self._tensor(each) for each in entries(seen, users)))
        assistant = None if mass is None else TextFree.of(trie, mass)
        return _recommended(users, trie, search(CodeT5Step(self.model, read), len(users), hidden, assistant), k)

    def _scored(self, read: Read, users: Int64, k: int, seen: csr_matrix, mass: Tensor | None) -> Recommendations:
        at_once = max(TUPLES_AT_ONCE // len(users), 1)
        codes = self._tensor(self.codes.codes)
        scores = log_likelihood(lambda some: self.model.forced_all(read, some), codes, at_once)
        if mass is not None:
            scores = self.alpha * scores + (1 - self.alpha) * (mass / mass.sum(dim=1, keepdim=True)).log()
        return top_k(scores, users, seen, k)

    def _tokens(self, item: Int64) -> Tensor:
        return self._tensor(self.codes.history(item, self.whole))

    def _tensor(self, array: Int64) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


class Tiger(Sequential):
    """Generates the semantic ids of the next item; needs no vector of any item when it serves."""

    name: ClassVar[str] = "tiger"
    source: ClassVar[str] = "Rajput et al., NeurIPS 2023, arXiv 2305.05065"
    network: ClassVar[type[Network]] = TigerNetwork
    space: ClassVar[Mapping[str, Sequence[Any]]] = {
        "dropout": (0.1, 0.2, 0.3),
        "layers": (2, 4),
        "tau": (0.7, 1.0),
    }

    @classmethod
    def check(cls, model: Model, run: Run) -> None:
        super().check(model, run)
        if find_spec("transformers") is None:
            raise ConfigError(
                f"{run.file}: models.{model.name}: no module transformers; run: pip install 'loregraph[text]'"
            )
        where, given = f"{run.file}: models.{model.name}.options", model.options
        if given.get("renormalise") and given.get("search") == "exact":
            raise ConfigError(f"{where}.renormalise: search = 'exact' knows no prefixes; remove one of them")
        if given.get("separator") and given.get("history") == "items":
            raise ConfigError(f"{where}.separator: history = 'items' has nothing to separate; remove one of them")


def _begin(histories: Histories, place: Int64) -> Int64:
    """Where the history begins to which each place belongs."""
    return histories.indptr[np.searchsorted(histories.indptr, place, side="right") - 1]


def _recommended(users: Int64, trie: Trie, beams: Beams, k: int) -> Recommendations:
    """The first k leaves as items: each is one item's."""
    item = trie.item[trie.first[beams.node.clamp(min=0)]].masked_fill(beams.node < 0, -1)[:, :k]
    missing = ((0, 0), (0, k - item.shape[1]))
    columns = np.pad(item.cpu().numpy(), missing, constant_values=-1)
    score = np.pad(beams.score[:, :k].cpu().numpy(), missing, constant_values=-np.inf)
    return Recommendations(users, columns, score)
