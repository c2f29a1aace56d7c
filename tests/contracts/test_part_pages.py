"""Every part has a page of its own, and every page tells the truth: its part, its paper, its options, its figures."""

import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.listing import REGISTRIES, Entry, entries
from pipelines.part_facts import NEEDED, part_card, part_options
from schemas import sections

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "parts"
SECTIONS = (
    "Paper",
    "How it works",
    "What it needs",
    "In a run file",
    "Options",
    "When to use it",
    "What was measured",
)
MEASURED = ("BENCHMARKS.md", "docs/semantic-ids.md")  # where figures may come from
NOT_MEASURED = "Not measured here"
PLACES = {  # section of the run file, key that names the part, and what stands for a key that is left out
    "recipes": ("recipes", "name", ""),
    "recommenders": ("models", "recommender", "graph"),
    "tokenizers": ("semantic_ids", "tokenizer", "rq_kmeans"),
    "instructions": ("instructions", "builder", ""),
    "click_models": ("click_models", "model", "din"),
}
NUMBER = re.compile(r"arXiv (\d{4}\.\d{5})")
FIGURE = re.compile(r"(?<![\w.])[-+]?(\.\d{3,5}(?![\d.])|\d+\.\d+(?= %))")
TEST = re.compile(r"tests/[\w/]+(?:\.py)?")
CODE = re.compile(r"`([^`\n]+)`")
ASSIGNED = re.compile(r"^([\w.]+) = ")
OTHER_WORDS = {  # code in backticks that is no option, key or part: columns, fields and reasons of answers, figures
    *("evidence", "known", "director", "brief", "field", "template", "save_pretrained", "liber", "unknown"),
    *("invented", "one_candidate", "linked", "position_bias", "first_by_place", "text_alone"),
}


@dataclass(frozen=True)
class Page:
    kind: str
    name: str
    text: str

    @property
    def parts(self) -> dict[str, str]:
        """Heading -> what stands under it; what stands before the first has an empty one."""
        found = re.split(r"^## (.+)$", self.text, flags=re.MULTILINE)
        return {"": found[0], **dict(zip(found[1::2], found[2::2], strict=True))}

    @property
    def written(self) -> dict[str, str]:
        """The same without fenced blocks."""
        return {head: re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S) for head, text in self.parts.items()}


@cache
def found() -> dict[tuple[str, str], Entry]:
    return {(kind, entry.name): entry for kind in REGISTRIES for entry in entries(kind)}


@cache
def pages() -> dict[tuple[str, str], Page]:
    files = [file for file in FOLDER.glob("*/*.md") if file.stem != "index"]
    return {(f.parent.name, f.stem): Page(f.parent.name, f.stem, f.read_text(encoding="utf-8")) for f in files}


def test_every_part_has_a_page_and_every_page_a_part() -> None:
    assert set(pages()) == set(found())


def test_every_page_is_listed_once_in_the_overview_and_in_its_kind() -> None:
    overview = Counter(re.findall(r"\]\((\w+/[\w.]+)\.md\) \|", (FOLDER / "index.md").read_text(encoding="utf-8")))
    assert overview == Counter("/".join(each) for each in found())
    for kind in REGISTRIES:
        lines = (FOLDER / kind / "index.md").read_text(encoding="utf-8").splitlines()
        assert {name for of, name in found() if of == kind} <= set(lines)


def test_a_page_has_its_sections_in_order_and_its_directives() -> None:
    for where, page in pages().items():
        assert page.text.startswith(f"# `{page.name}`: "), where
        assert tuple(page.parts)[1:] == SECTIONS, where
        assert f"```{{part-card}} {page.kind} {page.name}\n```" in page.parts[""], where
        assert f"```{{part-options}} {page.kind} {page.name}\n```" in page.parts["Options"], where
        thin = [head for head, text in page.written.items() if head != "In a run file" and len(text.split()) < 3]
        assert not thin, where


def test_its_paper_is_the_one_that_the_code_names() -> None:
    for where, page in pages().items():
        paper = page.written["Paper"]
        for number in NUMBER.findall(found()[where].source):
            assert f"https://arxiv.org/abs/{number})" in paper, f"{where}: {number}"
        assert "](" in paper or re.search(r"\b[Nn]o(ne)?\b", paper), where


def test_its_run_file_lines_name_it() -> None:
    for where, page in pages().items():
        (block,) = re.findall(r"^```toml\n(.*?)^```$", page.parts["In a run file"], flags=re.M | re.S)
        assert page.name in named(page.kind, tomllib.loads(block)), where


def named(kind: str, run: dict[str, Any]) -> list[str]:
    """The parts of a kind that a run file names."""
    models = run.get("models", [])
    if kind in ("encoders", "engines"):
        return [run["encoder"]["kind"] if kind == "encoders" else run["llm"]["engine"]]
    if kind == "objectives":
        return [part["name"] for each in models for part in each.get("objectives", [])]
    if kind == "adaptors":
        return [each["features"]["adaptor"]["name"] for each in models if "adaptor" in each.get("features", {})]
    if kind == "backbones":
        return [each["backbone"]["name"] for each in models if "backbone" in each]
    section, key, default = PLACES[kind]
    return [each.get(key, default) for each in run.get(section, [])]


def test_every_option_says_what_it_means_and_every_card_something() -> None:
    for where in found():
        options = part_options(*where)
        assert all(each.meaning and each.type and each.default for each in options), where
        assert len({each.name for each in options}) == len(options), where
        assert all(part_card(*where).values()), where
    assert [(each.name, each.default) for each in part_options("recommenders", "transfer")] == [("trained", NEEDED)]


def test_options_that_are_written_about_exist() -> None:
    """A name in backticks is an option of the page's part, of another part, or a word of the run file."""
    for where, page in pages().items():
        own = {each.name for each in part_options(*where)}
        for code in CODE.findall(" ".join(page.written.values())):
            assigned = ASSIGNED.match(code)
            word = assigned[1] if assigned else code
            if re.fullmatch(r"[a-z][a-z0-9_]*", word):
                assert word in own | words(), f"{where}: {code} is no option, key or part"
        for code in CODE.findall(page.written["Options"]):
            if assigned := re.match(r"([a-z_]+) = ", code):
                assert assigned[1] in own | keys(), f"{where}: {code} is none of its options"


@cache
def keys() -> frozenset[str]:
    """Every key of a section of the run file."""
    return frozenset(key for model in models() for key in model.model_fields)


@cache
def models() -> tuple[type[BaseModel], ...]:
    return tuple(each for each in vars(sections).values() if isinstance(each, type) and issubclass(each, BaseModel))


@cache
def words() -> frozenset[str]:
    """Everything that a run file can say: parts, their options and the values of these, sections and keys."""
    options = [each for part in found() for each in part_options(*part)]
    values = {value for each in options for value in CODE.findall(each.type)}
    annotations = " ".join(str(info.annotation) for model in models() for info in model.model_fields.values())
    answers = {word for part in found() for word in re.findall(r"\w+", part_card(*part).get("yields", ""))}
    parts = {name for _, name in found()}
    return frozenset(
        {each.name for each in options}
        | {*values, *re.findall(r"'(\w+)'", annotations), *keys(), *parts, *answers, *OTHER_WORDS}
    )


def test_its_figures_are_ours_and_what_has_none_says_so() -> None:
    for where, page in pages().items():
        measured = page.written["What was measured"]
        assert "](" in measured or NOT_MEASURED in measured, where
        if NOT_MEASURED in measured:
            tests = TEST.findall(measured)
            assert tests, where
            assert all((ROOT / each).exists() for each in tests), f"{where}: {tests}"
        strange = set(FIGURE.findall(measured)) - ours()
        assert not strange, f"{where}: {strange} stand in none of {MEASURED}"


@cache
def ours() -> frozenset[str]:
    text = "\n".join((ROOT / file).read_text(encoding="utf-8") for file in MEASURED)
    return frozenset(each for both in re.findall(r"(?<!\d)0?(\.\d{2,6})|(\d+\.\d+)(?= ?%)", text) for each in both)


def test_no_two_pages_say_the_same() -> None:
    said = Counter[str]()
    for each in pages().values():
        body = CODE.sub("", " ".join(text for head, text in each.written.items() if head != "Paper"))
        said.update({" ".join(line.split()) for line in re.split(r"(?<=[.:;!?]) ", " ".join(body.split()))})
    again = [line for line, times in said.items() if times > 1 and len(line) > 60 and not line.startswith(NOT_MEASURED)]
    assert not again
