"""The trie against a dictionary of tuples: any lengths, tuples that begin others, equal tuples."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from recommenders.generative.trie import Trie

tuples = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple), max_size=12)


def filled(tuples: list[tuple[int, ...]], levels: int = 4) -> np.ndarray:
    return np.array([[*each, *[-1] * (levels - len(each))] for each in tuples], dtype=np.int32).reshape(-1, levels)


def prefixes_of(trie: Trie) -> list[tuple[int, ...]]:
    """The codes from the root to every node."""
    found: list[tuple[int, ...]] = [()]
    for node in range(len(trie.code)):
        found += [(*found[node], int(trie.code[child])) for child in range(trie.begin[node], trie.begin[node + 1])]
    return found


@given(tuples)
def test_its_nodes_are_the_prefixes_and_each_has_the_items_below_it(given_tuples):
    trie = Trie.of(filled(given_tuples))
    prefixes = {each[:length] for each in given_tuples for length in range(1, len(each) + 1)} | {()}
    found = prefixes_of(trie)
    assert len(found) == len(trie.code)
    assert sorted(found) == sorted(prefixes)
    assert trie.depth == max(map(len, given_tuples), default=0)
    for node, prefix in enumerate(found):
        below = [row for row, each in enumerate(given_tuples) if each[: len(prefix)] == prefix]
        ended = [row for row, each in enumerate(given_tuples) if each == prefix]
        listed = trie.item[trie.first[node] : trie.last[node]].tolist()
        assert sorted(listed) == below
        assert listed[: len(ended)] == ended


@given(tuples)
def test_children_come_in_the_order_of_their_codes_and_a_leaf_is_followed_by_itself(given_tuples):
    trie = Trie.of(filled(given_tuples))
    prefixes = prefixes_of(trie)
    asked = torch.tensor([*range(len(prefixes)), -1, 0])
    place, child = trie.extended(asked)
    for number, node in enumerate(asked.tolist()):
        below = sorted(each for each in prefixes if node >= 0 and len(each) and each[:-1] == prefixes[node])
        alone = [prefixes[node]] if node >= 0 and not below else []
        assert [prefixes[found] for found in child[place == number]] == below + alone
        assert node < 0 or bool(trie.is_leaf(torch.tensor(node))) == (not below)
