"""constrained: our beam search beside transformers' `generate` with a prefix function, on one model, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks.figures import Figure, at_least, at_most, stated
from benchmarks.graph.turns import PAUSE, ratio
from features.codes import ItemCodes
from recommenders.generative.beam_search import Search
from recommenders.generative.code_t5 import CodeT5
from recommenders.generative.code_t5_step import CodeT5Step
from recommenders.generative.code_tokens import CODES, PAD, CodeTokens
from recommenders.generative.trie import Trie

LEVELS, CODES_A_LEVEL, ITEMS = 4, 256, 12_101  # as many as Beauty has
HISTORY, BEAM = 20, 50
SHAPE = {"dim": 128, "inner": 1024, "heads": 6, "head_dim": 64, "layers": 4}  # TIGER's
LEAST_SPEED, LEAST_SAME, MOST_APART = 5.0, 0.999, 1e-3
Told = dict[str, float]
T = TypeVar("T")


@dataclass(frozen=True)
class Found:
    """The first items of some users, and the log probabilities of their codes among the tuples that exist."""

    item: NDArray[np.int64]  # [B, BEAM]
    score: NDArray[np.float32]  # [B, BEAM]


def figures(folder: Path, short: bool) -> list[Figure]:
    """Users per CPU second of ours over that of `generate`, for the same lists; nothing is written to `folder`."""
    del folder
    users, turns = (8, 3) if short else (32, 7)
    tokens = catalogue()
    model = untrained(tokens)
    history = torch.from_numpy(tokens.history(_histories(users), whole=False))
    tasks: dict[str, Ours | Generate] = {"ours": Ours(model, tokens), "generate": Generate(model, tokens)}
    last, told = alternate({name: partial(task, history) for name, task in tasks.items()}, turns)
    found = ratio(told["generate"], told["ours"])
    ours, theirs = last["ours"], last["generate"]
    same = np.mean([len(np.intersect1d(a, b)) / BEAM for a, b in zip(ours.item, theirs.item, strict=True)])
    apart = float(np.abs(ours.score - theirs.score).max())
    shape = ", ".join(f"{name} {size}" for name, size in SHAPE.items())
    about = f"{users} users of {HISTORY} items, {ITEMS:,} items of {LEVELS} codes, beam {BEAM}, {shape}, random weights"
    what = f"users per CPU second, ours / generate, turns {found.low:.2f} to {found.high:.2f}"
    return [
        stated("constrained", "in turns", f"{about}, {torch.get_num_threads()} threads"),
        *(stated("constrained", name, _described(each, users)) for name, each in told.items()),
        at_least("constrained", what, found.median, LEAST_SPEED),
        stated("constrained", "the same in wall time", str(ratio(told["generate"], told["ours"], "seconds"))),
        at_least("constrained", "share of the items of one that the other has", float(same), LEAST_SAME),
        at_most("constrained", "largest difference of log probabilities place by place", apart, MOST_APART),
    ]


class Ours:
    """The search of `tiger`, with the probabilities that `generate` has after renormalisation."""

    def __init__(self, model: CodeT5, tokens: CodeTokens) -> None:
        self.model, self.trie = model, Trie.of(tokens.codes)
        self.search = Search(self.trie, BEAM, renormalise=True)

    @torch.no_grad()
    def __call__(self, token: Tensor) -> Found:
        beams = self.search(CodeT5Step(self.model, self.model.read(token)), len(token))
        return Found(self.trie.item[self.trie.first[beams.node]].numpy(), beams.score.numpy())


class Generate:
    """The same weights as a T5ForConditionalGeneration over one vocabulary: its head is the heads of all levels.

    The prefix function finds what may follow in a dictionary of prefixes, the usual way.
    """

    def __init__(self, model: CodeT5, tokens: CodeTokens) -> None:
        self.model = as_conditional_generation(model)
        self.allowed, self.item = dict[tuple[int, ...], list[int]](), dict[tuple[int, ...], int]()
        for item, row in enumerate(tokens.token[:-1].tolist()):
            self.item[tuple(row)] = item
            for level, token in enumerate(row):
                self.allowed.setdefault(tuple(row[:level]), []).append(token)
        self.allowed = {prefix: sorted(set(after)) for prefix, after in self.allowed.items()}

    @torch.no_grad()
    def __call__(self, token: Tensor) -> Found:
        found = self.model.generate(
            token[..., 0],
            attention_mask=(token[..., 0] != PAD).long(),
            num_beams=BEAM,
            num_return_sequences=BEAM,
            max_new_tokens=LEVELS,
            min_new_tokens=LEVELS,
            do_sample=False,
            length_penalty=0.0,
            renormalize_logits=True,
            prefix_allowed_tokens_fn=lambda _, begun: self.allowed[tuple(begun[1:].tolist())],
            return_dict_in_generate=True,
            output_scores=True,
        )
        rows = found.sequences[:, 1:].tolist()
        item = np.array([self.item[tuple(row)] for row in rows]).reshape(len(token), BEAM)
        return Found(item, found.sequences_scores.view(len(token), BEAM).numpy())


def as_conditional_generation(model: CodeT5) -> Any:
    """Transformers' own model with the weights of ours, in evaluation mode."""
    own = model.encoder.config
    config = T5Config(
        vocab_size=model.tokens,
        d_model=own.d_model,
        d_ff=own.d_ff,
        d_kv=own.d_kv,
        num_heads=own.num_heads,
        num_layers=own.num_layers,
        dropout_rate=0.0,
        pad_token_id=PAD,
        decoder_start_token_id=PAD,
        eos_token_id=None,
        tie_word_embeddings=False,
    )
    config.tie_word_embeddings = False  # the argument of this name leaves them tied, and only stops the scaling
    made = T5ForConditionalGeneration(config)
    sides = {
        f"{side}.{name}": x for side in ("encoder", "decoder") for name, x in getattr(model, side).state_dict().items()
    }
    head = torch.cat([torch.zeros(CODES, own.d_model), *(each.get_parameter("weight") for each in model.heads)])
    embeddings = ("shared", "encoder.embed_tokens", "decoder.embed_tokens")
    tables = {f"{name}.weight": model.embedding.weight for name in embeddings}
    made.load_state_dict({**sides, **tables, "lm_head.weight": head})
    return made.eval()


def catalogue(items: int = ITEMS, seed: int = 0) -> CodeTokens:
    """Distinct random codes, the first of them unevenly used, as a quantiser's are."""
    rng = np.random.default_rng(seed)
    skewed = (CODES_A_LEVEL * rng.random((2 * items, 1)) ** 2).astype(np.int32)
    drawn = np.hstack([skewed, rng.integers(CODES_A_LEVEL, size=(2 * items, LEVELS - 1), dtype=np.int32)])
    codes = rng.permutation(np.unique(drawn, axis=0))[:items]
    return CodeTokens.of(ItemCodes(codes, (CODES_A_LEVEL,) * LEVELS, "made"), separator=False)


def untrained(tokens: CodeTokens, seed: int = 0) -> CodeT5:
    """The model with random weights: how long a search takes does not depend on them."""
    torch.manual_seed(seed)
    return CodeT5(tokens.sizes, **SHAPE, dropout=0.0).eval()


def alternate(tasks: dict[str, Callable[[], T]], turns: int) -> tuple[dict[str, T], dict[str, list[Told]]]:
    """So many turns of every task after one that does not count, each round beginning with another one."""
    names, told = list(tasks), {name: list[Told]() for name in tasks}
    last = dict[str, T]()
    for turn in range(turns + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(PAUSE)
            wall, cpu = time.perf_counter(), time.process_time()
            last[name] = tasks[name]()
            spent = {"cpu_s": time.process_time() - cpu, "seconds": time.perf_counter() - wall}
            told[name] += [spent] if turn else []
    return {name: last[name] for name in tasks}, told


def _histories(users: int) -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(ITEMS, size=(users, HISTORY))


def _described(told: Sequence[Told], users: int) -> str:
    cpu = [each["cpu_s"] for each in told]
    return f"{users / float(np.median(cpu)):.3g} users per CPU second ({min(cpu):.3g} to {max(cpu):.3g} s a turn)"
