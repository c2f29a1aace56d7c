"""What of the graph benchmark is not timing: its synthetic graph, marks, peers' environment, turns and command line."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.figures import Figure, at_most, failing
from benchmarks.graph import evaluations, runs, steps
from benchmarks.graph.encoding import cosines, english
from benchmarks.graph.growth import draw, exponent
from benchmarks.graph.peers import PEERS
from benchmarks.graph.scenarios import scenarios
from benchmarks.graph.synthetic import power_law
from benchmarks.graph.turns import alternate, clients, ratio
from benchmarks.graph.world import MISSING
from benchmarks.scenario import Scenario, command_line, perform
from schemas.errors import LoregraphError


def test_the_synthetic_graph_has_so_many_distinct_pairs_and_everybody_has_one():
    part = power_law(20_000)
    assert (part.num_users, part.num_items) == (737, 1012)
    assert len(np.unique(part.edges, axis=1).T) == len(part) == 20_000
    assert part.user_degree.min() >= 1
    assert part.item_degree.min() >= 1


def test_its_degrees_fall_by_a_power_and_popular_numbers_do_not_lie_together():
    part = power_law(200_000)
    degree = np.sort(part.item_degree)[::-1].astype(float)
    rank = np.arange(1, len(degree) + 1)
    middle = slice(len(degree) // 100, len(degree) // 2)
    slope = np.polyfit(np.log(rank[middle]), np.log(degree[middle]), 1)[0]
    assert slope == pytest.approx(1 / 1.7 - 1, abs=0.05)
    first_half = part.item_degree[: part.num_items // 2].sum() / len(part)
    assert first_half == pytest.approx(0.5, abs=0.05)


def test_it_is_the_same_for_the_same_seed_alone():
    assert (power_law(5000).edges == power_law(5000).edges).all()
    assert power_law(5000).edges.tolist() != power_law(5000, seed=1).edges.tolist()


def told(*seconds: float, loss: float = 0.7) -> list[dict[str, float]]:
    return [{"seconds": each, "cpu_s": each, "loss": loss} for each in seconds]


@pytest.mark.parametrize(
    ("pyg", "recbole", "loss", "short"),
    [(6.1, 2.6, 0.7, []), (5.9, 2.6, 0.7, ["PyG"]), (6.1, 2.4, 0.7, ["RecBole"]), (6.1, 2.6, 0.71, ["PyG", "RecBole"])],
)
def test_a_step_has_a_mark_for_each_peer_and_must_compute_the_same(pyg, recbole, loss, short):
    found = {"ours": told(1.0, 1.0, 9.0, loss=loss), "PyG": told(pyg, pyg, pyg), "RecBole": told(*[recbole] * 3)}
    assert [
        name for figure in failing(steps.compared(found)) for name in ("PyG", "RecBole") if name in figure.what
    ] == short


def test_ranking_is_held_against_the_faster_product_and_against_implicit():
    found = {"rank": told(2.0), "evaluate": told(2.9), "product 256": told(1.0), "product 1024": told(1.5)}
    items = {name: np.array([[1, 2], [3, 4]]) for name in ("ours", "implicit")}
    assert evaluations.over_product(found).passed
    assert not evaluations.over_product(found | {"evaluate": told(3.1)}).passed
    assert not failing(evaluations.over_implicit(found | {"implicit": told(2.1)}, items))
    slower = evaluations.over_implicit(found | {"implicit": told(1.9)}, items)
    assert [figure.what.split(",")[0] for figure in failing(slower)] == ["time of ranking"]


def test_other_items_than_the_peers_fall_short():
    assert evaluations.overlap(np.array([[1, 2], [3, 4]]), np.array([[2, 1], [3, 5]])) == 0.75


@pytest.mark.parametrize(("wall", "cpu", "passed"), [(99.0, 59.0, True), (59.0, 99.0, True), (61.0, 62.0, False)])
def test_other_work_on_the_machine_does_not_decide_on_a_time(wall, cpu, passed):
    assert runs.less_of("closed_form", "time", {"seconds": wall, "cpu_s": cpu}, 60.0).passed == passed


def test_a_ratio_is_of_medians_with_the_range_of_the_turns():
    found = ratio(told(1.0, 2.0, 6.0), told(2.0, 4.0, 4.0))
    assert (found.median, found.low, found.high) == (0.5, 0.5, 1.5)


def test_exponents_are_slopes_of_the_logarithms(tmp_path):
    rows = [{"edges": size, "epoch_s": 3 * size, "rank_s": size**0.5, "above_mb": size} for size in (10, 100, 1000)]
    assert exponent(rows, "epoch_s") == pytest.approx(1.0)
    assert exponent(rows, "rank_s") == pytest.approx(0.5)
    draw(rows, tmp_path / "plot" / "growth.png")
    assert (tmp_path / "plot" / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_texts_are_english_of_60_to_120_words_and_the_same_every_time():
    texts = english(20)
    assert all(60 <= len(text.split()) <= 120 for text in texts)
    assert len(set(texts)) == 20
    assert texts == english(20)
    assert cosines(np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[6.0, 8.0], [0.0, 2.0]])).tolist() == [1.0, 0.0]


SERVED = """
from benchmarks.graph.peers.turns import serve
def prepare():
    print("a library says hello")
    return {"add": lambda: {"sum": 1 + 1}, "break": lambda: {}["nothing"]}, {"made": True}
serve(prepare)
"""


def test_clients_take_turns_and_one_that_breaks_is_told_with_its_traceback():
    command = [sys.executable, "-c", SERVED]
    with clients({"one": command, "other": command}) as started:
        assert started["one"].facts["made"]
        found = alternate({name: (client, "add") for name, client in started.items()}, turns=2)
        assert {name: [each["sum"] for each in turns] for name, turns in found.items()} == {
            "one": [2, 2],
            "other": [2, 2],
        }
        assert 1 < found["one"][0]["peak_mb"] < 200
        with pytest.raises(LoregraphError, match="KeyError: 'nothing'"):
            started["one"].turn("break")


def test_without_the_peers_environment_a_pair_says_how_to_make_it(tmp_path, monkeypatch):
    absent = replace(PEERS, folder=tmp_path / "none")
    assert not absent.is_set_up
    assert absent.missing == "skipped: not installed; run python -m benchmarks.graph peers"
    monkeypatch.setattr(steps, "PEERS", absent)
    assert list(steps.commands("file.npz", tmp_path)) == ["ours"]


def test_an_environment_that_cannot_be_made_says_why_and_counts_as_absent(tmp_path):
    (tmp_path / "file").write_text("in the way")
    made = replace(PEERS, folder=tmp_path / "file" / "venv")
    with pytest.raises(LoregraphError, match=r"-m venv --clear .*Not a directory"):
        made.set_up()
    assert not made.is_set_up


def test_an_environment_of_older_pins_counts_as_absent(tmp_path):
    (tmp_path / "installed.txt").write_text(PEERS.requirements.read_text())
    made = replace(PEERS, folder=tmp_path)
    assert made.is_set_up
    (tmp_path / "installed.txt").write_text("implicit==0.7.2\n")
    assert not made.is_set_up


def test_every_pin_of_the_peers_is_exact_and_torch_is_the_projects():
    lines = PEERS.requirements.read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all("==" in pin for pin in pins)
    assert next(pin for pin in pins if pin.startswith("torch=")) in Path("pyproject.toml").read_text()


def test_scenarios_have_short_forms_and_an_unknown_one_is_named(capsys):
    names = [scenario.name for scenario in scenarios()]
    assert names == ["step", "evaluation", "memory", "closed_form", "quality", "growth", "encoding"]
    assert all(scenario.check is not None for scenario in scenarios())
    with pytest.raises(SystemExit) as ended:
        command_line("benchmarks.graph", None, "", scenarios()).parse_args(["--only", "steps"])
    assert ended.value.code == 2
    assert "steps: expected some of closed_form, encoding" in capsys.readouterr().err


def test_what_needs_gowalla_says_so_where_it_is_absent(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "is_there", lambda: False)
    for figures in (runs.closed_form(), runs.quality(tmp_path)):
        assert [figure.found for figure in figures] == [MISSING]
    assert "interactions.parquet; set LOREGRAPH_DATA" in MISSING


def test_the_command_prints_figures_and_ends_with_1_where_one_falls_short_or_breaks_off(capsys):
    def broken(_: Path) -> list[Figure]:
        raise LoregraphError("no such file")

    made = (
        Scenario("good", ("good",), lambda _: [at_most("good", "what", 1.0, 2.0)], None),
        Scenario("bad", ("bad",), broken, broken),
    )
    parser = command_line("benchmarks.graph", None, "", made)
    codes = {}
    for options in ("--only good", "--only bad", "--check"):
        with pytest.raises(SystemExit) as ended:
            perform(parser.parse_args(options.split()), made, PEERS)
        codes[options] = ended.value.code
    assert codes == {"--only good": 0, "--only bad": 1, "--check": 1}
    shown = capsys.readouterr()
    assert shown.out.count("ok   good") == 1
    assert "bad: broke off: LoregraphError: no such file" in shown.err
