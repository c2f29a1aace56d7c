"""The search: the same draws for the same seed, shared ones for shared coordinates, never twice the same settings."""

import pytest

from pipelines.compare.search import best_of, planned, search, size

SPACE = {"a": (1, 2, 3, 4), "b": (0.1, 0.2, 0.3), "c": ("x", "y", "z")}
START = {"a": 9, "b": 0.1, "c": "x"}  # 9 is not on the grid


def run(space=SPACE, start=START, trials=12, seed=0, measure=lambda settings: 0.0):
    return search(space, start, trials, seed, measure)


def test_first_as_written_then_half_at_random_then_around_the_best() -> None:
    found = run(trials=12, measure=lambda settings: -abs(settings["a"] - 3) - settings["b"])
    assert [trial.kind for trial in found] == ["written"] + ["random"] * 6 + ["local"] * 5
    assert found[0].settings == START
    for place in range(7, 12):
        before = best_of(found[:place]).settings
        assert 1 <= sum(before[name] != found[place].settings[name] for name in SPACE) <= 2


def test_no_settings_are_tried_twice_and_each_is_measured_once() -> None:
    asked = []
    found = run(trials=30, measure=lambda settings: asked.append(dict(settings)) or 0.0)
    assert len(asked) == len(found) == 30
    assert len({str(settings) for settings in asked}) == 30


def test_the_same_seed_gives_the_same_trials() -> None:
    assert run(seed=1) == run(seed=1)
    assert run(seed=1) != run(seed=2)


def test_cells_that_share_coordinates_get_the_same_draws_of_them() -> None:
    wide = {**SPACE, "d": tuple(range(50))}
    narrow = [trial.settings for trial in run(trials=9) if trial.kind == "random"]
    both = [trial.settings for trial in run(wide, {**START, "d": 0}, trials=9) if trial.kind == "random"]
    assert [{name: settings[name] for name in SPACE} for settings in both] == narrow


def test_what_is_inherited_is_where_the_search_starts_and_random_draws_leave_it() -> None:
    inherited = {"a": 2, "b": 0.3}
    found = search(SPACE, START, 9, 0, lambda settings: 0.0, inherited)
    assert found[0].settings == {"a": 2, "b": 0.3, "c": "x"}
    drawn = [trial.settings for trial in found if trial.kind == "random"]
    assert all(settings | inherited == settings for settings in drawn)
    assert {settings["c"] for settings in drawn} == {"y", "z"}, "its own coordinate is drawn"
    assert any(trial.settings | inherited != trial.settings for trial in found if trial.kind == "local")


def test_a_small_space_is_tried_whole() -> None:
    small = {"a": (1, 2), "b": (3, 4)}
    found = run(small, {"a": 1, "b": 3}, trials=12)
    assert [trial.settings for trial in found] == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]
    assert size(small, {"a": 1, "b": 3}) == planned(small, {"a": 1, "b": 3}, 12) == 4
    assert size(small, {"a": 7, "b": 3}) == 5
    assert [trial.kind for trial in run({}, {}, trials=5)] == ["written"]


def test_a_space_hardly_larger_than_the_budget_is_no_endless_search() -> None:
    space = {"a": (1, 2, 3), "b": (1, 2, 3)}
    assert len(run(space, {"a": 1, "b": 1}, trials=8)) == 8


def test_the_search_gets_nearer_to_the_best_than_the_written_settings() -> None:
    space = {name: tuple(range(10)) for name in "abcd"}
    found = run(space, dict.fromkeys(space, 0), 40, measure=lambda settings: sum(settings.values()))
    assert best_of(found).value >= 28


def test_of_equal_ones_the_first_is_the_best_and_failed_ones_are_never() -> None:
    found = run(measure=lambda settings: float("-inf") if settings["a"] == 9 else 1.0)
    assert best_of(found) == found[1]
    assert best_of(run()).kind == "written"


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_small_budgets(trials) -> None:
    assert len(run(trials=trials)) == trials
