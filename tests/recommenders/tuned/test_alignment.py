"""Stage one of A-LLMRec: its losses worked out again, its negatives, and where texts put items that nobody has yet."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from features.corpus import Corpus
from recommenders.pure_svd import PureSVD
from recommenders.trainer import train
from recommenders.tuned.alignment import Alignment, Pairs, unit_rms
from recommenders.tuned.vectors import own_vectors
from schemas.sections import SequenceTraining
from tests.support.planted import ITEMS, planted, theme_vectors
from tests.support.tuned import planted_features

COLD = 10  # items of this number and above in their theme have no train interaction


def with_cold_items(corpus: Corpus) -> Corpus:
    kept = (corpus.part != 0) | (corpus.edges[1] % ITEMS < COLD)
    return replace(
        corpus, edges=corpus.edges[:, kept], time=corpus.time[kept], weight=corpus.weight[kept], part=corpus.part[kept]
    )


def drawn_tables(seed: int = 0) -> dict[str, torch.Tensor]:
    """Of 3 users and 5 items; the last item has no text, and the first is not learned."""
    rng = np.random.default_rng(seed)
    user, item, text = (torch.from_numpy(rng.normal(size=shape)).float() for shape in ((3, 4), (5, 4), (5, 6)))
    text[4] = 0
    return {"user": user, "item": item, "text": text, "learned": torch.tensor([False, True, True, True, True])}


def aligned(corpus: Corpus, text: np.ndarray, epochs: int = 40) -> Alignment:
    vectors = PureSVD(dim=4)
    vectors.fit(corpus, planted_features(corpus))
    user, item = own_vectors(vectors, "test")
    tables = {"user": unit_rms(user), "item": unit_rms(item), "text": unit_rms(text)}
    torch.manual_seed(0)
    made = Alignment({**tables, "learned": torch.from_numpy(corpus.train.item_degree > 0)}, 32, 0.5, 0.2)
    settings = SequenceTraining(learning_rate=1e-2, batch_size=64, max_epochs=epochs, evaluate_every=epochs)
    train(Pairs(made, corpus.train), settings, 1, lambda: {"ndcg@5": 0.0}, "ndcg@5")
    return made


def test_the_loss_is_that_of_the_paper():
    tables = drawn_tables()
    made = Alignment(tables, 3, reconstruction=0.5, text_reconstruction=0.2)
    user, positive, negative = np.array([0, 2]), np.array([1, 4]), np.array([3, 2])
    found = made.loss(*(torch.from_numpy(each) for each in (user, positive, negative))).item()
    state = {name: value.double().numpy() for name, value in made.state_dict().items()}
    expected = 0.0
    for items, label in ((positive, 1), (negative, 0)):
        each = [_loss_by_hand(state, u, i, label) for u, i in zip(user, items, strict=True)]
        expected += sum(each) / len(each)
    assert found == pytest.approx(expected, rel=1e-5)


def _loss_by_hand(state: dict[str, np.ndarray], user: int, item: int, label: int) -> float:
    def coded(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        layer = state[f"{name}.encoder.weight"] @ x + state[f"{name}.encoder.bias"]
        hidden = 1 / (1 + np.exp(-layer))
        return hidden, state[f"{name}.decoder.weight"] @ hidden + state[f"{name}.decoder.bias"]

    e, t = state["item"][item], state["text"][item]
    (z, e_again), (w, t_again) = coded("collaborative", e), coded("textual", t)
    taken = 1 / (1 + np.exp(-(state["user"][user] * e_again).mean()))  # the mean, not the sum
    whole = -np.log(taken if label else 1 - taken) + 0.5 * ((e_again - e) ** 2).mean()
    if not t.any():
        return whole
    return whole + ((z - w) ** 2).mean() + 0.2 * ((t_again - t) ** 2).mean()


def test_what_has_no_text_moves_nothing_of_the_text_side():
    made = Alignment(drawn_tables(), 3, 0.5, 0.2)
    made.loss(torch.tensor([0]), torch.tensor([4]), torch.tensor([4])).backward()
    assert all(not each.grad.any() for each in made.textual.parameters())
    assert all(each.grad.any() for each in made.collaborative.parameters())


def test_an_item_is_placed_by_its_vector_else_by_its_text_else_not_at_all():
    tables = drawn_tables()
    tables["text"][4], tables["learned"][4], tables["item"][3] = 0, False, 0
    made = Alignment(tables, 3, 0.5, 0.2)
    placed = made.placed()
    z, w = made.collaborative.encode(tables["item"]), made.textual.encode(tables["text"])
    assert torch.equal(placed, torch.stack([w[0], z[1], z[2], w[3], torch.zeros(3)]))


def test_negatives_have_train_interactions_and_none_with_the_user():
    corpus = with_cold_items(planted())
    task = Pairs(None, corpus.train)
    batches = list(task.batches(64, np.random.default_rng(0)))
    assert len(batches) == task.steps(64)
    user, positive, negative = (np.concatenate(each) for each in zip(*batches, strict=True))
    known = corpus.train.by_user.toarray()
    assert sorted(zip(user, positive, strict=True)) == sorted(zip(*np.nonzero(known), strict=True))
    assert not known[user, negative].any()
    assert (corpus.train.item_degree[negative] > 0).all()


def test_a_cold_item_is_placed_by_its_text():
    corpus = with_cold_items(planted(named=False))
    theme = np.arange(corpus.num_items) // ITEMS
    cold = np.flatnonzero(corpus.train.item_degree == 0)
    assert len(cold) >= 8
    assert _right(aligned(corpus, theme_vectors(corpus)), theme, cold) == 1.0
    strange = np.random.default_rng(3).permutation(corpus.num_items)
    assert _right(aligned(corpus, theme_vectors(corpus)[strange]), theme, cold) < 0.5


def _right(made: Alignment, theme: np.ndarray, cold: np.ndarray) -> float:
    """Share of the cold items whose nearest item with train interactions is of their theme."""
    placed = made.placed()
    distance = torch.cdist(placed[cold], placed)
    distance[:, cold] = torch.inf
    return float((theme[distance.argmin(dim=1).numpy()] == theme[cold]).mean())


def test_users_have_their_own_theme_first_of_cold_items_too():
    corpus = with_cold_items(planted(named=False))
    theme, own = np.arange(corpus.num_items) // ITEMS, np.arange(corpus.num_users) % 4
    user, item = aligned(corpus, theme_vectors(corpus)).ranked()
    for some in (corpus.train.item_degree > 0, corpus.train.item_degree == 0):
        best = theme[some][(user @ item[some].T).argmax(dim=1).numpy()]
        assert (best == own).mean() > 0.95


def test_scaling_leaves_empty_rows_empty_and_directions_as_they_were():
    x = np.array([[3.0, 4.0], [0.0, 0.0], [0.3, 0.4]], dtype=np.float32)
    found = unit_rms(x)
    assert float(found[[0, 2]].square().mean()) == pytest.approx(1)
    assert not found[1].any()
    assert torch.allclose(found[0], 10 * found[2])
    assert torch.equal(unit_rms(np.zeros((2, 2), np.float32)), torch.zeros(2, 2))
