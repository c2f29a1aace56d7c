"""Which cells a run file comes to, and what is refused before anything is read."""

import pytest

from pipelines.checks import check_run
from pipelines.compare.cells import make_cells, reads
from pipelines.steps.vectors import TextSource, text_sources
from schemas.errors import ConfigError
from schemas.run import load_run
from tests.support.compare_world import RUN

GRAPHS = """
[[compare.systems]]
name = "aligned"
backbone = { name = "lightgcn" }
objectives = [{ name = "rlmrec_con", weight = 0.1 }]
without = "lightgcn"
[[compare.systems]]
name = "proposed"
backbone = { name = "lightgcn" }
objectives = [{ name = "llmrec_triplets" }]
without = "lightgcn"
[[compare.texts]]
name = "both"
item = ["title", "rlmrec.item/summarization"]
edges = ["llmrec.edges"]
[[recipes]]
name = "llmrec.edges"
"""


@pytest.fixture
def load(tmp_path):
    def make(text=RUN):
        (tmp_path / "run.toml").write_text(text)
        return load_run(tmp_path / "run.toml")

    return make


def names(run, *chosen):
    return [cell.name for cell in make_cells(run, *chosen)]


def test_systems_without_text_come_once_and_the_others_with_every_text_and_control(load) -> None:
    assert names(load()) == [
        "popularity",
        "gf_cf",
        "lore_filter.profiles",
        "lore_filter.profiles.shuffled",
        "lore_filter.profiles.random",
        "lore_filter.title-only",
        "lightgcn",
    ]


def test_a_control_differs_from_its_cell_in_the_control_alone(load) -> None:
    cells = {cell.name: cell for cell in make_cells(load())}
    cell, control = cells["lore_filter.profiles"], cells["lore_filter.profiles.shuffled"]
    changed = {"name": cell.name, "control": "none", "control_of": None}
    assert control.model.control_of == cell.name
    assert control.model.model_copy(update=changed) == cell.model
    assert cells["lore_filter.title-only"].model.features.item == "title"
    assert not cell.seeded
    assert control.seeded  # each seed shuffles otherwise


def test_a_system_gets_what_it_reads_and_no_text_that_lacks_it(load) -> None:
    cells = {cell.name: cell for cell in make_cells(load(RUN + GRAPHS))}
    assert "proposed.profiles" not in cells  # has no edges
    assert "proposed.title-only" not in cells
    assert cells["proposed.both"].model.features.item is None
    assert cells["proposed.both"].model.features.edges == ("llmrec.edges",)
    assert cells["aligned.both"].model.features.edges == ()
    assert cells["aligned.both"].model.features.item == ("title", "rlmrec.item/summarization")
    assert reads(cells["proposed.both"].system)


def test_a_text_that_is_the_title_is_its_own_title_control(load) -> None:
    text = RUN.replace('item = "rlmrec.item/summarization"', 'item = "title"')
    assert "lore_filter.title-only" not in names(load(text))


def test_a_part_of_the_matrix_keeps_what_it_is_measured_against(load) -> None:
    run = load(RUN.replace("trials = 3", 'trials = 3\nbaseline = "popularity"\ncontrols = []'))
    assert names(run, ["lore_filter"]) == ["popularity", "gf_cf", "lore_filter.profiles"]
    with pytest.raises(ConfigError, match="did you mean lore_filter"):
        make_cells(run, ["lore_filer"])


def test_texts_and_the_title_are_encoded(load) -> None:
    assert text_sources(load()) == [TextSource("item", "rlmrec.item/summarization"), TextSource("item", "title")]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('without = "gf_cf"', 'without = "gfcf"', "did you mean gf_cf"),
        ("trials = 3", 'trials = 3\nbaseline = "nobody"', "baseline: nobody: unknown"),
        ('name = "gf_cf"\n', 'name = "gf_cf"\ntrials = 9\n', "compare.systems.trials: unknown|systems.1: trials"),
        ('name = "gf_cf"\n', 'name = "gf_cf"\noptions = { rnk = 3 }\n', "compare.systems.gf_cf.options: rnk"),
        ('name = "gf_cf"\n', 'name = "gf_cf"\noptions = { rank = 0 }\n', "compare.systems.gf_cf.options.rank"),
        ('"options.text" = [0.0, 0.1, 0.4]', '"options.txt" = [0.0]', "lore_filter.space: options.txt: unknown"),
        ('"options.text" = [0.0, 0.1, 0.4]', '"options.text" = ["a"]', "lore_filter.space.text"),
        ('recommender = "gf_cf"', 'recommender = "gfcf"', "recommender: gfcf: unknown"),
        ('item = "rlmrec.item/summarization"', 'item = "rlmrec.itm/summarization"', "did you mean rlmrec.item"),
        ('item = "rlmrec.item/summarization"', 'fuse = "mean"', "lore_filter: reads text or edges"),
        ("trials = 3", 'trials = 3\nbaseline = "lore_filter"', "compare.baseline: lore_filter reads text"),
        ('without = "gf_cf"', 'without = "lore_filter"', "lore_filter.without: lore_filter reads text"),
        ("graph_trials = 2", "graph_trials = 0", "graph_trials"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(load, old, new, said) -> None:
    assert old in RUN
    with pytest.raises(ConfigError, match=said):
        check_run(load(RUN.replace(old, new, 1)))


def test_a_matrix_needs_a_system_without_text(load) -> None:
    text = RUN[: RUN.index("[[compare.systems]]")] + RUN[RUN.index('[[compare.systems]]\nname = "lore_filter"') :]
    text = text[: text.index('[[compare.systems]]\nname = "lightgcn"')] + text[text.index("[[compare.texts]]") :]
    with pytest.raises(ConfigError, match="expected one that reads no text"):
        check_run(load(text.replace('without = "gf_cf"\n', "")))
