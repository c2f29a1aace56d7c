"""The cost of an objective: measured in a process of its own, and what is counted while it runs."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.objectives import HEAD, Watch, synthetic_graph, table


@pytest.mark.slow
def test_the_table_has_a_row_for_each_objective():
    about, _, *lines = table(400, 16, ["kar"]).splitlines()
    assert about.startswith("400 nodes, text of 16 columns")
    assert lines[:2] == HEAD.splitlines()
    name, extra, seconds, rows, logits = (cell.strip() for cell in lines[2].strip("|").split("|"))
    assert (name, rows, logits) == ("kar", "400", "none")
    assert abs(float(extra)) < 1000  # 400 nodes hardly show
    assert float(seconds.removesuffix(" x")) > 1


def test_rows_and_logits_that_are_counted():
    one, two, narrow = torch.nn.Linear(8, 3), torch.nn.Linear(8, 5), torch.nn.Linear(3, 3)
    x, y = torch.zeros(10, 8), torch.zeros(4, 8)
    with Watch(8) as watch:
        narrow(one(x)), two(x), two(y)
        F.cross_entropy(torch.zeros(6, 7), torch.zeros(6, dtype=torch.int64))
        torch.zeros(2, 3).logsumexp(dim=1)
    assert watch.rows == 10 + 4
    assert watch.logits == (6, 7)


@pytest.mark.parametrize("name", [None, "llmrec_triplets"])
def test_the_graph_is_of_the_size_asked_for_and_shares_its_text(name):
    graph = synthetic_graph(1000, 4, name)
    assert (graph.num_users, graph.num_items) == (500, 500)
    assert graph.x_user.data_ptr() == graph.x_item.data_ptr()
    assert set(graph.edges) == (set() if name is None else {"llmrec.edges"})
    popularity = np.sort(np.asarray(graph.seen.sum(axis=0)).ravel())[::-1]
    assert (np.diff(graph.seen.indptr) > 0).all()
    assert popularity[:50].sum() > 0.3 * popularity.sum()
