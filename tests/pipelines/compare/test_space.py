"""What of a cell a search may change."""

from graph_models.backbones import BACKBONES
from graph_models.objectives import OBJECTIVES
from graph_models.options import check_options, known_options
from pipelines.compare.cells import make_cells
from pipelines.compare.space import TRAINING, WEIGHT, applied, space_of, written
from recommenders import RECOMMENDERS
from schemas.run import load_run
from schemas.sections import Training
from tests.support.compare_world import RUN

ALIGNED = """
[[compare.systems]]
name = "aligned"
backbone = { name = "lightgcn", options = { dim = 8 } }
objectives = [{ name = "rlmrec_con", weight = 0.5, options = { anchors = 5 } }]
training = { loss = "infonce", batch_size = 7 }
[compare.systems.space]
"training.l2" = []
"training.learning_rate" = [0.01, 0.02]
"""


def cell_of(tmp_path, name):
    text = RUN.replace("[[compare.texts]]", ALIGNED + "[[compare.texts]]")
    (tmp_path / "run.toml").write_text(text)
    run = load_run(tmp_path / "run.toml")
    return next(cell for cell in make_cells(run) if cell.name == name), run


def test_the_spaces_of_all_parts_together_and_what_the_run_file_says_instead(tmp_path) -> None:
    assert space_of(*cell_of(tmp_path, "aligned.profiles")) == {
        "backbone.layers": (1, 2, 3),
        "objectives.rlmrec_con.temperature": (0.1, 0.2, 0.5),
        "objectives.rlmrec_con.weight": WEIGHT,
        "training.temperature": TRAINING["temperature"],
        "training.learning_rate": (0.01, 0.02),
    }
    assert space_of(*cell_of(tmp_path, "gf_cf")) == {}  # all held as written
    assert "training.temperature" not in space_of(*cell_of(tmp_path, "lightgcn"))  # BPR has none


def test_what_is_written_is_the_run_files_value_or_the_default(tmp_path) -> None:
    found = written(*cell_of(tmp_path, "aligned.profiles"))
    assert found["backbone.dim"] == 8
    assert found["backbone.layers"] == 3
    assert found["objectives.rlmrec_con.weight"] == 0.5
    assert found["training.batch_size"] == 7
    assert found["training.max_epochs"] == 2


def test_applied_settings_change_nothing_else(tmp_path) -> None:
    cell, run = cell_of(tmp_path, "aligned.profiles")
    model = applied(cell.model, {"backbone.layers": 1, "objectives.rlmrec_con.weight": 0.01, "training.l2": 0.5})
    assert model.backbone.options == {"dim": 8, "layers": 1}
    assert (model.objectives[0].weight, model.objectives[0].options) == (0.01, {"anchors": 5})
    assert (run.training_of(model).l2, run.training_of(model).batch_size) == (0.5, 7)
    assert applied(cell.model, {}) == cell.model


def test_every_value_of_every_space_is_one_that_the_part_takes() -> None:
    for part in (*RECOMMENDERS.values(), *BACKBONES.values(), *OBJECTIVES.values()):
        for name, values in part.space.items():
            takes = part.options_of() if part in RECOMMENDERS.values() else part
            assert name in known_options(takes), part
            for value in values:
                check_options(takes, {name: value}, part.__name__)
    assert set(TRAINING) <= set(Training.model_fields)
