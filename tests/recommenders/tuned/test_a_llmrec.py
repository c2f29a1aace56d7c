"""A-LLMRec: a language model of which nothing changes finds the title that only vectors of user and item can tell."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from features.corpus import Corpus
from graph_models.curve import Epoch, Progress
from language_models.tuning.model import TunableModel
from recommenders import check_model, load_recommender, make_recommender
from recommenders.tuned.a_llmrec import ALLMRec
from recommenders.tuned.lessons import TrainHistories
from schemas.errors import ConfigError
from schemas.run import Run
from schemas.sections import Features, Model, Part
from tests.support.planted import ITEMS, found_first, planted, save_reader
from tests.support.tuned import planted_features, planted_run, with_other_rows

CHANCE = 0.5  # at most; among six it is a sixth, and a quarter of those who change vectors get one of their theme
OPTIONS = {"candidates": 6, "history": 2, "align_dim": 32, "align_epochs": 40, "align_rate": 0.01, "vectors": "themes"}
SMALL = {**OPTIONS, "samples": 16, "align_epochs": 3}


def sharp_reader(folder: Path, corpus: Corpus) -> Path:
    """A wide model of random weights whose logits differ as much as those of one that has learned."""
    save_reader(folder, corpus, hidden=192, layers=1)
    lm = LlamaForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        lm.lm_head.weight.mul_(2)
    lm.save_pretrained(folder)
    return folder


def the_run(reader: Path, epochs: int, **training: object) -> Run:
    themes = Model(name="themes", recommender="pure_svd", options={"dim": 4})  # nobody's own items, his theme alone
    return planted_run(reader, epochs, **training).model_copy(update={"models": (themes,)})


def the_model(**options: object) -> Model:
    whole = {"retriever": "popularity", **options}
    return Model(name="x", recommender="a_llmrec", options=whole, features=Features(item="title"))


def made(run: Run, options: dict, folder: Path | None = None, progress: Progress | None = None) -> ALLMRec:
    found = make_recommender(the_model(**options), run, 1, folder, progress)
    assert isinstance(found, ALLMRec)
    return found


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return planted(named=False)


@pytest.fixture(scope="module")
def reader(corpus, tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return sharp_reader(tmp_path_factory.mktemp("reader"), corpus)


@pytest.fixture(scope="module")
def fitted(corpus, reader) -> ALLMRec:
    run = the_run(reader, 10, learning_rate=0.01, batch_size=16, schedule="cosine", warmup_steps=10)
    found = made(run, OPTIONS)
    found.fit(corpus, planted_features(corpus))
    return found


def test_a_frozen_model_reads_in_vectors_what_titles_do_not_say(fitted, corpus):
    assert found_first(fitted, corpus) > 0.9
    without_users = with_other_rows(fitted, "alignment.user")
    assert found_first(without_users, corpus) < CHANCE
    assert found_first(with_other_rows(without_users, "placed"), corpus) < 0.35
    assert set(fitted.report) == {"alignment", "tuning"}
    assert fitted.report["alignment"]["epochs"] == 40


def test_nothing_of_the_language_model_has_changed(fitted, reader):
    untouched = TunableModel.open(reader, torch.device("cpu"), None, fitted.slots).lm.state_dict()
    own = fitted.model.lm.state_dict()
    assert own.keys() == untouched.keys()
    assert all(torch.equal(value, untouched[name]) for name, value in own.items())
    assert not any(each.requires_grad for each in fitted.model.parameters())
    assert not any(name.startswith("model.") for name, each in fitted.network.named_parameters() if each.requires_grad)


def test_saved_and_loaded_it_ranks_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "saved")
    loaded = load_recommender(tmp_path / "saved")
    users, items = np.arange(20), np.tile(np.arange(0, 48, 8), (20, 1))
    assert np.array_equal(loaded.scores(users, items), fitted.scores(users, items))
    kept = (tmp_path / "saved" / "tuned.safetensors").stat().st_size
    assert kept < 4 * sum(each.numel() for each in fitted.network.parameters())  # bytes: the model is not among it


def test_the_user_stands_in_front_and_every_title_has_its_item(fitted):
    (shown,) = fitted.listed(np.array([3]), np.array([[40, 1, 2]]))
    prompt = fitted.prompt(fitted.serving, shown)
    words = fitted.model.tokenizer.convert_ids_to_tokens([prompt.ids[slot] for slot in prompt.slots])
    assert words == ["<user>", *["<item>"] * 5]
    (soft,) = fitted.soft(fitted.serving, [shown], [prompt])
    items = np.array([*fitted.serving.item[shown.places], *shown.items])
    assert torch.equal(soft[0], fitted.network.users(np.array([3]))[0])
    assert torch.equal(soft[1:], fitted.network.items(items))
    for row, item in enumerate(items, 1):
        title = fitted.shown.titles[item]
        before = fitted.model.tokenizer.decode(prompt.ids[prompt.slots[row - 1] : prompt.slots[row]])
        assert title in before


def test_a_shortened_prompt_keeps_the_items_of_the_titles_that_are_left(fitted):
    (shown,) = fitted.listed(np.array([3]), np.array([[40, 1, 2]]))
    whole = fitted.prompt(fitted.serving, shown)
    short = replace(whole, slots=(whole.slots[0], *whole.slots[2:]))  # as without the oldest item
    (all_of_them,), (fewer,) = (fitted.soft(fitted.serving, [shown], [prompt]) for prompt in (whole, short))
    assert torch.equal(fewer, torch.cat([all_of_them[:1], all_of_them[2:]]))


def test_a_cold_item_is_placed_by_its_text_and_is_no_negative(corpus, reader):
    kept = (corpus.part != 0) | (corpus.edges[1] % ITEMS < 10)
    parts = {"edges": corpus.edges[:, kept], "time": corpus.time[kept], "weight": corpus.weight[kept]}
    fewer = replace(corpus, **parts, part=corpus.part[kept])
    cold = np.flatnonzero(fewer.train.item_degree == 0)
    found = made(the_run(reader, 1), SMALL)
    found.fit(fewer, planted_features(fewer))
    alignment = found.network.alignment
    text = alignment.get_buffer("text")
    assert len(cold) >= 8
    assert torch.equal(found.network.get_buffer("placed")[cold], alignment.textual.encode(text[cold]))
    learned = TrainHistories.of(fewer, 0, 1)
    drawn = [found.drawn(learned.lesson(int(place)), np.random.default_rng(place)) for place in learned.places]
    assert not {item for each in drawn for item in each.items} & set(cold)
    assert all(len(set(each.items)) == 6 for each in drawn)


class StopError(Exception):
    pass


@pytest.mark.parametrize("stopped", [2, 4])  # the second epoch of the first stage, the first of the second
def test_a_stopped_training_goes_on_with_the_curve_that_it_would_have_had(stopped, corpus, reader, tmp_path):
    run, features = the_run(reader, 2, valid_users=8), planted_features(corpus)
    told: list[Epoch] = []

    def note(event):
        if isinstance(event, Epoch):
            told.append(event)

    def stop(event):
        note(event)
        if len(told) == stopped:
            raise StopError

    whole = made(run, SMALL, tmp_path / "whole", note)
    whole.fit(corpus, features)
    losses = [event.loss for event in told]
    assert len(losses) == 5
    told.clear()
    with pytest.raises(StopError):
        made(run, SMALL, tmp_path / "parts", stop).fit(corpus, features)
    again = made(run, SMALL, tmp_path / "parts", note)
    again.fit(corpus, features)
    assert [event.loss for event in told] == losses
    assert (again.valid, again.report) == (whole.valid, whole.report)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (the_model().model_copy(update={"features": None}), r"models\.x\.features\.item: missing; a_llmrec aligns"),
        (the_model(tune="full"), r"models\.x\.options\.tune: a_llmrec tunes nothing of the language model"),
        (the_model(lora_rank=4), r"models\.x\.options\.lora_rank: "),
        (the_model(align_dims=64), "did you mean align_dim"),
        (the_model(vectors="ease"), "recommender with vectors"),
        (the_model().model_copy(update={"backbone": Part(name="mf")}), "takes no backbone"),
        (the_model().model_copy(update={"llm": {"engine": "openai", "model": "m"}}), "needs logits.*inputs_embeds"),
    ],
)
def test_what_cannot_be_made_is_refused_with_the_run_file(model, expected, reader):
    with pytest.raises(ConfigError, match=expected):
        check_model(model, the_run(reader, 1))


def test_dropout_of_a_frozen_model_stays_off(fitted):
    fitted.network.train()
    try:
        assert fitted.network.project.training
        assert not any(each.training for each in fitted.model.modules())
    finally:
        fitted.network.eval()


def test_frozen_weights_are_as_narrow_as_the_products_and_what_is_trained_is_not(corpus, reader):
    found = made(the_run(reader, 1, precision="bfloat16", valid_users=8), SMALL)
    found.fit(corpus, planted_features(corpus))
    assert {each.dtype for each in found.model.lm.parameters()} == {torch.bfloat16}
    trained = list(found.network.project.parameters())
    assert {each.dtype for each in trained} == {torch.float32}
    assert all(each.isfinite().all() for each in trained)
