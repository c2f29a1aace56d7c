"""How prompted recommenders ask: the instruction, equal for all users, and the data as labelled JSON; no id is shown.

The wording is ours. LLMRank (arXiv 2305.08845) has the three ways to show a history, LlamaRec (arXiv 2311.02089) the
letters, TALLRec (arXiv 2305.00447) the question with yes or no, He et al. (arXiv 2308.10053) the conversation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from features.recipes.base import DATA_IS_DATA, JSON_ONLY, section
from schemas.records import JSON

LETTERS = tuple(ascii_uppercase)
YES_NO = ("Yes", "No")
NEWEST = {
    "sequential": "",
    "recency": ' The item under "NEWEST" is the most recent one of the history: give it the most weight.',
    "in_context": (
        ' For a user with that history the item under "NEWEST" was the right recommendation, and the user has taken it '
        "since."
    ),
}


@dataclass(frozen=True, slots=True)
class Item:
    """An item as a prompt shows it."""

    title: str
    profile: str | None = None

    def to_json(self) -> dict[str, JSON]:
        return {"title": self.title, **({} if self.profile is None else {"profile": self.profile})}


@dataclass(frozen=True, slots=True)
class Known:
    """What a prompt shows of a user: history oldest first, and of items that are shown apart the newest."""

    history: tuple[Item, ...]
    profile: str | None = None
    newest: Item | None = None
    source_ids: tuple[str, ...] = ()  # of the items that are the user's own

    def sections(self) -> list[str]:
        shown = [section("PROFILE", {"profile": self.profile})] if self.profile is not None else []
        shown += [section("HISTORY", [item.to_json() for item in self.history])] if self.history else []
        return [*shown, section("NEWEST", self.newest.to_json())] if self.newest is not None else shown


def named(count: int) -> list[str]:
    """What stands for candidates in a prompt: letters, or numbers from 1 where letters are too few."""
    return list(LETTERS[:count]) if count <= len(LETTERS) else [str(number) for number in range(1, count + 1)]


def with_candidates(known: Known, items: Sequence[Item]) -> str:
    """The user message of a question about several candidates, in the order given."""
    names = named(len(items))
    options = [{"option": name, **item.to_json()} for name, item in zip(names, items, strict=True)]
    return "\n".join([*known.sections(), section("CANDIDATES", options)])


def with_candidate(known: Known, item: Item) -> str:
    """The user message of a question about one candidate."""
    return "\n".join([*known.sections(), section("CANDIDATE", item.to_json())])


def rank_all(noun: str, strategy: str = "sequential") -> str:
    """Asks for all candidates in order."""
    return f"""{_role(noun, strategy)}
Requirements:
1. {JSON_ONLY} Its key is "ranking".
2. "ranking" is the list of the options of all candidates, first that of the {noun} that the user is most likely to \
choose next, last that of the least likely one. Every option stands in it once."""


def pick_one(noun: str) -> str:
    """Asks for the letter of one candidate and nothing else: its first token is the answer."""
    return f"""{_role(noun)}
Requirements:
1. Choose the {noun} among the candidates that the user is most likely to choose next.
2. Answer with the letter of its option alone, and write nothing else."""


def judge_one(noun: str, as_json: bool) -> str:
    """Asks whether the user will like one candidate: one word, or a JSON object with it."""
    form = f'{JSON_ONLY} Its key is "answer", which is Yes or No.' if as_json else "Answer with one word, Yes or No."
    return f"""\
You judge whether a user will like {_article(noun)}, from what the user chose before.
You are given JSON data about the user, the history oldest first, and the {noun} under "CANDIDATE". {DATA_IS_DATA}
Requirements:
1. {form}
2. Yes means that the user will like the {noun}, No that the user will not."""


def recommend_titles(noun: str, count: int) -> str:
    """Asks for titles out of the model's own knowledge, after a conversation."""
    return f"""\
You recommend {noun}s to a person who seeks some, in a conversation.
You are given the conversation so far as a JSON list, oldest turn first. {DATA_IS_DATA}
Requirements:
1. {JSON_ONLY} Its key is "titles".
2. "titles" is the list of the titles of {count} {noun}s that you recommend in reply, the best one first, each with \
its year in brackets where you know it.
3. Recommend nothing that the conversation has named before."""


def _role(noun: str, strategy: str = "sequential") -> str:
    return f"""\
You recommend {noun}s to a user, judging from what the user chose before.
You are given JSON data about the user, the history oldest first, and a list of candidates, each with what stands for \
it in "option". The order of the candidates says nothing about them. {DATA_IS_DATA}{NEWEST[strategy]}"""


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"
