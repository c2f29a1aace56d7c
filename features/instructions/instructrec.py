"""InstructRec: preferences, intentions and tasks in all combinations, as recommendation and as search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.instructions.base import Candidates, Key, LikedAbove, OneByOne
from features.instructions.examples import Example
from features.instructions.grid import CELLS, INTENTIONS, PREFERENCES, TASKS, Cell, worded
from features.instructions.messages import quoted
from features.instructions.next_items import liked_places
from features.instructions.sources import Sources, shortened
from features.instructions.titles import TELLING
from features.instructions.wording import NO, YES
from schemas.errors import ConfigError, unknown_name

Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
TRIES = 40  # for an interaction of which few cells can be told
SPECIFIC = ("category", "categories", "genre", "genres", "subjects", *TELLING)  # columns, where none are named


class Instructrec(OneByOne):
    """Every interaction once, in a cell of P0 to P2, I0 to I2 and T0 to T3 (`template`), as evenly as texts allow.

    P: nothing, titles, the profile. I: nothing, the text of `intention`, the item's `attributes` (columns). T: yes or
    no, one of two, a title, one of `candidates`. With I1 and I2 the row is a search. `liked_above`: interactions rated
    lower are no answers. A row whose profile names what is asked about is left out.
    """

    source: ClassVar[str] = "InstructRec (Zhang et al. 2023, arXiv 2305.07001)"
    reads: ClassVar[tuple[Key, ...]] = ("profile", "intention")

    def __init__(
        self,
        *,
        candidates: Candidates = 10,
        attributes: Annotated[
            list[str] | None,
            Field(
                description="columns that tell a specific wish; default: category, genres, author, year and the like"
            ),
        ] = None,
        liked_above: LikedAbove = None,
    ) -> None:
        self.candidates, self.attributes, self.liked_above = candidates, attributes, liked_above

    def plan(self, sources: Sources, seed: int) -> Int64:
        """Task: the number of the cell; where user or item lack what a cell tells, another one at random."""
        self._check(sources)
        line, draw = sources.timeline, np.random.default_rng(seed)
        places = liked_places(sources, np.arange(len(line.user)), self.liked_above)
        told, wished = self._known(sources, places)
        live = [n for n, cell in enumerate(CELLS) if (told[:, cell.preference] & wished[:, cell.intention]).any()]
        cell = draw.permutation(np.resize(live, len(places)))
        for _ in range(TRIES):
            lacking = np.flatnonzero(~_told(cell, told, wished))
            cell[lacking] = draw.choice(live, size=len(lacking)) if live else 0
        plan: Int64 = np.stack([cell, places], axis=1)[_told(cell, told, wished)]
        return plan

    def example(self, sources: Sources, task: int, about: int, draw: np.random.Generator) -> Example | None:
        cell, line = CELLS[task], sources.timeline
        user, item = int(line.user[about]), int(line.item[about])
        offered = self._offered(sources, cell, user, item, draw)
        shown, profile = sources.items(sources.before(about)), sources.about(user, item, *offered)
        if PREFERENCES[cell.preference] == "profile" and profile is None:
            return None
        wish = self._wish(sources, cell, user, item)
        asked = worded(cell, sources.named(shown), profile, wish, sources.named(offered), sources.noun)
        if TASKS[cell.task] == "yes_no":
            label = float(offered[0] == item)
            answer, item = YES if label else NO, offered[0]
        else:
            label, answer = None, sources.titles[item]
        shown = shown if PREFERENCES[cell.preference] == "titles" else []
        name, search = TASKS[cell.task], bool(cell.intention)
        return Example(name, asked, answer, user, item, shown, label=label, template=cell.name, search=search)

    def _offered(self, sources: Sources, cell: Cell, user: int, item: int, draw: np.random.Generator) -> list[int]:
        """The items that are asked about; of a specific wish no others that it says the same of."""
        task, count = TASKS[cell.task], {"pairwise": 1, "rank": self.candidates - 1}.get(TASKS[cell.task], 1)
        if task == "title" or (task == "yes_no" and draw.random() < 0.5):
            return [] if task == "title" else [item]
        others = sources.negatives.draw(user, 2 * count, draw)
        if INTENTIONS[cell.intention] == "specific":
            wanted = self._specific(sources, item)
            others = [other for other in others if self._specific(sources, other) != wanted]
        if task == "yes_no":
            return others[:1] or [item]
        offered: list[int] = draw.permutation([item, *others[:count]]).tolist()
        return offered

    def _wish(self, sources: Sources, cell: Cell, user: int, item: int) -> str:
        if INTENTIONS[cell.intention] == "specific":
            return self._specific(sources, item)
        return quoted(sources.wish(user, item) or "") if cell.intention else ""

    def _specific(self, sources: Sources, item: int) -> str:
        """What the columns say of an item; empty where they say nothing."""
        facts = sources.facts[item]
        return "; ".join(f"{column} {quoted(shortened(facts[column]))}" for column in self._columns if column in facts)

    @property
    def _columns(self) -> Sequence[str]:
        return SPECIFIC if self.attributes is None else self.attributes

    def _check(self, sources: Sources) -> None:
        for column in self.attributes or ():
            if column not in sources.corpus.items.columns:
                known = [name for name in sources.corpus.items.columns if name != "id"]
                raise ConfigError(unknown_name("instructions: options.attributes", column, known))

    def _known(self, sources: Sources, places: Int64) -> tuple[Bools, Bools]:
        """Of every place whether P0 to P2, and whether I0 to I2, can be told: [N, 3] each."""
        line = sources.timeline
        user, item = line.user[places], line.item[places]
        always, never = np.ones(len(places), dtype=bool), np.zeros(len(places), dtype=bool)
        profile = np.array([bool(text) for text in sources.profile])[user] if sources.profile else never
        stands = np.array([bool(text) for text in sources.intention])
        vague = stands[item if sources.intention_kind == "item" else user] if sources.intention else never
        specific = np.array([any(column in facts for column in self._columns) for facts in sources.facts], dtype=bool)
        told = np.stack([always, line.start[places] < places, profile], axis=1)
        return told, np.stack([always, vague, specific[item]], axis=1)


def _told(cell: Int64, told: Bools, wished: Bools) -> Bools:
    """[N] whether each row's cell can be told of it."""
    preference, intention = np.array([(each.preference, each.intention) for each in CELLS]).T
    rows = np.arange(len(cell))
    found: Bools = told[rows, preference[cell]] & wished[rows, intention[cell]]
    return found
