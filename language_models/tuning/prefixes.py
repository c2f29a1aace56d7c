"""Which prompts begin alike: the instruction that all share, and the histories that the prompts of a user share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from language_models.tuning.batches import Text

LEAST = 16  # tokens; less is sooner read again than kept
Key = tuple[int, ...]


@dataclass(frozen=True)
class Stem:
    """Prompts, by their places, whose first `length` tokens are the same."""

    length: int
    members: tuple[int, ...]


def keys(prompts: Sequence[Text], soft: Sequence[Tensor | None]) -> list[Key]:
    """What a model reads of each prompt: ids, and for a soft token a number below zero that equal vectors share."""
    numbers = dict[bytes, int]()
    found = []
    for prompt, vectors in zip(prompts, soft, strict=True):
        ids = list(prompt.ids)
        if vectors is not None:
            for slot, vector in zip(prompt.slots, vectors.detach().float().cpu().numpy(), strict=True):
                ids[slot] = -1 - numbers.setdefault(vector.tobytes(), len(numbers))
        found.append(tuple(ids))
    return found


def shared_prefix(texts: Sequence[Key]) -> int:
    """How many first tokens all have in common, less than any has; 0 where that is less than `LEAST`."""
    if len(texts) < 2:
        return 0
    length = min(_common(min(texts), max(texts)), min(map(len, texts)) - 1)
    return length if length >= LEAST else 0


def stems(texts: Sequence[Key], root: int) -> list[Stem]:
    """All texts, grouped by what they share beyond the first `root` tokens, which all do.

    A text that shares less than `LEAST` more with any other is alone, with a stem of `root`. In sorted order a text
    joins the group before it where that saves more tokens than a group of its own.
    """
    order = sorted(range(len(texts)), key=lambda place: texts[place])
    found, members, length = list[Stem](), list[int](), 0
    for place in order:
        most = len(texts[place]) - 1
        joint = min(length, most, _common(texts[members[-1]], texts[place])) if members else 0
        saved = (len(members) - 1) * (length - root)
        if members and joint >= root + LEAST and len(members) * (joint - root) >= saved:
            members, length = [*members, place], joint
            continue
        found += [Stem(length, tuple(members))] if members else []
        members, length = [place], most
    found += [Stem(length, tuple(members))] if members else []
    return [stem if len(stem.members) > 1 else Stem(root, stem.members) for stem in found]


def _common(one: Key, other: Key) -> int:
    most = min(len(one), len(other))
    if one[:most] == other[:most]:
        return most
    return next(place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
