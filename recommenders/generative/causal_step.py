"""A causal language model as what a beam search asks: the logits of the next token after every beam."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from language_models.tuning.batches import Text
from language_models.tuning.model import TunableModel
from language_models.tuning.prefixes import keys, shared_prefix
from language_models.tuning.reading import Read, read


class CausalStep:
    """Reads prompts once, then one token of every beam at a time; keys and values of beams are kept between calls.

    Codes are token ids, and the softmax is over the whole vocabulary.
    """

    def __init__(self, model: TunableModel, prompts: Sequence[Text]) -> None:
        self.model, self.prompts = model, prompts
        self.state: Read | None = None
        self.row = torch.empty(0)  # int64 [B, W] of every beam in the state; anything for those that have ended

    def __call__(self, parent: Tensor, code: Tensor) -> Tensor:
        """Logits [B, W, V] of what follows beams [B, W]; see `beam_search.Step`. Beams that have ended are not read."""
        if self.state is None:
            logits, self.state = self._begin()
            self.row = torch.arange(len(code), device=code.device)[:, None]
            return logits[:, None]
        goes_on = code >= 0
        texts = [Text((token,)) for token in code[goes_on].tolist()]
        rows = self.row.gather(1, parent)[goes_on]
        read_on, self.state = read(self.model, texts, [None] * len(texts), self.state.rows(rows))
        self.row = torch.zeros_like(code)
        self.row[goes_on] = torch.arange(len(texts), device=code.device)
        logits = read_on.new_zeros((*code.shape, read_on.shape[1]))
        logits[goes_on] = read_on
        return logits

    def _begin(self) -> tuple[Tensor, Read | None]:
        """Read what all prompts begin with once, then the rest of each."""
        none: list[Tensor | None] = [None] * len(self.prompts)
        root = shared_prefix(keys(self.prompts, none))
        if not root:
            return read(self.model, self.prompts, none)
        _, first = read(self.model, [self.prompts[0].part(0, root)], [None], asked="nothing")
        assert first is not None, "it was asked for"
        shared = first.rows(torch.zeros(len(self.prompts), dtype=torch.long, device=first.mask.device))
        return read(self.model, [prompt.part(root) for prompt in self.prompts], none, shared)
