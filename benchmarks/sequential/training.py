"""training: an epoch of our TIGER beside a plain loop over transformers' T5ForConditionalGeneration, in turns."""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median

import numpy as np
import torch
from torch import Tensor
from transformers import T5Config, T5ForConditionalGeneration

from benchmarks.figures import Figure, at_least, stated
from benchmarks.graph.turns import PAUSE, THREADS
from benchmarks.sequential.constrained import catalogue
from features.codes import ItemCodes
from recommenders.generative.code_tokens import PAD
from recommenders.histories import Histories
from recommenders.sequential.sequences import Catalogue, NextItems
from recommenders.tiger import NextCodes, TigerNetwork

USERS, MEAN_LENGTH = 4000, 7  # lengths fall off as Beauty's do
SHAPE = {"dim": 128, "inner": 512, "heads": 4, "head_dim": 32, "layers": 2}
BATCH, MOST_ITEMS = 256, 20
LEAST = 1.0


def figures(turns: int, batches: int) -> list[Figure]:
    """Next items per CPU second of ours over those of the plain loop: same histories, same size of model."""
    torch.set_num_threads(THREADS)
    tokens, histories = catalogue(), _histories()
    codes = ItemCodes(tokens.codes.astype(np.int32), tokens.sizes, "made")
    loops: dict[str, Ours | Plain] = {
        "ours": Ours(codes, histories, "codes"),
        "plain": Plain(codes, histories),
        "ours, items": Ours(codes, histories, "items"),
    }
    told = {name: list[float]() for name in loops}
    for turn in range(turns + 1):
        for name, loop in loops.items():
            time.sleep(PAUSE)
            began = time.process_time()
            done = loop.run(batches)
            if turn:
                told[name].append(done / (time.process_time() - began))
    rate = {name: median(each) for name, each in told.items()}
    shape = ", ".join(f"{name} {size}" for name, size in SHAPE.items())
    about = f"T5, {shape}, batch {BATCH}, {MOST_ITEMS} items at most, {THREADS} threads; next items per CPU second"
    ratio = "next items per CPU second, ours / a plain loop of transformers"
    return [
        stated("training", "in turns", about),
        *(stated("training", name, f"{value:,.0f}") for name, value in rate.items()),
        at_least("training", ratio, rate["ours"] / rate["plain"], LEAST),
        stated("training", "with one vector for an item of the history", f"{rate['ours, items'] / rate['plain']:.2f}"),
    ]


class Ours:
    """The network and the batches of `tiger`, with AdamW."""

    def __init__(self, codes: ItemCodes, histories: Histories, history: str) -> None:
        torch.manual_seed(0)
        network = TigerNetwork(Catalogue(len(codes.codes), None, codes), **SHAPE, history=history)  # type: ignore[arg-type]
        self.task = NextItems(network, histories, network.samples(histories))
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        self.batches = self._forever()

    def run(self, batches: int) -> int:
        """Train on so many batches; gives how many next items they have."""
        done = 0
        for _ in range(batches):
            batch = next(self.batches)
            torch.autograd.backward(self.task.loss(batch))
            self.optimizer.step()
            self.optimizer.zero_grad()
            done += len(batch.codes)
        return done

    def _forever(self) -> Iterator[NextCodes]:
        generator = np.random.default_rng(0)
        while True:
            yield from self.task.batches(BATCH, generator)


class Plain:
    """Shuffled prefixes, padded to the longest of the batch, one vocabulary, `labels` handed to the model."""

    def __init__(self, codes: ItemCodes, histories: Histories) -> None:
        torch.manual_seed(0)
        offset = np.cumsum([1, *codes.sizes[:-1]])
        self.token = codes.codes + offset  # [I, L]; 0 pads
        self.histories = histories
        first = histories.indptr[:-1][histories.length > 0]
        self.places = np.setdiff1d(np.arange(len(histories.item)), first)
        config = T5Config(
            vocab_size=1 + sum(codes.sizes),
            d_model=SHAPE["dim"],
            d_ff=SHAPE["inner"],
            num_heads=SHAPE["heads"],
            d_kv=SHAPE["head_dim"],
            num_layers=SHAPE["layers"],
            pad_token_id=PAD,
            decoder_start_token_id=PAD,
        )
        self.model = T5ForConditionalGeneration(config)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        self.generator = np.random.default_rng(0)

    def run(self, batches: int) -> int:
        """The same as ours."""
        for _ in range(batches):
            token, label = self._batch()
            loss = self.model(input_ids=token, attention_mask=(token != PAD).long(), labels=label).loss
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        return batches * BATCH

    def _batch(self) -> tuple[Tensor, Tensor]:
        place = self.generator.choice(self.places, BATCH)
        begin = self.histories.indptr[np.searchsorted(self.histories.indptr, place, side="right") - 1]
        rows = [
            self.token[self.histories.item[max(a, b - MOST_ITEMS) : b]].ravel()
            for a, b in zip(begin, place, strict=True)
        ]
        longest = max(map(len, rows))
        token = np.stack([np.pad(row, (0, longest - len(row))) for row in rows])
        return torch.from_numpy(token), torch.from_numpy(self.token[self.histories.item[place]])


def _histories() -> Histories:
    """Geometric lengths from 3 on, random items."""
    rng = np.random.default_rng(0)
    length = 2 + rng.geometric(1 / (MEAN_LENGTH - 2), size=USERS)
    indptr = np.concatenate([[0], np.cumsum(length)])
    item = rng.integers(len(catalogue().codes), size=indptr[-1])
    return Histories(item, np.arange(len(item)), indptr)
