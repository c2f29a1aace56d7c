"""P5's ids: titles word by word, numbers by train order, clusters of what is read together, paths of categories."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from features.corpus import Part
from features.tokenizers import TokenInputs
from features.tokenizers.coding import code_items
from features.tokenizers.numbered import digits, first_seen
from features.tokenizers.p5_collaborative import P5Collaborative
from features.tokenizers.p5_hybrid import P5Hybrid
from features.tokenizers.p5_independent import P5Independent
from features.tokenizers.p5_semantic import P5Semantic
from features.tokenizers.p5_sequential import P5Sequential
from features.tokenizers.p5_title import P5Title
from features.tokenizers.spectral import cluster_paths, together
from schemas.errors import DataError
from tests.support.catalogue import ITEMS, catalogue


def of(table: dict[str, list], train: Part | None = None) -> TokenInputs:
    items = pl.DataFrame({"id": [f"i{n}" for n in range(len(next(iter(table.values()))))], **table})
    return TokenInputs(items, np.zeros((items.height, 0), np.float32), np.zeros(items.height, bool), train)


def histories(*users: list[int], items: int) -> Part:
    """Users' items in time order."""
    edges = np.array([[user, item] for user, walk in enumerate(users) for item in walk]).T.reshape(2, -1)
    time = np.array([step for walk in users for step in range(len(walk))])
    return Part(len(users), items, edges, time, np.ones(len(time), dtype=np.float32))


def test_titles_are_words_and_a_number_where_they_repeat():
    inputs = of({"title": ["The Sea", "the sea!", "The Sea, the Ship", None, "THE SEA", ""]})
    tokenizer = P5Title(words=4)
    tokenizer.fit(inputs)
    coded = code_items(tokenizer, inputs)
    sea, ship, the = 2, 3, 4  # 0: no title, 1: an unknown word
    assert coded.codes.tolist() == [
        [the, sea, -1, -1, -1],
        [the, sea, 5, -1, -1],  # the second of that title
        [the, sea, the, ship, -1],
        [0, -1, -1, -1, -1],
        [the, sea, 6, -1, -1],
        [0, 5, -1, -1, -1],
    ]
    assert coded.sizes == (7,) * 5


def test_a_new_title_has_unknown_words_and_the_next_number():
    inputs = of({"title": ["The Sea", "The Sea", "A Sea", "The Crown"]})
    tokenizer = P5Title(words=4)
    tokenizer.fit(TokenInputs(inputs.items[:2], inputs.x[:2], inputs.present[:2]))
    old = code_items(tokenizer, TokenInputs(inputs.items[:2], inputs.x[:2], inputs.present[:2]))
    earlier = pl.DataFrame({"id": old.ids, "codes": old.codes.tolist()})
    again = of({"title": ["The Sea", "The Sea", "A Sea", "The Sea"]})
    found = code_items(tokenizer, again, earlier).codes
    sea, the, first = 2, 3, 4
    assert found[:2].tolist() == old.codes.tolist()
    assert found[2].tolist() == [1, sea, -1, -1, -1]
    assert found[3].tolist() == [the, sea, first + 1, -1, -1]


def test_numbers_follow_the_users_train_items_and_then_the_ids():
    train = histories([4, 2], [2, 0], items=6)
    inputs = of({"title": list("abcdef")}, train)
    assert first_seen(inputs).tolist() == [2, 3, 1, 4, 0, 5]
    tokenizer = P5Sequential(size=3)
    tokenizer.fit(inputs)
    assert len(tokenizer.sizes) == 3  # room for four times six
    assert tokenizer.encode(inputs).tolist() == [[0, 0, 2], [0, 1, 0], [0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 1, 2]]


def test_consecutive_numbers_share_their_first_digits():
    assert digits(np.array([1001, 1002, 1100]), 100, 2).tolist() == [[10, 1], [10, 2], [11, 0]]


def test_new_items_get_the_next_numbers_in_the_order_they_are_seen_in():
    inputs = of({"title": list("abcd")}, histories([1, 0], items=4))
    tokenizer = P5Sequential(size=4)
    tokenizer.fit(inputs)
    old = code_items(tokenizer, inputs)
    later = of({"title": list("abcdefg")}, histories([1, 0], [6, 4], items=7))
    earlier = pl.DataFrame({"id": old.ids, "codes": old.codes.tolist()})
    found = code_items(tokenizer, later, earlier).codes
    assert (found @ [4, 1])[4:].tolist() == [5, 6, 4]


def test_a_catalogue_that_outgrows_its_digits_is_told_to_refit():
    inputs = of({"title": ["a"]}, histories([0], items=1))
    tokenizer = P5Sequential(size=2)
    tokenizer.fit(inputs)
    many = of({"title": ["a"] * 5}, histories([0], items=5))
    with pytest.raises(DataError, match="p5_sequential: more than 4 items; set refit = true"):
        code_items(tokenizer, many)


def test_independent_ids_are_one_code_each():
    inputs = catalogue()
    tokenizer = P5Independent()
    tokenizer.fit(inputs)
    assert code_items(tokenizer, inputs).codes.tolist() == [[n] for n in range(ITEMS)]


def test_counts_are_users_who_have_both():
    train = histories([0, 1, 2], [1, 0], [3], items=4)
    assert together(train).toarray().tolist() == [[0, 2, 1, 0], [2, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0]]


def test_clusters_are_the_communities_of_readers():
    inputs = catalogue()
    tokenizer = P5Collaborative(clusters=3, largest=40)
    tokenizer.fit(inputs)
    first = tokenizer.encode(inputs)[:, 0]
    read = np.arange(ITEMS - 2)
    assert len({*zip(read % 3, first[read], strict=True)}) == 3
    assert first[-2:].tolist() == [4, 4]  # nobody has them


def test_clusters_are_split_until_none_is_too_large():
    inputs = catalogue()
    paths = cluster_paths(together(inputs.train), 3, 5, 0)
    assert paths.shape[1] > 1
    _, counts = np.unique(paths[:-2], axis=0, return_counts=True)
    assert counts.max() <= 5
    assert counts.sum() == ITEMS - 2


def test_items_that_nothing_tells_apart_are_cut_in_order():
    everybody = csr_matrix(np.ones((40, 40)) - np.eye(40))
    _, counts = np.unique(cluster_paths(everybody, 2, 3, 0), axis=0, return_counts=True)
    assert counts.max() <= 3


def test_a_large_graph_of_two_parts_is_cut_between_them():
    halves = [list(range(half * 400 + start, half * 400 + start + 4)) for half in (0, 1) for start in range(397)]
    paths = cluster_paths(together(histories(*halves, items=800)), 2, 400, 0)
    assert len(set(paths[:400, 0])) == len(set(paths[400:, 0])) == 1
    assert paths[0, 0] != paths[400, 0]


def test_a_new_item_goes_where_its_company_is():
    inputs = catalogue()
    tokenizer = P5Collaborative(clusters=3, largest=40)
    tokenizer.fit(inputs)
    extra = pl.DataFrame({"id": ["z0", "z1"], "title": ["", ""], "categories": [["a"], ["a"]]})
    train = inputs.train
    edges = np.hstack([train.edges, [[1, 4, 2], [ITEMS, ITEMS, ITEMS]]])  # two readers of kind 1, one of kind 2
    time, weight = np.append(train.time, [9, 9, 9]), np.ones(edges.shape[1], dtype=np.float32)
    more = replace(train, num_items=ITEMS + 2, edges=edges, time=time, weight=weight)
    x, present = np.zeros((ITEMS + 2, 0), np.float32), np.zeros(ITEMS + 2, bool)
    found = tokenizer.encode(TokenInputs(pl.concat([inputs.items, extra]), x, present, more))
    assert found[ITEMS, 0] == found[1, 0]
    assert found[ITEMS + 1, 0] == 4
    np.testing.assert_array_equal(found[:ITEMS], tokenizer.encode(inputs))


@pytest.mark.parametrize("paths", [[["a", "b"], ["a"], ["a", "b"], None], ["a; b", "a", " a ;b;", ""]])
def test_categories_are_a_path_and_a_number_in_it(paths):
    inputs = of({"kind": paths})
    tokenizer = P5Semantic(column="kind")
    tokenizer.fit(inputs)
    assert code_items(tokenizer, inputs).codes.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1], [0, 0, 0]]


def test_an_unknown_category_ends_the_path():
    tokenizer = P5Semantic(column="kind")
    tokenizer.fit(of({"kind": ["a;b;c"]}))
    assert tokenizer.encode(of({"kind": ["a;x;c", "a;b;c;d"]})).tolist() == [[1, 0, 0], [1, 1, 1]]


def test_a_column_that_is_missing_or_empty_is_named():
    with pytest.raises(DataError, match="P5Semantic: items: no column 'categories'; there are id, title"):
        P5Semantic().fit(of({"title": ["a"]}))
    with pytest.raises(DataError, match=r"p5_semantic: items.kind: expected categories, found none in any row"):
        P5Semantic(column="kind").fit(of({"kind": pl.Series([None, ""], dtype=pl.String)}))


@pytest.mark.parametrize("path", ["collaborative", "semantic"])
def test_hybrid_ids_are_a_path_and_a_code_of_the_items_own(path):
    inputs = catalogue()
    whole = {"collaborative": P5Collaborative(clusters=3, largest=5), "semantic": P5Semantic()}[path]
    tokenizer = P5Hybrid(path=path, clusters=3, largest=5)
    for each in (whole, tokenizer):
        each.fit(inputs)
    found = code_items(tokenizer, inputs).codes
    np.testing.assert_array_equal(found[:, :-1], whole.encode(inputs))
    assert found[:, -1].tolist() == list(range(ITEMS))


def test_parts_that_do_not_touch_are_no_cluster_together_with_the_largest():
    chains = [[0, 1, 2, 3], [2, 3, 4, 5], [6, 7], [8, 9]]
    first = cluster_paths(together(histories(*chains, items=10)), 3, 10, 0)[:, 0]
    assert len(set(first[6:])) == 1
    assert first[6] not in set(first[:6])
    assert len(set(first[:6])) == 2
