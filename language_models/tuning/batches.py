"""Prompts and responses as padded batches, with labels on exactly the tokens that a model learns to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from schemas.errors import DataError

IGNORED = -100  # no label
Side = Literal["left", "right"]


@dataclass(frozen=True)
class Text:
    """Token ids, and the places of placeholders among them, in order, that soft tokens stand in for."""

    ids: tuple[int, ...]
    slots: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, begin: int, end: int | None = None) -> Text:
        """The tokens from `begin` to before `end`."""
        end = len(self.ids) if end is None else end
        return Text(self.ids[begin:end], tuple(slot - begin for slot in self.slots if begin <= slot < end))


@dataclass(frozen=True)
class Example:
    """What a model reads, and what it is to write next; a response ends with the end token where one is wanted."""

    prompt: Text
    response: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


@dataclass(frozen=True)
class Batch:
    """Tensors [B, T] of int64."""

    ids: Tensor
    mask: Tensor  # 1 at real tokens
    position: Tensor  # 0, 1, ... over the real tokens of a row; 0 at padding
    labels: Tensor  # the token itself where it is learned, else IGNORED
    slots: tuple[tuple[int, ...], ...]  # columns of placeholders


def padded(examples: Sequence[Example], pad: int, side: Side = "right", train_on_prompt: bool = False) -> Batch:
    """Examples of any length as one batch: left for scoring, right for training.

    Labels are the response's tokens, end token included, whatever id padding has; with `train_on_prompt` (TALLRec)
    those of the prompt too, other than its placeholders and the first, which nothing comes before.
    """
    longest = max(map(len, examples))
    ids = torch.full((len(examples), longest), pad)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    slots = []
    for row, example in enumerate(examples):
        begin = longest - len(example) if side == "left" else 0
        end = begin + len(example)
        ids[row, begin:end] = torch.tensor((*example.prompt.ids, *example.response))
        mask[row, begin:end] = 1
        first = begin + (1 if train_on_prompt else len(example.prompt))
        labels[row, first:end] = ids[row, first:end]
        slots.append(tuple(begin + slot for slot in example.prompt.slots))
        labels[row, list(slots[-1])] = IGNORED
    return Batch(ids, mask, positions(mask), labels, tuple(slots))


def positions(mask: Tensor, before: Tensor | int = 0) -> Tensor:
    """[B, T]: how many real tokens of its row stand before each, `before` [B, 1] of them in an earlier pass."""
    return (mask.cumsum(1) - 1 + before).clamp(min=0) * mask


def require_room(length: int, context: int | None, what: str) -> None:
    """Raises DataError, naming the length, where it is more than the model's context."""
    if context is not None and length > context:
        raise DataError(f"{what}: {length} tokens; the model reads at most {context}: show a shorter history or text")


def shortened(write: Callable[[int], Text], shown: int, room: int | None, what: str) -> Text:
    """`write(n)` with the most n <= `shown` (the latest items of a history) whose text has at most `room` tokens.

    Raises DataError, naming the length, where it is too long with none of them.
    """
    text = write(shown)
    if room is None or len(text) <= room:
        return text
    fits, fails = -1, shown
    while fails - fits > 1:
        middle = (fits + fails) // 2
        fits, fails = (middle, fails) if len(write(middle)) <= room else (fits, middle)
    text = write(max(fits, 0))
    require_room(len(text), room, what)
    return text


def by_length(lengths: Sequence[int], most: int, before: int = 0, at_once: int | None = None) -> Iterator[list[int]]:
    """Places of `lengths` in batches, longest first, of at most `most` tokens with their padding, or of one.

    `before` more of each row are kept from an earlier pass; `at_once`: the most that are read in one pass.
    """
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        longest, rows = lengths[batch[0]] if batch else 0, len(batch) + 1
        if batch and (rows * (before + longest) > most or (at_once is not None and rows * longest > at_once)):
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
