"""CoLLM's two stages: the words first, then the projectors while LoRA stays to the bit."""

import torch

from graph_models.curve import Epoch
from recommenders import load_recommender
from recommenders.tuned.vectors import own_vectors
from tests.support.planted import planted, save_reader
from tests.support.tuned import made, planted_features, planted_run

LORA = {"candidates": 6, "tune": "lora", "lora_rank": 4, "samples": 40, "history": 2}


def test_the_second_stage_leaves_the_language_model_as_it_was_and_trains_the_projectors(tmp_path):
    corpus, epochs = planted(), 2
    run = planted_run(save_reader(tmp_path / "reader", corpus), epochs)
    after: dict[str, dict[str, torch.Tensor]] = {}

    def note(told):
        if isinstance(told, Epoch) and told.epoch == epochs:
            state = {name: value.clone() for name, value in found.network.state_dict().items()}
            after["vectors" if after else "text"] = state

    found = made("collm", run, LORA, progress=note)
    found.fit(corpus, planted_features(corpus))
    changed = {name for name, value in after["text"].items() if not torch.equal(value, after["vectors"][name])}
    assert changed
    assert all(name.startswith("project.") for name in changed)
    assert any("lora_B" in name and value.abs().sum() > 0 for name, value in after["text"].items())


def test_what_is_saved_has_both_stages(tmp_path):
    corpus = planted()
    found = made("collm", planted_run(save_reader(tmp_path / "reader", corpus), 2), LORA)
    found.fit(corpus, planted_features(corpus))
    found.save(tmp_path / "saved")
    loaded = load_recommender(tmp_path / "saved")
    for name, value in found.network.state_dict().items():
        assert torch.equal(value, loaded.network.state_dict()[name]), name


def test_a_user_or_item_without_a_vector_has_the_learned_one(tmp_path):
    corpus = planted()
    found = made("collm", planted_run(save_reader(tmp_path / "reader", corpus), 1), LORA)
    found.fit(corpus, planted_features(corpus))
    found.network.get_buffer("item")[7] = 0
    tokens = found.network.soft("item", torch.tensor([7, 8]).numpy())
    unknown = found.network.project["item"].unknown
    assert torch.allclose(tokens[0] / tokens[0].norm(), unknown / unknown.norm(), atol=1e-6)
    assert not torch.allclose(tokens[1], tokens[0])


def test_vectors_have_a_mean_length_of_one(tmp_path):
    corpus = planted()
    found = made("collm", planted_run(save_reader(tmp_path / "reader", corpus), 1), LORA)
    found.fit(corpus, planted_features(corpus))
    for table in own_vectors(found.vectors, "collm"):
        lengths = torch.from_numpy(table).norm(dim=1)
        assert torch.isclose(lengths[lengths > 0].mean(), torch.tensor(1.0))


def test_projectors_learn_in_bfloat16(tmp_path):
    corpus = planted()
    run = planted_run(save_reader(tmp_path / "reader", corpus), 1, precision="bfloat16", valid_users=4)
    found = made("collm", run, LORA)
    found.fit(corpus, planted_features(corpus))
    assert torch.isfinite(torch.tensor(found.history[-1].loss["loss"]))
    assert found.network.project["item"].unknown.dtype == torch.float32
