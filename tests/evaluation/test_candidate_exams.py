import numpy as np
import polars as pl
import pytest
import torch

from evaluation.candidates import (
    CandidateExam,
    candidate_exam,
    place_probe,
    popularity_probe,
    rank_candidates,
    ranks,
)
from evaluation.protocol import PROTOCOLS, label_of, validation
from evaluation.protocol import testing as make_test_exam
from evaluation.ranking import top_k
from evaluation.recommendations import Recommendations
from features.corpus import Corpus, make_corpus
from schemas.errors import DataError
from schemas.sections import Candidates, Evaluation

USERS, ITEMS = 30, 60


def corpus(*rows: tuple[str, str, str, int], users: int = USERS, items: int = ITEMS) -> Corpus:
    """A row is user, item, part, time."""
    names = ["user_id", "item_id", "part", "time"]
    splits = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        order=pl.int_range(pl.len()), weight=pl.lit(1.0, pl.Float32), split_id=pl.lit("s")
    )
    ids = pl.DataFrame({"id": [f"u{n:02}" for n in range(users)]})
    return make_corpus(ids, pl.DataFrame({"id": [f"i{n:02}" for n in range(items)]}), splits)


def world() -> Corpus:
    """Thirty users with ten items each; the last two are test and the one before them is valid. u29 has no train."""
    rng, rows = np.random.default_rng(4), []
    for user in range(USERS):
        for step, item in enumerate(rng.permutation(ITEMS)[:10].tolist()):
            part = "test" if step > 7 or user == 29 else "valid" if step == 7 else "train"
            rows.append((f"u{user:02}", f"i{item:02}", part, 100 + step))
    return corpus(*rows)


class Scorer:
    """Ranks by a matrix of scores [U, I]."""

    def __init__(self, scores: np.ndarray) -> None:
        self.scores, self.asked = scores.astype(np.float32), []

    def recommend(self, users, k, seen=None):
        self.asked.append(len(users))
        return top_k(torch.from_numpy(self.scores[users].copy()), users, seen, k)


def known(given: Corpus, user: int) -> set[int]:
    return set(given.edges[1][given.edges[0] == user].tolist())


def brute_force(exam: CandidateExam, scores: np.ndarray) -> dict[str, float]:
    """The metrics from their definitions, a user at a time."""
    found: dict[str, list[float]] = {}
    for user, items, truth in zip(exam.user, exam.item, exam.truth, strict=True):
        items = [item for item in items.tolist() if item >= 0]
        rank = sum(scores[user, item] >= scores[user, truth] for item in items) if truth in items else None
        for k in exam.ks:
            hit = rank is not None and rank <= k
            found.setdefault(f"hr@{k}({exam.tag})", []).append(float(hit))
            found.setdefault(f"ndcg@{k}({exam.tag})", []).append(1 / np.log2(rank + 1) if hit else 0.0)
        found.setdefault(f"mrr({exam.tag})", []).append(1 / rank if rank else 0.0)
    return {name: float(np.mean(values)) for name, values in found.items()}


@pytest.fixture(scope="module")
def given() -> Corpus:
    return world()


def test_negatives_are_outside_everything_that_is_known_and_the_truth_is_the_first_in_time(given):
    exam = candidate_exam(make_test_exam(given), given, Candidates())
    assert exam.label == "1 truth + 19 uniform negatives"
    assert exam.item.shape == (29, 20), "u29 has no train"
    for user, items, truth in zip(exam.user.tolist(), exam.item, exam.truth.tolist(), strict=True):
        test = (given.edges[0] == user) & (given.part == 2)
        assert truth == given.edges[1][test][given.time[test].argmin()]
        assert known(given, user) & set(items.tolist()) == {truth}
        assert len(set(items.tolist())) == 20


def test_of_one_moment_the_first_of_the_catalogue_is_the_truth():
    rows = [
        ("u00", "i09", "train", 1),
        ("u00", "i05", "valid", 2),
        ("u00", "i07", "test", 3),
        ("u00", "i03", "test", 3),
    ]
    given = corpus(*rows)
    assert candidate_exam(make_test_exam(given), given, Candidates()).truth.tolist() == [3]
    assert candidate_exam(validation(given), given, Candidates()).truth.tolist() == [5]


def test_lists_are_a_users_own_whoever_else_is_judged_and_change_with_the_seed(given):
    exam = make_test_exam(given)
    every, some = (candidate_exam(exam, given, Candidates(users=users)) for users in (0, 7))
    assert len(some.user) == 7
    rows = np.searchsorted(every.user, some.user)
    assert np.array_equal(every.item[rows], some.item)
    other = candidate_exam(exam, given, Candidates(users=7, seed=1))
    assert other.user.tolist() != some.user.tolist()


def test_places_of_the_truth_are_spread_over_the_list(given):
    place = candidate_exam(make_test_exam(given), given, Candidates(users=0)).place
    assert len(set(place.tolist())) > 8
    assert 4 < place.mean() < 15


def test_retrieved_lists_are_the_first_under_the_mask_and_the_truth_is_never_put_in(given):
    scores = np.random.default_rng(0).normal(size=(USERS, ITEMS))
    settings = Candidates(protocol="retrieved", retriever="r", top=20, users=0)
    exam = candidate_exam(make_test_exam(given), given, settings, Scorer(scores))
    assert exam.label == "top 20 of r, truth not inserted"
    for user, items, there in zip(exam.user.tolist(), exam.item, exam.found.tolist(), strict=True):
        seen = set(given.edges[1][(given.edges[0] == user) & (given.part < 2)].tolist())
        first = [item for item in np.argsort(-scores[user]).tolist() if item not in seen][:20]
        assert set(items.tolist()) == set(first)
        assert items.tolist() != first, "an order of its own"
        assert there == (exam.truth[exam.user.tolist().index(user)] in first)
    assert 0 < exam.found.mean() < 1


@pytest.mark.parametrize("protocol", ["negatives", "retrieved"])
def test_metrics_equal_a_brute_force_computation_also_with_ties(given, protocol):
    rng = np.random.default_rng(1)
    retriever = Scorer(rng.normal(size=(USERS, ITEMS)))
    retrieved = protocol == "retrieved"
    settings = Candidates(protocol=protocol, retriever="r" if retrieved else None, users=0, ks=(1, 3, 5))
    exam = candidate_exam(make_test_exam(given), given, settings, retriever if retrieved else None)
    scores = rng.integers(4, size=(USERS, ITEMS)).astype(np.float32)  # many ties
    found = exam.score(rank_candidates(Scorer(scores), exam, scores.shape))
    expected = brute_force(exam, scores)
    assert found.mean() == pytest.approx(expected)
    means = exam.means(found)
    assert means[f"retrieved({exam.tag})"] == exam.found.mean()
    if retrieved:
        alone = means["hr@3(top20, retrieved alone)"]
        assert alone == pytest.approx(expected["hr@3(top20)"] / exam.found.mean())
    else:
        assert set(means) == {*expected, "retrieved(+19)"}


def test_blocks_change_nothing_and_bound_the_mask(given, monkeypatch):
    exam = candidate_exam(make_test_exam(given), given, Candidates())
    scores = np.random.default_rng(2).normal(size=(USERS, ITEMS))
    whole = rank_candidates(Scorer(scores), exam, scores.shape)
    monkeypatch.setattr("evaluation.candidates.MASKED_AT_ONCE", 4 * ITEMS)
    model = Scorer(scores)
    assert np.array_equal(rank_candidates(model, exam, scores.shape).item, whole.item)
    assert max(model.asked) == 4


def test_equal_scores_count_against_the_truth_and_what_is_left_out_is_a_miss():
    item = np.array([[3, 4, 5], [3, 4, 5], [3, -1, -1]])
    score = np.array([[0.5, 0.5, 0.1], [0.9, 0.5, 0.5], [1.0, -np.inf, -np.inf]], dtype=np.float32)
    ranked = Recommendations(np.arange(3), item, score)
    assert ranks(ranked, np.array([3, 4, 4])).tolist() == [2, 3, 0]
    exam = CandidateExam("l", "+2", np.arange(3), np.tile([3, 4, 5], (3, 1)), np.array([3, 4, 4]), (1, 2))
    assert exam.score(ranked).values["hr@2(+2)"].tolist() == [1, 0, 0]
    assert exam.score(ranked).values["mrr(+2)"].tolist() == pytest.approx([1 / 2, 1 / 3, 0])


def test_a_small_catalogue_gives_shorter_lists():
    given = corpus(("u00", "i00", "train", 1), ("u00", "i01", "test", 2), items=6)
    exam = candidate_exam(make_test_exam(given), given, Candidates())
    assert sorted(exam.item[0].tolist()) == [-1] * 15 + [1, 2, 3, 4, 5]
    ranked = rank_candidates(Scorer(np.arange(30 * 6).reshape(30, 6)), exam, (30, 6))
    assert ranked.item[0].tolist() == [5, 4, 3, 2, 1] + [-1] * 15


def test_nobody_to_judge_is_an_error():
    given = corpus(("u00", "i00", "train", 1), ("u01", "i01", "test", 2))
    with pytest.raises(DataError, match=r"evaluation\.candidates: expected users .* found none"):
        candidate_exam(make_test_exam(given), given, Candidates())


def test_probes_say_what_places_and_popularity_do():
    item, truth = np.tile([0, 1, 2, 3], (2, 1)), np.array([0, 3])
    exam = CandidateExam("l", "+3", np.arange(2), item, truth, (1,))
    ranked = Recommendations(np.arange(2), np.array([[0, 1, 2, 3], [2, 1, 3, 0]]), -np.tile(np.arange(4.0), (2, 1)))
    probed = popularity_probe(ranked, exam, np.array([8, 0, 2, 2]))
    assert probed == {"first": 5.0, "candidates": 3.0}
    shown = np.array([[0, 1, 2, 3], [0, 1, 2, 3]])
    found = place_probe(exam.score(ranked), exam, shown)
    assert found == [{"shown": "1", "mrr": 1.0, "users": 1}, {"shown": "4", "mrr": pytest.approx(1 / 3), "users": 1}]
    assert place_probe(exam.score(ranked), exam, np.full((2, 4), -1)) == []


def test_so_many_users_are_the_same_in_validation_and_test_and_on_any_split(given):
    valid, test = validation(given, users=8), make_test_exam(given, users=8)
    assert len(test.users) == 8
    assert valid.users.tolist() == test.users.tolist()
    assert test.drawn_from == 29
    assert test.new_users.tolist() == [29], "one is not too many"
    whole = make_test_exam(given)
    rows = test.users
    assert (whole.truth[rows] != test.truth[rows]).nnz == 0
    assert make_test_exam(given, users=29).drawn_from == 0, "nobody is left out"
    assert set(validation(given, users=5).users) < set(valid.users)


def test_the_label_says_how_many_were_judged():
    assert label_of(Evaluation()) is None
    assert label_of(Evaluation(users=1200)) == "judged on at most 1,200 users, drawn by their ids"
    both = label_of(Evaluation(users=5, protocol="lightgcn"))
    assert both == f"{PROTOCOLS['lightgcn'].label}; judged on at most 5 users, drawn by their ids"


def test_a_retriever_is_named_where_it_is_needed_and_only_there():
    with pytest.raises(ValueError, match="expected a model of the run for protocol retrieved"):
        Candidates(protocol="retrieved")
    with pytest.raises(ValueError, match="gives no negatives"):
        Candidates(retriever="lightgcn")
