from pathlib import Path

import pytest

from recommenders import check_model, load_recommender, make_recommender
from schemas.errors import ConfigError, StoreError
from schemas.run import Run
from schemas.sections import Data, Features, Model, Objective, Part

RUN = Run(name="two", lake="lake", data=Data(path="data"), file=Path("two.toml"))
LIGHTGCN, TEXT = Part(name="lightgcn"), Features(item="title")
CON = Objective(name="rlmrec_con", weight=0.1)


@pytest.mark.parametrize(
    "model",
    [
        Model(name="m", backbone=LIGHTGCN),
        Model(name="m", backbone=LIGHTGCN, objectives=(CON,), features=TEXT, control="shuffled"),
        Model(name="m", backbone=Part(name="alpharec", options={"ratio": 1}), features=TEXT),
        Model(name="m", recommender="popularity"),
        Model(name="m", recommender="text_match", features=TEXT, options={"user": "profile"}),
    ],
)
def test_good_models_pass(model):
    check_model(model, RUN)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(name="m", recommender="grph"), r"two\.toml: models\.m\.recommender: grph: unknown, did you mean graph"),
        (Model(name="m"), r"models\.m\.backbone: missing"),
        (Model(name="m", backbone=Part(name="lightgc")), "lightgc: unknown, did you mean lightgcn"),
        (
            Model(name="m", backbone=LIGHTGCN, objectives=(Objective(name="x", weight=1),)),
            "objectives.name: x: unknown",
        ),
        (Model(name="m", backbone=Part(name="lightgcn", options={"layer": 1})), "layer: unknown, did you mean layers"),
        (Model(name="m", backbone=Part(name="lightgcn", options={"dim": 0})), "options.dim: .*greater than 0, found 0"),
        (Model(name="m", backbone=LIGHTGCN, objectives=(CON,)), r"models\.m\.features\.item: missing"),
        (Model(name="m", backbone=Part(name="alpharec")), r"models\.m\.features\.item: missing"),
        (Model(name="m", backbone=LIGHTGCN, control="shuffled"), r"models\.m\.control: shuffled"),
        (Model(name="m", backbone=LIGHTGCN, options={"dim": 3}), "graph has none; put them under backbone.options"),
        (Model(name="m", recommender="text_match"), "text_match reads text"),
        (Model(name="m", recommender="popularity", options={"k": 3}), "k: unknown .known: none"),
        (Model(name="m", recommender="popularity", backbone=LIGHTGCN), "popularity takes no backbone"),
        (Model(name="m", recommender="popularity", training={"l2": 0.0}), "popularity takes no backbone"),
        (
            Model(name="m", recommender="text_match", features=TEXT, options={"user": "men"}),
            "options.user: .*'mean' or 'profile', found 'men'",
        ),
    ],
)
def test_bad_models_are_named_before_anything_is_made(model, message):
    with pytest.raises(ConfigError, match=message):
        check_model(model, RUN)
    with pytest.raises(ConfigError, match=message):
        make_recommender(model, RUN, seed=1)


def test_an_empty_folder_holds_no_recommender(tmp_path):
    with pytest.raises(StoreError, match="no saved recommender here"):
        load_recommender(tmp_path)
    (tmp_path / "recommender.json").write_text('{"recommender": "popularty"}')
    with pytest.raises(StoreError, match="popularty: unknown, did you mean popularity"):
        load_recommender(tmp_path)
    (tmp_path / "recommender.json").write_text('{"recommender": "popularity"}')
    with pytest.raises(StoreError, match=r"vectors\.safetensors: no saved recommender"):
        load_recommender(tmp_path)
