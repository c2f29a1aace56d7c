import numpy as np
import pytest
import torch

from features.table import FeatureSet
from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.kept import Kept
from graph_models.model import build_model
from graph_models.trainer import fit
from recommenders import Graph, load_recommender, make_recommender
from recommenders.graph import Start
from schemas.run import Run
from schemas.sections import Data, Features, Model, Objective, Part, Training
from tests.support.communities import USERS, community_text, two_communities

TRAINING = Training(loss="infonce", negatives=10, batch_size=64, learning_rate=0.02, max_epochs=6, evaluate_every=2)
RUN = Run(name="two", lake="lake", data=Data(path="data"), training=TRAINING, device="cpu")
MODEL = Model(name="lightgcn", backbone=Part(name="lightgcn", options={"dim": 8}))


def fitted(folder=None, model=MODEL, seed=1, progress=None, text=None) -> Graph:
    torch.set_num_threads(1)
    made = make_recommender(model, RUN, seed, folder, progress)
    assert isinstance(made, Graph)
    made.fit(two_communities(), text or FeatureSet())
    return made


def test_the_curve_and_the_validation_are_told():
    heard = []
    made = fitted(progress=heard.append)
    assert list(made.history) == heard
    assert made.valid == made.history[made.best_epoch - 1].valid
    assert {"recall@20", "ndcg@5", "mrr@10"} <= set(made.valid)


def test_the_same_night_again_trains_nothing(tmp_path):
    first = fitted(tmp_path)
    heard = []
    again = fitted(tmp_path, progress=heard.append)
    assert heard == []
    assert np.array_equal(again.user, first.user)
    assert again.valid == first.valid


@pytest.mark.parametrize("change", [{"training": {"l2": 0.1}}, {"backbone": Part(name="lightgcn", options={"dim": 4})}])
def test_another_setting_trains_anew(tmp_path, change):
    fitted(tmp_path)
    heard = []
    fitted(tmp_path, MODEL.model_copy(update=change), progress=heard.append)
    assert len(heard) == 6


def test_another_seed_is_another_run(tmp_path):
    one, two = fitted(tmp_path), fitted(tmp_path, seed=2)
    assert not np.array_equal(one.user, two.user)


def test_a_model_that_reads_no_text_is_the_same_with_and_without():
    assert np.array_equal(fitted().user, fitted(text=community_text()).user)


def test_a_user_known_by_text_alone_is_served_from_it():
    text = community_text()
    user = text.user
    user.x[-1], user.present[-1] = user.x[0], True
    model = Model(name="alpharec", backbone=Part(name="alpharec"), features=Features(item="title", user="a/b"))
    made = fitted(model=model, text=text)
    found = made.recommend(np.array([2 * USERS]), 5)
    assert (found.item < 10).all()  # the community that the text speaks of
    popular = fitted(text=community_text(), model=model).recommend(np.array([2 * USERS]), 5)
    assert not np.array_equal(found.score, popular.score)


def warm(folder, earlier, model=MODEL, progress=None, text=None) -> Graph:
    """Fitted from what an earlier one has saved in a folder."""
    torch.set_num_threads(1)
    made = make_recommender(model, RUN, 1, folder, progress)
    assert isinstance(made, Graph)
    made.start = Start("2026-01-01", "abc", earlier)
    made.fit(two_communities(), text or FeatureSet())
    return made


def test_the_best_epochs_parameters_are_saved_with_their_nodes(tmp_path):
    fitted(tmp_path).save(tmp_path)
    kept = Kept.load(tmp_path)
    assert kept.parameters["backbone.embedding"].shape == (kept.nodes.height, 8)
    assert kept.nodes.filter(~kept.nodes["trained"])["id"].to_list() == ["u99", "i99"]
    assert kept.nodes.row(2 * USERS + 1) == ("item", "i00", True)
    assert load_recommender(tmp_path).user.shape == (2 * USERS + 1, 9)  # what serves is what it was
    fitted().save(tmp_path / "nothing")
    assert sorted(file.name for file in (tmp_path / "nothing").iterdir()) == ["recommender.json", "vectors.safetensors"]


def test_a_warm_start_begins_where_the_earlier_model_ended_and_says_so(tmp_path):
    earlier = fitted(tmp_path / "one")
    earlier.save(tmp_path / "one")
    made = warm(tmp_path / "two", tmp_path / "one")
    assert made.history[0].epoch == 0
    assert made.history[0].valid == earlier.valid
    assert made.best_epoch > 0
    assert made.report["warm_start"] == {
        "from": "2026-01-01",
        "config_hash": "abc",
        "nodes_kept": 2 * USERS + 20,
        "new_from_text": 0,
        "new_from_neighbours": 0,
        "fresh": 2,
        "parameters_fresh": [],
    }


def test_a_warm_run_goes_on_from_its_own_checkpoint_and_from_no_other(tmp_path):
    fitted(tmp_path / "one").save(tmp_path / "one")
    first, heard = warm(tmp_path / "two", tmp_path / "one"), []
    again = warm(tmp_path / "two", tmp_path / "one", progress=heard.append)
    assert heard == []
    assert np.array_equal(again.user, first.user)
    fitted(tmp_path / "two", progress=heard.append)
    assert [epoch.epoch for epoch in heard] == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("change", [{"features": Features(item="title", pca=3)}, {"control": "shuffled"}])
def test_parameters_that_read_text_of_other_axes_are_not_taken_over(tmp_path, change):
    objectives = (Objective(name="rlmrec_con", weight=0.1),)
    model = MODEL.model_copy(update={"objectives": objectives, "features": Features(item="title"), **change})
    fitted(tmp_path / "one", model, text=community_text()).save(tmp_path / "one")
    report = warm(tmp_path / "two", tmp_path / "one", model, text=community_text()).report["warm_start"]
    assert report["parameters_fresh"] == ["objectives.rlmrec_con: its text has new coordinates tonight"]
    assert report["nodes_kept"] == 2 * USERS + 20


REFIT = MODEL.model_copy(update={"training": {"refit": True}})


def test_a_refit_learns_from_valid_too_and_is_judged_on_validation_as_it_was_chosen():
    corpus, plain, again = two_communities(), fitted(), fitted(model=REFIT)
    assert (again.best_epoch, again.valid) == (plain.best_epoch, plain.valid)
    assert np.array_equal(again.for_validation().user, plain.user)
    short = TRAINING.model_copy(update={"max_epochs": plain.best_epoch, "patience": 100})
    both = make_dataset(corpus.joined.train)
    with seeded(1):
        model = build_model(both, MODEL.backbone)
    expected = fit(both, model, short, 1, None)
    assert np.array_equal(again.user[:-1, :-1], expected.user.numpy()[:-1])  # the last user has nothing
    assert len(corpus.joined.train) == len(corpus.train) + len(corpus.valid)
    assert len(corpus.joined.valid) == 0
    assert not np.allclose(plain.user, again.user, atol=1e-3)


def test_a_refit_goes_on_where_it_was_stopped(tmp_path):
    whole = fitted(model=REFIT)
    epochs = []

    def stop(epoch):
        epochs.append(epoch)
        if len(epochs) == 6 + max(whole.best_epoch - 1, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, REFIT, progress=stop)
    again = fitted(tmp_path, REFIT)
    assert np.array_equal(again.user, whole.user)
    assert np.array_equal(again.for_validation().user, whole.for_validation().user)


def test_what_tensorboard_reads_is_the_curve(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = MODEL.model_copy(update={"training": {"tensorboard": True, "refit": True}})
    made = fitted(tmp_path, model)
    log = EventAccumulator(str(tmp_path / "tensorboard" / "fit")).Reload()
    told = {event.step: event.value for event in log.Scalars("valid/recall@20")}
    assert told == pytest.approx({each.epoch: each.valid["recall@20"] for each in made.history if each.valid})
    assert len(log.Scalars("loss/infonce")) == len(made.history)
    refit = EventAccumulator(str(tmp_path / "tensorboard" / "refit")).Reload()
    assert len(refit.Scalars("loss/infonce")) == made.best_epoch
    assert "valid/recall@20" not in refit.Tags()["scalars"]
