import numpy as np
import polars as pl
import pytest
import torch

from evaluation.protocol import testing as make_test_exam
from evaluation.protocol import validation, vector_judge
from features.corpus import Corpus, make_corpus
from schemas.errors import DataError


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
