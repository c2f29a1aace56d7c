"""AutoCF's attention, masks and losses against dense matrices, and what each of its parts changes."""

import pytest
import torch
import torch.nn.functional as F

from graph_models.backbones.autocf import AutoCF, GraphTransformer
from graph_models.device import seeded
from graph_models.edge_weights import EdgeWeights
from graph_models.local_mask import draw_seeds, guesses, local_similarity, pattern, surroundings, with_loops
from schemas.errors import ConfigError
from tests.support.graphs import make_batch

BATCH = make_batch([0, 1, 0, 3], [0, 1, 2, 0], [5, 6, 7, 5])


def made(graph, **options) -> AutoCF:
    with seeded(0):
        return AutoCF(graph, **{"dim": 4, "heads": 2, "init": "normal", **options})


@pytest.fixture
def edges(graph) -> EdgeWeights:
    return EdgeWeights(graph.adjacency.crow_indices(), graph.adjacency.col_indices())


@pytest.fixture
def links(graph) -> torch.Tensor:
    return (graph.adjacency.to_dense() > 0).float()


def attention(layer: GraphTransformer, x: torch.Tensor, links: torch.Tensor) -> torch.Tensor:
    heads = []
    for query, key, value in zip(
        *((x @ w).chunk(2, dim=1) for w in (layer.query, layer.key, layer.value)), strict=True
    ):
        logits = (query @ key.T).clamp(-10, 10).masked_fill(links == 0, -torch.inf)
        heads.append(torch.softmax(logits, dim=1).nan_to_num(0) @ value)
    return torch.cat(heads, dim=1)


def test_attention_is_a_softmax_over_a_nodes_entries(edges, links):
    with seeded(0):
        layer, x = GraphTransformer(4, 2), torch.randn(edges.nodes, 4)
    torch.testing.assert_close(layer(x, edges), attention(layer, x, links), atol=1e-5, rtol=1e-4)
    looped = with_loops(edges)
    eye = torch.eye(edges.nodes)
    torch.testing.assert_close(layer(x, looped), attention(layer, x, links + eye), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(layer(x, edges), layer(x, looped), atol=1e-3)


def test_large_logits_are_clamped(edges, links):
    with seeded(0):
        layer, x = GraphTransformer(4, 2), 30 * torch.randn(edges.nodes, 4)
    torch.testing.assert_close(layer(x, edges), attention(layer, x, links), atol=1e-3, rtol=1e-3)
    assert layer(x, edges).isfinite().all()


@pytest.mark.parametrize("compat", ["none", "sslrec"])
def test_served_is_the_sum_of_network_and_attention_on_the_whole_graph(graph, links, compat):
    model = made(graph, compat=compat, layers=2)
    adjacency, x = graph.adjacency.to_dense(), model.inputs()
    one, two = adjacency @ x, adjacency @ adjacency @ x
    looked_at = links if compat == "sslrec" else links + torch.eye(len(links))
    expected = x + one + two + attention(model.decoder[0], two, looked_at)
    torch.testing.assert_close(model.propagate(x, graph), expected, atol=1e-5, rtol=1e-4)


def walks(x: torch.Tensor, links: torch.Tensor) -> torch.Tensor:
    """The mean over all walks of one and two steps that do not end where they began, one after the other."""
    rows = []
    for node in range(len(links)):
        ends = links[node].nonzero()[:, 0].tolist()
        ends += [b for a in ends for b in links[a].nonzero()[:, 0].tolist() if b != node]
        rows.append(x[ends].mean(dim=0) if ends else torch.zeros(x.shape[1]))
    return torch.stack(rows)


def test_local_similarity_is_the_cosine_with_the_mean_of_the_surroundings(edges, links):
    x = torch.randn(edges.nodes, 4)
    expected = F.logsigmoid(F.cosine_similarity(walks(x, links), x, dim=1))
    torch.testing.assert_close(local_similarity(x, edges), expected, atol=1e-5, rtol=1e-4)
    assert local_similarity(x, edges)[-1].item() == pytest.approx(-(0.5**-1) * 0.34657359, abs=1e-6)  # log(1/2): alone


def test_the_published_similarity_takes_the_node_out_of_its_neighbours(edges, links):
    x = torch.randn(edges.nodes, 4)
    degree = links.sum(dim=1, keepdim=True)
    near = links @ x - x
    far = links @ near - near - degree * x
    count = links @ degree - degree
    expected = F.logsigmoid(F.cosine_similarity((near + far) / (count + 1e-8), x, dim=1))
    linked = degree[:, 0] > 0
    found = local_similarity(x, edges, less_self=1.0)
    torch.testing.assert_close(found[linked], expected[linked], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(found[linked], local_similarity(x, edges)[linked], atol=1e-2)


def test_seeds_are_drawn_by_their_probability_without_replacement():
    score = torch.tensor([0.7, 0.2, 0.1, 0.0]).log().clamp(min=-50)
    with seeded(3):
        first = torch.stack([draw_seeds(score, 1)[0] for _ in range(3000)])
        both = draw_seeds(score, 3)
    share = torch.bincount(first, minlength=4) / len(first)
    torch.testing.assert_close(share, torch.tensor([0.7, 0.2, 0.1, 0.0]), atol=0.03, rtol=0)
    assert sorted(both.tolist()) == [0, 1, 2]
    assert len(draw_seeds(score, 9)) == 4


def test_surroundings_grow_by_a_step_with_the_depth(edges, links):
    seeds = torch.tensor([1])
    assert surroundings(seeds, edges, 1).nonzero()[:, 0].tolist() == [1]
    two = {1, *links[1].nonzero()[:, 0].tolist()}
    assert set(surroundings(seeds, edges, 2).nonzero()[:, 0].tolist()) == two
    three = two | {end for node in two for end in links[node].nonzero()[:, 0].tolist()}
    assert set(surroundings(seeds, edges, 3).nonzero()[:, 0].tolist()) == three
    assert two < three


def test_the_decoder_sees_what_is_left_itself_and_pairs_of_hidden_nodes(edges):
    hidden = surroundings(torch.tensor([1]), edges, 2)
    kept = ~(hidden[edges.row] | hidden[edges.column])
    assert 0 < kept.sum() < len(kept)
    with seeded(0):
        found = guesses(hidden, kept, edges, share=0.0)
    pairs = set(zip(found.row.tolist(), found.column.tolist(), strict=True))
    left = set(zip(edges.row[kept].tolist(), edges.column[kept].tolist(), strict=True))
    loops = {(node, node) for node in range(edges.nodes)}
    inside = set(hidden.nonzero()[:, 0].tolist())
    assert len(pairs) == len(found.row)
    assert left | loops < pairs
    assert all(one in inside and other in inside for one, other in pairs - left - loops)
    assert {(other, one) for one, other in pairs} == pairs
    with seeded(0):
        more = guesses(hidden, kept, edges, share=0.9)
    assert set(more.row[more.row != more.column].tolist()) - inside - {one for one, _ in left}


def test_entries_are_merged_and_sorted():
    found = pattern(torch.tensor([2, 0, 2, 1]), torch.tensor([0, 2, 0, 1]), 4)
    assert list(zip(found.row.tolist(), found.column.tolist(), strict=True)) == [(0, 2), (1, 1), (2, 0)]
    assert found.first.tolist() == [0, 1, 2, 3, 3]


def test_training_hides_edges_that_serving_has(graph, links):
    model = made(graph)
    with seeded(1):
        z, _ = model.training_pass(model.inputs(), graph, BATCH)
    encoder, decoder = model.drawn
    left = encoder.to_dense()
    assert 0 < (left > 0).sum() < links.sum()
    assert ((left > 0) <= (links > 0)).all()
    degree = (left > 0).sum(dim=1).clamp(min=1).float()
    torch.testing.assert_close(left, (left > 0) / (degree[:, None] * degree).sqrt())  # by the degrees that are left
    seen = torch.zeros_like(left).index_put((decoder.row, decoder.column.long()), torch.ones(len(decoder.row)))
    one = left @ model.inputs()
    two = left @ one
    expected = model.inputs() + one + two + attention(model.decoder[0], two, seen)
    torch.testing.assert_close(z, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(z, model.propagate(model.inputs(), graph), atol=1e-3)


def test_what_is_hidden_changes_every_so_many_steps_and_with_each_epoch(graph):
    model = made(graph, every=3)
    drawn, told = [], []
    with seeded(1):
        for step in range(8):
            if step == 7:
                model.start_epoch(graph)
            told.append(model.training_pass(model.inputs(), graph, BATCH)[1]["infomax"].item())
            drawn.append(id(model.drawn))
    assert drawn[0] == drawn[1] == drawn[2] != drawn[3] == drawn[5] != drawn[6] != drawn[7]
    assert [value > 0 for value in told] == [True, False, False, True, False, False, True, True]


def test_the_losses_by_hand(graph, edges):
    model = made(graph, softmax=0.5, uniformity=2.0)
    with seeded(1):
        z, own = model.training_pass(model.inputs(), graph, BATCH)
    user, item = z[: graph.num_users], z[graph.num_users :]
    logits = user @ item.T
    ranked = F.cross_entropy(logits[BATCH.user], BATCH.positive)
    torch.testing.assert_close(own["autocf_softmax"], 0.5 * ranked)
    spread = sum((x @ x.T).logsumexp(dim=1)[rows].mean() for x, rows in ((user, [0, 1, 3]), (item, [0, 1, 2])))
    torch.testing.assert_close(own["uniformity"], 2.0 * spread)
    torch.testing.assert_close(own["infomax"], -local_similarity(model.inputs(), edges).mean())


def test_one_seed_one_training(graph):
    def grown(seed: int) -> torch.Tensor:
        model = made(graph)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
        with seeded(seed):
            for _ in range(12):
                z, own = model.training_pass(model.inputs(), graph, BATCH)
                optimizer.zero_grad()
                (z.square().mean() + sum(own.values())).backward()
                optimizer.step()
        return model.propagate(model.inputs(), graph).detach()

    assert torch.equal(grown(1), grown(1))
    assert not torch.equal(grown(1), grown(2))


def test_a_small_graph_keeps_most_of_its_nodes_from_being_seeds(graph):
    assert made(graph, seeds=100).seeds == 1


def test_heads_must_divide_the_dimension(graph):
    with pytest.raises(ConfigError, match="autocf: heads: expected a divisor of dim 4, found 3"):
        made(graph, heads=3)
