"""LC-Rec: six tasks between titles, texts and semantic ids, mixed."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from features.instructions import code_wording as wording
from features.instructions.base import Key, LikedAbove, OneByOne
from features.instructions.examples import Example
from features.instructions.next_items import Next, liked_places
from features.instructions.sources import Sources, shortened

Int64 = NDArray[np.int64]
TASKS = ("next_codes", "title_to_codes", "codes_to_title", "asymmetric", "search", "preference")
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _of_something(weights: list[float]) -> list[float]:
    if not any(weights):
        raise ValueError("expected at least one weight above 0")
    return weights


Weights = Annotated[list[Weight], Field(min_length=6, max_length=6), AfterValidator(_of_something)]


class LcRec(OneByOne):
    """Items as codes: the next one, title to codes and back, the next one across both, search, and what a user likes.

    `weights`: how often each of the six is drawn where `examples` is set; one of 0 is left out always. Search needs
    `intention`, the last task `profile`; without them they are left out. `liked_above`: interactions rated lower are no
    answers. Title and codes of every item of the catalogue are learned, also of those that nobody has in train.
    """

    source: ClassVar[str] = "LC-Rec (Zheng et al. 2024, arXiv 2311.09049)"
    needs: ClassVar[tuple[Key, ...]] = ("codes",)
    reads: ClassVar[tuple[Key, ...]] = ("profile", "intention")

    def __init__(
        self,
        *,
        weights: Annotated[
            Weights | None,
            Field(description="how often each of the six tasks is drawn where examples are counted; 0 leaves it out"),
        ] = None,
        liked_above: LikedAbove = None,
    ) -> None:
        self._weights, self.liked_above = tuple(weights or ()), liked_above

    @property
    def weights(self) -> tuple[float, ...]:
        return self._weights

    def plan(self, sources: Sources, seed: int) -> Int64:
        """About: the place of the answer; of title and codes the item, of what a user likes the user's last place."""
        del seed
        line = sources.timeline
        places = liked_places(sources, line.continued, self.liked_above)
        items = np.arange(sources.corpus.num_items)
        last = np.flatnonzero(np.append(line.user[1:] != line.user[:-1], True)) if len(line.user) else places
        wished = np.array([bool(text) for text in sources.intention], dtype=bool)
        told = np.array([bool(text) for text in sources.profile], dtype=bool)
        of = line.item if sources.intention_kind == "item" else line.user
        about = {
            "next_codes": places,
            "title_to_codes": items,
            "codes_to_title": items,
            "asymmetric": places,
            "search": places[wished[of[places]]] if len(wished) else places[:0],
            "preference": last[told[line.user[last]]] if len(told) else places[:0],
        }
        kept = [task for task in TASKS if not self._weights or self._weights[TASKS.index(task)]]
        return np.concatenate([np.stack([np.full_like(about[t], TASKS.index(t)), about[t]], axis=1) for t in kept])

    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        name = TASKS[task]
        if name in ("title_to_codes", "codes_to_title"):
            return _alignment(sources, name, about, draw)
        if name == "preference":
            return _preference(sources, about, draw)
        return _after_history(sources, name, Next.of(sources, about), draw)


def _alignment(sources: Sources, task: str, item: int, draw: np.random.Generator) -> Example:
    title, codes = sources.titles[item], sources.codes[item]
    if task == "title_to_codes":
        asked = wording.title_to_codes(title, noun=sources.noun, draw=draw)
        return Example(task, asked, codes, item=item, template=str(asked.template))
    asked = wording.codes_to_title(codes, noun=sources.noun, draw=draw)
    return Example(task, asked, title, item=item, template=str(asked.template))


def _preference(sources: Sources, last: int, draw: np.random.Generator) -> Example:
    """What a user likes, told from the last items of train."""
    user, shown = int(sources.timeline.user[last]), sources.items(sources.through(last))
    asked = wording.preference([sources.codes[item] for item in shown], noun=sources.noun, draw=draw)
    answer = shortened(sources.profile[user])
    return Example("preference", asked, answer, user, shown=shown, template=str(asked.template))


def _after_history(sources: Sources, task: str, it: Next, draw: np.random.Generator) -> Example | None:
    """The tasks whose answer is an interaction: next codes, codes after titles or a title after codes, and search."""
    codes, answer, search, form = [sources.codes[item] for item in it.shown], sources.codes[it.item], False, ""
    if task == "next_codes":
        asked = wording.next_codes(codes, noun=sources.noun, draw=draw)
    elif task == "asymmetric" and draw.random() < 0.5:
        asked, form = wording.titles_to_next_codes(it.history, noun=sources.noun, draw=draw), "titles "
    elif task == "asymmetric":
        asked, form = wording.codes_to_next_title(codes, noun=sources.noun, draw=draw), "codes "
        answer = sources.titles[it.item]
    else:
        wish, personal = sources.wish(it.user, it.item), draw.random() < 0.5
        if wish is None:
            return None
        asked, search = wording.search(wish, codes if personal else (), noun=sources.noun, draw=draw), True
        form, it = ("history ", it) if personal else ("", replace(it, shown=[]))
    return Example(task, asked, answer, it.user, it.item, it.shown, template=f"{form}{asked.template}", search=search)
