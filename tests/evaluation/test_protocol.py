import numpy as np
import polars as pl
import pytest
import torch

from evaluation.judge import examine
from evaluation.protocol import PROTOCOLS, validation, vector_judge
from evaluation.protocol import testing as make_test_exam
from evaluation.recommendations import Recommendations
from features.corpus import Corpus, make_corpus
from schemas.errors import DataError
from schemas.sections import Evaluation


def corpus(*rows: tuple[str, str, str]) -> Corpus:
    """Four users, five items; a row is user, item, part."""
    splits = pl.DataFrame(rows, schema=["user_id", "item_id", "part"], orient="row").with_columns(
        time=pl.lit(None, pl.Int64), order=pl.int_range(pl.len()), weight=pl.lit(1.0, pl.Float32), split_id=pl.lit("s")
    )
    users = pl.DataFrame({"id": ["u0", "u1", "u2", "u3"]})
    return make_corpus(users, pl.DataFrame({"id": [f"i{n}" for n in range(5)]}), splits)


@pytest.fixture
def small() -> Corpus:
    return corpus(
        ("u0", "i0", "train"), ("u0", "i1", "valid"), ("u0", "i2", "test"),
        ("u1", "i1", "train"), ("u1", "i3", "test"),
        ("u2", "i4", "test"),
        ("u3", "i2", "train"), ("u3", "i2", "test"),
    )  # fmt: skip


def test_valid_masks_train_only(small):
    exam = validation(small)
    assert exam.users.tolist() == [0]
    assert exam.seen.toarray()[0].nonzero()[0].tolist() == [0]
    assert exam.truth.toarray()[0].nonzero()[0].tolist() == [1]


def test_test_masks_train_and_valid(small):
    exam = make_test_exam(small)
    assert exam.seen.toarray()[0].nonzero()[0].tolist() == [0, 1]
    assert exam.truth.toarray()[0].nonzero()[0].tolist() == [2]


def test_users_without_train_are_counted_not_judged(small):
    exam = make_test_exam(small)
    assert exam.users.tolist() == [0, 1]
    assert len(exam.new_users) == 1


def test_an_item_the_user_already_had_is_no_truth(small):
    exam = make_test_exam(small)
    assert exam.repeats == 1
    assert exam.truth[3].nnz == 0


def test_the_judge_ranks_the_whole_catalogue(small):
    item = torch.eye(5)
    user = torch.zeros(4, 5)
    user[0] = torch.tensor([9.0, 3.0, 5.0, 4.0, 0.0])  # i0 is masked, then i2, i3 and the truth i1 at rank 3
    means = vector_judge(validation(small), (1, 3))(user, item)
    assert means["mrr@3"] == pytest.approx(1 / 3)
    assert means["recall@1"] == 0


def test_nobody_to_judge_is_an_error():
    with pytest.raises(DataError, match="valid: expected users"):
        vector_judge(validation(corpus(("u0", "i0", "train"), ("u1", "i1", "valid"))), (5,))


def test_users_are_row_numbers(small):
    assert validation(small).users.dtype == np.int64


# what is masked for u0 (train i0, valid i1, test i2) at valid and at test
MASKED = {
    "loregraph": ([0], [0, 1]),
    "lightgcn": ([0], [0]),
    "rlmrec": ([0], [0]),
    "llmrec": ([0], [0]),
    "alpharec": ([0, 2], [0, 1]),
}


def columns(matrix, user: int) -> list[int]:
    return matrix[user].toarray()[0].nonzero()[0].tolist()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_each_protocol_masks(small, name):
    valid, test = validation(small, name), make_test_exam(small, name)
    assert (columns(valid.seen, 0), columns(test.seen, 0)) == MASKED[name]
    assert (columns(valid.truth, 0), columns(test.truth, 0)) == ([1], [2])
    assert (valid.ideal, test.ideal) == (("retrieved", "retrieved") if name == "llmrec" else ("truth", "truth"))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_but_ours_says_so(name):
    label = PROTOCOLS[name].label
    assert (label is None) == (name == "loregraph")
    assert label is None or ("judged as in" in label and "arXiv" in label)
    stays = "valid" not in PROTOCOLS[name].masks["test"]
    assert stays == ("valid items stay candidates at test" in (label or "")) == Evaluation(protocol=name).leaves_valid
    assert ("test" in PROTOCOLS[name].masks["valid"]) == ("a leak" in (label or ""))


def test_alpharec_never_masks_what_is_truth(small):
    """u3 has i2 in train and in test: everywhere else that is no truth, as nobody may recommend it."""
    exam = make_test_exam(small, "alpharec")
    assert (columns(exam.truth, 3), columns(exam.seen, 3), exam.repeats) == ([2], [], 0)
    assert make_test_exam(small, "rlmrec").repeats == 1


class Always:
    """Recommends the same list to everybody."""

    def __init__(self, *items: int) -> None:
        self.items = items

    def recommend(self, users, k, seen=None):
        item = np.full((len(users), k), -1)
        item[:, : len(self.items)] = self.items
        return Recommendations(users, item, np.zeros(item.shape, np.float32))


def test_the_ndcg_of_llmrec_stands_beside_ours_under_a_name_of_its_own():
    many = corpus(("u0", "i0", "train"), *(("u0", f"i{n}", "test") for n in (1, 2, 3)))
    settings = Evaluation(ks=(3,))
    found = examine(Always(1, 0, 4), make_test_exam(many, "llmrec"), settings).means()
    assert (found["ndcg@3"], found["ndcg_retrieved_ideal@3"]) == (pytest.approx(0.46928, abs=1e-5), 1.0)
    assert "ndcg_retrieved_ideal@3" not in examine(Always(1), make_test_exam(many), settings).means()


def test_valid_and_test_that_are_the_same_are_refused():
    both = corpus(("u0", "i0", "train"), ("u0", "i1", "valid"), ("u0", "i1", "test"))
    with pytest.raises(DataError, match="valid and test are the same 1 interactions"):
        make_test_exam(both)


def test_no_protocol_chooses_on_test():
    with pytest.raises(ValueError, match=r"found test:recall@20: no protocol chooses on test"):
        Evaluation(protocol="llmrec", selection="test:recall@20")
