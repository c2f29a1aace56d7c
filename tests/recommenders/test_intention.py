"""A sentence in a user's layer 0: by hand, against dense propagation, and where there is none to follow."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from features.table import FeatureSet, FeatureTable, mean_of_items
from graph_models.dataset import make_dataset
from graph_models.tower import text_tower
from recommenders import load_recommender, make_recommender
from recommenders.graph import Graph
from recommenders.intention import Intention, Steered
from schemas.errors import ConfigError, DataError
from schemas.run import Run
from schemas.sections import Data, Features, Model, Objective, Part, Training
from tests.support.communities import ITEMS, USERS, community_text, two_communities

TRAINING = Training(loss="infonce", negatives=10, batch_size=64, learning_rate=0.02, max_epochs=6, evaluate_every=2)
RUN = Run(name="two", lake="lake", data=Data(path="data"), training=TRAINING, device="cpu")
TEXT = Features(item="title")
ALPHAREC = Model(name="alpharec", backbone=Part(name="alpharec", options={"dim": 8}), features=TEXT)


def texts() -> FeatureSet:
    """Items have text, users the mean of theirs; the last user has none."""
    item = community_text().item
    return FeatureSet(item, mean_of_items(item, two_communities().train))


def fitted(folder: Path | None, model: Model = ALPHAREC, text: FeatureSet | None = None) -> Graph:
    torch.set_num_threads(1)
    made = make_recommender(model, RUN, 1, folder)
    assert isinstance(made, Graph)
    made.fit(two_communities(), text or texts())
    return made


@pytest.fixture(scope="module")
def steered(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    return fitted(tmp_path_factory.mktemp("model"))


def sentences(*rows: int) -> np.ndarray:
    """What an item's own text says, as a wish."""
    return community_text().item.x[list(rows)]


def tiny() -> Steered:
    """One user with one item of two, K = 1: layer 0 is (1, 0) and (0, 1), layer 1 exchanges them; the tower is I."""
    tower = text_tower(2, 2, 2)
    tower.load_state_dict(
        {f"{n}.{p}": v for n in (0, 2) for p, v in (("weight", torch.eye(2)), ("bias", torch.zeros(2)))}
    )
    made = Graph.__new__(Graph)
    made.user = np.array([[0.5**0.5, 0.5**0.5, 0.0]], dtype=np.float32)  # of the mean (.5, .5), whose length is √.5
    made.item = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.5]], dtype=np.float32)  # popularity stands last
    start, length = torch.tensor([[1.0, 0.0]]).half(), torch.tensor([0.5**0.5])
    made.intention = Intention(start, length, tower, layers=1)
    made.known = csr_matrix((1, 2), dtype=bool)
    return made


@pytest.mark.parametrize(
    ("alpha", "mean"),  # of (1 - alpha) (1, 0) + alpha (0, 2) and (0, 1)
    [(1.0, (0.0, 1.5)), (0.5, (0.25, 1.0)), (0.25, (0.375, 0.75))],
)
def test_values_by_hand(alpha, mean):
    found = tiny().recommend_for(np.array([0]), np.array([[0.0, 2.0]], dtype=np.float32), alpha, 2)
    expected = np.array(mean) / np.linalg.norm(mean)
    assert found.item.tolist() == [[1, 0]]
    np.testing.assert_allclose(found.score[0], expected[::-1], atol=1e-6)


def by_hand(steered: Graph, user: int, sentence: np.ndarray, alpha: float) -> np.ndarray:
    """Scores of all items with a dense graph and the kept parameters: layer 0 of the user is replaced, no other."""
    graph = make_dataset(two_communities().train, texts())
    state = steered.kept.parameters
    tower = text_tower(12, 6, 8)
    tower.load_state_dict({name.removeprefix("backbone.tower."): v for name, v in state.items() if ".tower." in name})
    x, present = torch.cat([graph.x_user, graph.x_item]), torch.cat([graph.present_user, graph.present_item])
    with torch.no_grad():
        layers = [torch.where(present[:, None], tower(x), state["backbone.missing"])]
        for _ in range(2):
            layers.append(graph.adjacency.to_dense() @ layers[-1])
        first = (1 - alpha) * layers[0][user] + alpha * tower(torch.from_numpy(sentence))
    mine = (first + layers[1][user] + layers[2][user]).numpy()
    items = sum(layers)[graph.num_users :].numpy()
    return items @ mine / np.linalg.norm(items, axis=1) / np.linalg.norm(mine)


@pytest.mark.parametrize("alpha", [1e-6, 0.3, 1.0])
def test_it_is_propagation_with_the_users_layer_0_replaced(steered, alpha):
    users = np.array([3, USERS + 2, 3])
    wishes = sentences(ITEMS + 1, 2, 4)
    nothing = csr_matrix((2 * USERS + 1, 2 * ITEMS + 1), dtype=bool)
    found = steered.recommend_for(users, wishes, alpha, 2 * ITEMS + 1, nothing)
    for row, (user, wish) in enumerate(zip(users, wishes, strict=True)):
        scores = by_hand(steered, user, wish, alpha)
        np.testing.assert_allclose(found.score[row], scores[found.item[row]], atol=2e-4)
    assert not np.array_equal(found.score[0], found.score[2]) or alpha < 1e-3


def test_alpha_0_is_the_plain_recommendation(steered):
    users = np.arange(2 * USERS + 1)
    found = steered.recommend_for(users, sentences(*[0] * len(users)), 0, 5)
    plain = steered.recommend(users, 5)
    assert np.array_equal(found.item, plain.item)
    assert np.array_equal(found.score, plain.score)


def test_alpha_1_ignores_the_history_at_layer_0(steered):
    """Another text of the user changes nothing; another graph around him would."""
    intention = steered.intention
    other = Graph.__new__(Graph)
    other.__dict__ |= steered.__dict__
    served = torch.from_numpy(steered.user[:, :-1]) * intention.length[:, None]
    moved = served + (torch.ones(8) - intention.start.float()) / 3  # as if layer 0 had been ones
    other.user = np.column_stack([moved / moved.norm(dim=1, keepdim=True), steered.user[:, -1]]).astype(np.float32)
    other.intention = Intention(
        torch.ones_like(intention.start), moved.norm(dim=1) * (intention.length > 0), intention.tower, 2
    )
    users, wishes = np.arange(4), sentences(0, 5, ITEMS, ITEMS + 5)
    one, two = (each.recommend_for(users, wishes, 1.0, 5) for each in (steered, other))
    np.testing.assert_allclose(one.score, two.score, atol=1e-5)
    half = [each.recommend_for(users, wishes, 0.5, 5).score for each in (steered, other)]
    assert not np.allclose(*half, atol=1e-2)


def test_a_sentence_of_the_other_community_turns_the_list(steered):
    seen = two_communities().train.by_user
    wish = sentences(ITEMS + 3)
    plain = steered.recommend(np.array([0]), 5, seen).item
    asked = [steered.recommend_for(np.array([0]), wish, alpha, 5, seen).item for alpha in (0.5, 1.0)]
    assert (plain[0, :1] < ITEMS).all()
    shares = [(found >= ITEMS).mean() for found in (plain, *asked)]
    assert shares == sorted(shares)


def test_of_a_user_without_anything_the_sentence_is_all(steered):
    stranger = np.array([2 * USERS])
    found = steered.recommend_for(stranger, sentences(ITEMS + 3), 0.2, ITEMS)
    assert (found.item >= ITEMS).all()
    again = steered.recommend_for(stranger, sentences(ITEMS + 3), 1.0, ITEMS)
    np.testing.assert_allclose(found.score, again.score, atol=1e-4)


def test_what_is_known_is_masked_unless_told_otherwise(steered):
    found = steered.recommend_for(np.array([0]), sentences(1), 0.5, 2 * ITEMS + 1)
    assert (found.item[0, : ITEMS + 1] >= ITEMS).all()
    assert (found.item[0, ITEMS + 1 :] == -1).all()


def test_saved_and_loaded_it_follows_the_same_and_stays_small(steered, tmp_path):
    steered.save(tmp_path)
    loaded = load_recommender(tmp_path)
    loaded.save(tmp_path / "again")
    users, wishes = np.array([0, 30]), sentences(12, 3)
    expected = steered.recommend_for(users, wishes, 0.4, 6)
    for each in (loaded, load_recommender(tmp_path / "again")):
        found = each.recommend_for(users, wishes, 0.4, 6)
        assert np.array_equal(found.item, expected.item)
        assert np.array_equal(found.score, expected.score)
    assert (loaded.intention.start.dtype, loaded.intention.start.shape) == (torch.float16, (2 * USERS + 1, 8))


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_an_alpha_outside_0_and_1_is_refused(steered, alpha):
    with pytest.raises(ConfigError, match="alpha: expected a number from 0"):
        steered.recommend_for(np.array([0]), sentences(1), alpha)


def test_vectors_of_another_encoder_are_refused(steered):
    with pytest.raises(DataError, match=r"expected 1 sentences of dimension 12 .* found \(1, 5\)"):
        steered.recommend_for(np.array([0]), np.zeros((1, 5), dtype=np.float32))


@pytest.mark.parametrize(
    "change",
    [
        {"backbone": Part(name="lightgcn", options={"dim": 8})},
        {"objectives": (Objective(name="rlmrec_con", weight=0.1),)},
        {"features": Features(item="title", adaptor=Part(name="whitening"))},
        {"features": Features(item="title", pca=3)},
    ],
)
def test_a_model_that_is_more_than_one_tower_follows_no_sentence(tmp_path, change):
    made = fitted(tmp_path, ALPHAREC.model_copy(update=change))
    made.save(tmp_path)
    with pytest.raises(ConfigError, match="cannot follow a sentence; expected the backbone alpharec"):
        load_recommender(tmp_path).recommend_for(np.array([0]), sentences(1))


def test_two_texts_side_by_side_have_no_one_sentence(tmp_path):
    item = community_text().item
    double = FeatureTable(
        "item", np.hstack([item.x, item.x]), item.present, "a + b", (12, 12), np.stack([item.present] * 2, axis=1)
    )
    assert fitted(tmp_path, text=FeatureSet(double)).intention is None
