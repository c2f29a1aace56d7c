"""The run file as text: a comment for every choice says why it was made and what else it could be."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.starting.choices import Choices
from pipelines.starting.models import (
    CONTROLS,
    EASE,
    ITEM_KNN,
    LIGHTGCN,
    MOST_EASE,
    MOST_TRAINED,
    POPULARITY,
    SHUFFLED,
    TEXTS,
)
from pipelines.starting.wording import array, inline_table, quoted, shown, thousands
from schemas.sections import Data

PROFILE = "rlmrec.item/summarization"
HEAD = """\
# Made by `loregraph init` from the files of {folder}: {counts}.
# Every line is a choice, with its reason behind it; change what you know better. `loregraph doctor --run` checks it.
name = {name}
lake = {lake}  # the tables, relative to this file; delete the folder to begin anew
baseline = "item_knn"  # the model that lifts are measured against
seeds = [1]  # a first look; [1, 2, 3] says how much of a lift is luck
"""
LLM = """
[llm]
engine = "offline"  # no key, no cost: fills templates with the item's own words, so its texts teach a model little
# A real language model, instead of the line above; `loregraph plan` then says what it costs before anything is asked:
# engine = "openai"  # any endpoint that speaks OpenAI's protocol: a provider, vLLM, Ollama
# base_url = "http://127.0.0.1:8000/v1"  # left out: OpenAI's own
# model = "your-model"
# key_env = "OPENAI_API_KEY"  # the environment variable with the key; a key never stands in this file
# usd_per_million_input = 0.15  # your provider's prices; left out: the built-in table's
# usd_per_million_output = 0.60
# max_cost_usd = 5.0  # stops before a call that could pass it; every answer is kept

[quality]  # the offline engine's texts are alike by design; with a real model remove these three lines
near_duplicates = 1.0
largest_cluster = 1.0
language = ""  # texts may be in any language; "en" lets a night fail where a tenth of the answers is in another one

[[recipes]]  # what is asked, a question per item; `loregraph list recipes` has others
name = "rlmrec.item"
options = {{ noun = {noun}, columns = {columns} }}  # {why}
{left_out}
# And a question per user, of what he liked, for models with features = {{ user = "rlmrec.user/summarization", ... }}:
# [[recipes]]
# name = "rlmrec.user"
# options = {{ noun = {noun} }}
"""
NO_TEXTS = """
# No language model is asked: {why}.
# Give items a table with an id and a title or more, and run `loregraph init` again with --force.
"""


@dataclass(frozen=True)
class Facts:
    """What the text is made of."""

    name: str
    folder: str  # as it is shown
    lake: str
    data: Data  # its path as it is written
    choices: Choices
    users: int
    items: int
    interactions: int
    has_items_file: bool


def run_file(facts: Facts) -> str:
    """The whole file."""
    counts = (
        f"{_count(facts.interactions, 'event')} of {_count(facts.users, 'user')} with {_count(facts.items, 'item')}"
    )
    head = HEAD.format(folder=shown(facts.folder), counts=counts, name=quoted(facts.name), lake=quoted(facts.lake))
    return "\n".join([head + _data(facts), _split(facts), _language(facts).strip("\n"), "", _models(facts)])


def _count(number: int, what: str) -> str:
    return f"{thousands(number)} {what}{'' if number == 1 else 's'}"


def _data(facts: Facts) -> str:
    data, choices = facts.data, facts.choices
    lines = ["", "[data]", f"path = {quoted(data.path)}  # relative to this file"]
    if data.format != "neutral":
        lines.append(f"format = {quoted(data.format)}  # a folder as its publisher packs it; its columns are known")
    if data.files:
        files = {str(table): name for table, name in data.files.items()}
        lines.append(f"files = {inline_table(files)}  # which file is which table")
    if data.separator is not None:
        lines.append(f"separator = {quoted(data.separator)}  # between the fields of the CSV files")
    for key in ("columns", "item_columns", "user_columns"):
        if columns := getattr(data, key):
            ours = "our name = the file's" + ('; "" leaves one out' if "" in columns.values() else "")
            lines.append(f"{key} = {inline_table(columns)}  # {ours}")
    if data.time_unit != "s":
        lines.append(f'time_unit = "{data.time_unit}"  # as the values say; s, ms, us, or iso for text')
    lines += [_number("min_rating", choices.min_rating.value, choices.min_rating.why, "4")]
    lines += [_number("k_core", choices.k_core.value or None, choices.k_core.why, "5")]
    return "\n".join(lines) + "\n"


def _number(key: str, value: str | float | None, why: str, example: str) -> str:
    return f"{key} = {value:g}  # {why}" if isinstance(value, int | float) else f"# {key} = {example}  # {why}"


def _split(facts: Facts) -> str:
    split = facts.choices.split
    return f'[split]\nrule = "{split.value}"  # {split.why}\n'


def _language(facts: Facts) -> str:
    choices = facts.choices
    if not choices.texts:
        why = "no column of the items says what they are" if facts.has_items_file else "there is no file of items"
        return NO_TEXTS.format(why=why)
    left_out = f"# Not shown: {', '.join(choices.left_out)}." if choices.left_out else ""
    return LLM.format(
        noun=quoted(str(choices.noun.value)), columns=array(choices.texts), why=choices.noun.why, left_out=left_out
    )


def _models(facts: Facts) -> str:
    models = [POPULARITY, ITEM_KNN]
    if facts.items <= MOST_EASE:
        models.append(EASE)
    lightgcn = LIGHTGCN.format(epochs=18 if facts.interactions < MOST_TRAINED / 10 else 9)
    if facts.interactions > MOST_TRAINED:
        lightgcn = "# Many events: minutes on a GPU, hours on a CPU.\n" + "".join(
            f"# {line}\n" for line in lightgcn.splitlines()
        )
    models.append(lightgcn)
    if facts.choices.texts:
        columns = quoted("+".join(facts.choices.texts))
        models += [TEXTS.format(text=PROFILE), CONTROLS.format(columns=columns), SHUFFLED.format(text=quoted(PROFILE))]
    return "\n".join(models)
