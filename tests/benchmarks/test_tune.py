"""The search: the same draws for the same seed, and shared draws for a baseline and its candidate."""

from itertools import islice

from benchmarks.tune import BACKBONE, OBJECTIVE, TRAINING, draws
from schemas.sections import Features, Model, Objective, Part

LIGHTGCN = Model(name="a", backbone=Part(name="lightgcn", options={"dim": 8}), training={"batch_size": 7})
CANDIDATE = LIGHTGCN.model_copy(
    update={
        "name": "b",
        "objectives": (Objective(name="rlmrec_con", weight=1.0, options={"anchors": 5}),),
        "features": Features(item="title"),
    }
)


def test_draws_are_different_settings_and_the_same_ones_for_the_same_seed() -> None:
    drawn = list(draws(LIGHTGCN, 6, seed=0))
    assert drawn == list(draws(LIGHTGCN, 6, seed=0))
    assert drawn != list(draws(LIGHTGCN, 6, seed=1))
    assert len({model.model_dump_json() for model in drawn}) == 6


def test_what_the_run_file_says_stays_where_nothing_is_drawn() -> None:
    for model in draws(CANDIDATE, 4, seed=0):
        assert model.training["batch_size"] == 7
        assert model.backbone.options["dim"] == 8
        assert model.objectives[0].options["anchors"] == 5


def test_a_candidate_gets_its_baselines_draws_and_its_own_for_the_objective() -> None:
    pairs = list(zip(islice(draws(LIGHTGCN, 3, 0), 3), draws(CANDIDATE, 3, 0), strict=True))
    for baseline, candidate in pairs:
        assert baseline.training == candidate.training
        assert baseline.backbone == candidate.backbone
        assert candidate.objectives[0].weight in OBJECTIVE["weight"]


def test_every_searched_name_is_one_that_the_models_take() -> None:
    from graph_models.backbones import BACKBONES
    from graph_models.objectives import OBJECTIVES
    from graph_models.options import known_options
    from schemas.sections import Training

    assert set(TRAINING) <= set(Training.model_fields)
    for name, space in BACKBONE.items():
        assert set(space) <= set(known_options(BACKBONES[name]))
    assert {"temperature"} <= set(known_options(OBJECTIVES["rlmrec_con"]))
