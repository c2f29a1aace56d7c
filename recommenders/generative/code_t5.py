"""T5's encoder and decoder over codes of items, with a head for every level (TIGER, arXiv 2305.05065)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from features.codes import END
from recommenders.generative.code_tokens import CODES, PAD

STD = 0.02


@dataclass(frozen=True)
class Read:
    """Histories as the encoder gives them."""

    state: Tensor  # float32 [B, n, dim]
    real: Tensor  # bool [B, n] where there is a token


class CodeT5(nn.Module):
    """`layers` blocks of transformers' T5 on either side; one embedding of all codes, a linear head for each level."""

    def __init__(
        self, sizes: tuple[int, ...], dim: int, inner: int, heads: int, head_dim: int, layers: int, dropout: float
    ) -> None:
        from transformers import T5Config  # takes seconds, and only this model needs it
        from transformers.models.t5.modeling_t5 import T5Stack

        super().__init__()
        self.sizes = sizes
        self.tokens = CODES + sum(sizes)
        shape = {"d_model": dim, "d_ff": inner, "num_heads": heads, "d_kv": head_dim, "num_layers": layers}
        self.encoder, self.decoder = (
            T5Stack(
                T5Config(
                    vocab_size=1, dropout_rate=dropout, is_decoder=side, use_cache=False, eos_token_id=None, **shape
                )
            )
            for side in (False, True)
        )
        for side in (self.encoder, self.decoder):
            side.set_input_embeddings(None)  # both are given vectors
        self.embedding = nn.Embedding(self.tokens, dim)
        nn.init.normal_(self.embedding.weight, std=STD)
        self.heads = nn.ModuleList(nn.Linear(dim, size, bias=False) for size in sizes)
        offset = torch.tensor([CODES, *sizes]).cumsum(0)[: len(sizes)]
        self.register_buffer("offset", offset, persistent=False)

    offset: Tensor  # int64 [L] token of each level's code 0

    def read(self, token: Tensor) -> Read:
        """Encode histories: token int64 [B, n, m], padded on the left; the vectors of m tokens are added up."""
        real = token != PAD
        x = (self.embedding(token) * real[..., None]).sum(dim=2)  # [B, n, dim]
        real = real.any(dim=2)
        return Read(self.encoder(inputs_embeds=x, attention_mask=real.long()).last_hidden_state, real)

    def forced(self, read: Read, codes: Tensor) -> list[Tensor]:
        """Logits of every level [B, V_l] given the codes before it: codes int64 [B, L], ending where -1 begins."""
        token = (codes[:, :-1] + self.offset[:-1]).masked_fill(codes[:, :-1] < 0, PAD)
        token = F.pad(token, (1, 0), value=PAD)  # begins
        found = self.decoder(
            inputs_embeds=self.embedding(token),
            encoder_hidden_states=read.state,
            encoder_attention_mask=read.real.long(),
            use_cache=False,
        ).last_hidden_state  # [B, L, dim]
        return [head(found[:, level]) for level, head in enumerate(self.heads)]

    def forced_all(self, read: Read, codes: Tensor) -> list[Tensor]:
        """The same of every user with every tuple codes [N, L]: logits [B, N, V_l]."""
        users, tuples = len(read.state), len(codes)
        each = Read(*(x.repeat_interleave(tuples, dim=0) for x in (read.state, read.real)))
        return [logits.view(users, tuples, -1) for logits in self.forced(each, codes.repeat(users, 1))]

    def loss(self, token: Tensor, codes: Tensor, tau: float) -> Tensor:
        """Mean cross-entropy of all codes of the next items [B, L], of logits divided by tau (LETTER's temperature)."""
        logits = self.forced(self.read(token), codes)
        pairs = zip(logits, codes.T, strict=True)
        lost = [F.cross_entropy(x / tau, code, ignore_index=END, reduction="sum") for x, code in pairs]
        return torch.stack(lost).sum() / (codes != END).sum()
