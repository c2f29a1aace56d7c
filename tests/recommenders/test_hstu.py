"""HSTU's block against its formula, and what its biases see."""

import math

import pytest
import torch
import torch.nn.functional as F

from graph_models.device import seeded
from recommenders.hstu import HSTUNetwork, _buckets
from recommenders.sequential.sequences import Catalogue

ITEMS, DIM, LENGTH = 7, 4, 6


def network(**options) -> HSTUNetwork:
    with seeded(0):
        return HSTUNetwork(
            Catalogue(ITEMS), **{"dim": DIM, "heads": 2, "dropout": 0.0, "max_length": LENGTH, "layers": 1, **options}
        )


def encoded(made: HSTUNetwork, rows: list[list[int]], times: list[list[int]] | None = None) -> torch.Tensor:
    item = torch.tensor(rows)
    time = torch.tensor(times) if times else torch.zeros(len(rows), item.shape[1] + 1, dtype=torch.int64)
    return made._encoded(item, time, made.items())


def test_a_block_by_hand():
    """Two items, two heads of width two, no time: every sum written out."""
    made = network(time_bias=False)
    block = made.blocks[0]
    x = made.items()[torch.tensor([1, 2])] * DIM**0.5 + made.position[-2:]
    parts = F.silu(F.layer_norm(x, (DIM,)) @ block.project.weight.T)
    gate, value, query, key = parts[:, :4], parts[:, 4:8], parts[:, 8:12], parts[:, 12:]
    mixed = torch.zeros(2, DIM)
    for head in (slice(0, 2), slice(2, 4)):
        for t in range(2):
            for s in range(t + 1):
                weight = F.silu(query[t, head] @ key[s, head] + block.by_place[t - s]) / LENGTH
                mixed[t, head] += weight * value[s, head]
    out = x + block.out(F.layer_norm(mixed, (DIM,)) * gate)
    expected = out / out.norm(dim=1, keepdim=True)
    assert torch.allclose(encoded(made, [[1, 2]])[0], expected, atol=1e-5)


def test_vectors_have_length_one_and_padding_changes_nothing():
    made = network()
    short, padded = encoded(made, [[1, 2]]), encoded(made, [[ITEMS, ITEMS, 1, 2]])
    assert torch.allclose(short.norm(dim=2), torch.ones(1, 2), atol=1e-3)
    assert torch.allclose(short[0, -1], padded[0, -1], atol=1e-6)
    assert torch.allclose(made.scored(made.items()[:ITEMS]).norm(dim=1), torch.ones(ITEMS), atol=1e-3)


def test_later_items_do_not_change_earlier_steps():
    made = network()
    assert torch.allclose(encoded(made, [[1, 2, 3]])[0, :2], encoded(made, [[1, 2, 5]])[0, :2], atol=1e-6)


def test_a_bucket_is_the_log_of_the_seconds_to_the_next_item():
    bucket = _buckets(torch.tensor([[0, 10, 10_000]]))
    expected = [[math.floor(math.log(10) / 0.301), 0], [math.floor(math.log(10_000) / 0.301)] * 2]
    expected[1][1] = math.floor(math.log(9_990) / 0.301)
    assert bucket[0, 0, 0] == expected[0][0]
    assert bucket[0, 1].tolist() == expected[1]
    assert _buckets(torch.tensor([[0, 2**62]]))[0, 0, 0] <= 128


def test_time_matters_where_it_is_read_and_only_there():
    near, far = [[0, 10, 20]], [[0, 10, 10_000_000]]
    with_time, without = network(), network(time_bias=False)
    for made in (with_time, without):
        torch.nn.init.normal_(made.blocks[0].by_place)
    torch.nn.init.normal_(with_time.blocks[0].by_time)
    assert not torch.allclose(encoded(with_time, [[1, 2]], near), encoded(with_time, [[1, 2]], far), atol=1e-4)
    assert torch.equal(encoded(without, [[1, 2]], near), encoded(without, [[1, 2]], far))


def test_the_loss_is_the_softmax_of_cosines_over_the_temperature():
    made = network(temperature=0.1)
    from recommenders.sequential.item_network import Window

    item = torch.tensor([[1, 2, 3]])
    batch = Window(item[:, :-1], torch.zeros(1, 3, dtype=torch.int64), item[:, 1:])
    h = encoded(made, [[1, 2]])[0]
    cosine = h @ made.scored(made.items()[:ITEMS]).T
    assert made.loss(batch).item() == pytest.approx(
        F.cross_entropy(cosine / 0.1, torch.tensor([2, 3])).item(), rel=1e-4
    )
