"""reader: a small language model from scratch, which knows a catalogue's titles and nothing else.

No pretrained model can be redistributed with a benchmark that runs anywhere, so the tuned recommenders begin with this
one: a byte-level tokenizer of the titles and of our wording, and a llama that has read the histories of train as plain
texts. Nothing of validation or test is read.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.rankers.catalogues import NOUNS, corpus_of, folder_of
from evaluation.ranking import chunks
from features.corpus import Corpus
from features.instructions import code_wording
from features.instructions.titles import unique_titles
from features.instructions.wording import LETTERS, NO, YES, next_title, pick_letter, pick_title, quoted, yes_no
from recommenders.histories import Histories

BEGIN, END = "<s>", "</s>"
WORDS = r"\n| ?\w+| ?[^\w\s]|\s"  # what a token never reaches beyond: a new line is always a token of its own
TIMES = 200  # how often the wording is counted, so that its words are whole tokens
IGNORED = -100
TOLD = "reader.log"  # no .json, which would be part of the model's digest


@dataclass(frozen=True)
class Shape:
    """Of the model; about a million parameters."""

    hidden: int = 128
    layers: int = 3
    heads: int = 4
    context: int = 1024
    vocabulary: int = 4096


@dataclass(frozen=True)
class Reading:
    """How long it reads train, as plain texts."""

    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 2e-3


def make_reader(
    corpus: Corpus,
    folder: Path,
    noun: str = "item",
    shape: Shape = Shape(),
    reading: Reading = Reading(),
    seed: int = 0,
) -> dict[str, Any]:
    """Save the model of a corpus; says its size, the loss of every epoch in nats per token, and the seconds."""
    began, titles = time.perf_counter(), unique_titles(corpus.items)
    tokenizer = make_tokenizer([*titles, *wording(titles[:20], noun) * TIMES], shape.vocabulary)
    torch.manual_seed(seed)
    lm = untrained(len(tokenizer), shape)
    histories = [tokenizer(text).input_ids for text in texts_of(corpus, titles)]
    losses = read(lm, histories, reading, seed)
    tokenizer.save_pretrained(folder)
    lm.save_pretrained(folder)
    size = {"parameters": sum(each.numel() for each in lm.parameters()), "vocabulary": len(tokenizer)}
    spent = round(time.perf_counter() - began, 1)
    told = {**size, "shape": asdict(shape), "losses": [round(each, 3) for each in losses], "seconds": spent}
    (folder / TOLD).write_text(json.dumps(told), encoding="utf-8")
    return told


def make_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """Byte-level pairs: any text is tokens, and tokens are the text again."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    pairs = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    pairs.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    pairs.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[BEGIN, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pairs.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=pairs, bos_token=BEGIN, eos_token=END)


def untrained(vocabulary: int, shape: Shape) -> Any:
    """Random weights; the head is the embedding."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=2 * shape.hidden,
        num_attention_heads=shape.heads,
        num_hidden_layers=shape.layers,
        max_position_embeddings=shape.context,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    return LlamaForCausalLM(config)


def texts_of(corpus: Corpus, titles: Sequence[str]) -> list[str]:
    """The histories of train with more than one item, oldest first, as a prompt shows them."""
    histories = Histories.of(corpus.train)
    owners = np.flatnonzero(histories.length > 1).tolist()
    return [BEGIN + "; ".join(quoted(titles[item]) for item in histories.of_user(user)) + END for user in owners]


def wording(titles: Sequence[str], noun: str) -> list[str]:
    """What recommenders ask, so that its words are tokens."""
    asked = [yes_no(titles, titles[0], noun=noun, disliked=titles[:1]), next_title(titles, noun=noun)]
    asked += [pick_title(titles, titles, noun=noun), pick_letter(titles, titles, noun=noun)]
    codes = [
        *(code_wording.NEXT_CODES, code_wording.TITLE_TO_CODES, code_wording.CODES_TO_TITLE),
        *(code_wording.TITLES_TO_NEXT_CODES, code_wording.CODES_TO_NEXT_TITLE),
    ]
    told = [template.format(noun=noun) for templates in codes for template in templates]
    answers = [f"({letter})" for letter in LETTERS]
    return [*(f"{each.system}\n\n{each.user}\n\n" for each in asked), *told, *answers, YES, NO]


def read(lm: Any, texts: Sequence[Sequence[int]], reading: Reading, seed: int) -> list[float]:
    """Train on the next token of all texts; the mean loss of every epoch."""
    generator, optimizer = np.random.default_rng(seed), torch.optim.AdamW(lm.parameters(), lr=reading.learning_rate)
    steps = max(1, reading.epochs * -(-len(texts) // reading.batch_size))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, reading.learning_rate, total_steps=steps + 1)
    lm.train()
    losses = []
    for _ in range(reading.epochs):
        total = [_step(lm, batch, optimizer, schedule) for batch in _batches(texts, reading.batch_size, generator)]
        losses.append(float(np.mean(total)))
    lm.eval()
    return losses


def _step(lm: Any, batch: tuple[Tensor, Tensor], optimizer: Any, schedule: Any) -> float:
    ids, labels = batch
    loss = lm(input_ids=ids, attention_mask=(labels != IGNORED).long(), labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _batches(
    texts: Sequence[Sequence[int]], size: int, generator: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Texts of similar length together, in an order that is drawn: ids and labels [B, T]."""
    order = sorted(generator.permutation(len(texts)).tolist(), key=lambda row: len(texts[row]))
    batches = [order[rows] for rows in chunks(len(order), size)]
    for number in generator.permutation(len(batches)):
        yield _padded([texts[row] for row in batches[number]])


def _padded(texts: Iterable[Sequence[int]]) -> tuple[Tensor, Tensor]:
    rows = [torch.tensor(text) for text in texts]
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=1)
    return ids, torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=IGNORED)


def main(arguments: Sequence[str]) -> None:
    """`python -m benchmarks.rankers reader`."""
    parser = argparse.ArgumentParser("python -m benchmarks.rankers reader", description=__doc__)
    parser.add_argument("--data", required=True, help=f"{', '.join(NOUNS)}, or a folder of such files")
    parser.add_argument("--out", required=True, type=Path, help="folder of the model, as save_pretrained writes it")
    parser.add_argument("--epochs", type=int, default=Reading.epochs, help="passes over train; 0: random weights")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    corpus, noun = corpus_of(folder_of(given.data)), NOUNS.get(given.data, "item")
    told = make_reader(corpus, given.out, noun, reading=replace(Reading(), epochs=given.epochs), seed=given.seed)
    sys.stdout.write(json.dumps(told) + "\n")
