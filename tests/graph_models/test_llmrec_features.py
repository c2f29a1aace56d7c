from dataclasses import replace

import numpy as np
import pytest
import torch

from features.table import FeatureSet, joined
from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.objectives.llmrec_features import LLMRecFeatures
from schemas.errors import DataError
from tests.support.graphs import make_batch, make_text, make_vectors

DIM = 4
USERS, ITEMS = 12, 9  # the last of each has no edge
MISSING = ((2,), (2, 5), (0, 2, 8))  # items without the first, second, third source
BATCH = make_batch([1], [0], [3])


@pytest.fixture
def graph(part):
    """Three sources of the items, two of them of one width."""
    sources = [
        make_text("item", ITEMS, dim, missing, seed)
        for seed, (dim, missing) in enumerate(zip((5, 5, 3), MISSING, strict=True))
    ]
    return make_dataset(part, FeatureSet(joined(sources), make_text("user", USERS, missing=(0, 5), seed=7)))


def made(graph, **options) -> LLMRecFeatures:
    with seeded(0):
        objective = LLMRecFeatures(graph, DIM, **options)
    for name, parameter in objective.named_parameters():
        if name.endswith("bias") or name == "token":  # which start at zero
            torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(len(name)))
    return objective


def operators(graph, compat: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Users from items [U, I], and items from users [I, U]: D^-1/2 R D^-1/2, or the published D^-1/2 R."""
    seen = torch.from_numpy(graph.seen.toarray()).float()
    user, item = (1 / seen.sum(dim).clamp(min=1).sqrt() for dim in (1, 0))
    if compat == "reference":
        return user[:, None] * seen, item[:, None] * seen.T
    both = user[:, None] * seen * item
    return both, both.T


def blocks(graph) -> list[torch.Tensor]:
    return list(graph.x_item.split([5, 5, 3], dim=1))


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / (1e-8 + x.square().sum(dim=1, keepdim=True)).sqrt()


def by_hand(objective, graph, z, weights, masked: set[int] = frozenset(), compat="none"):
    """The paper's formulas on dense matrices, one source after another: final vectors, and each source's A A a."""
    from_items, from_users = operators(graph, compat)
    profile = graph.present_user[:, None] * objective.user_projection(graph.x_user)
    of_items = from_users @ profile
    user = z[:USERS] + weights[0] * unit(from_items @ of_items)
    item = z[USERS:] + weights[0] * unit(of_items)
    propagated = []
    for number, (x, missing) in enumerate(zip(blocks(graph), MISSING, strict=True)):
        project = objective.item_projection[str(x.shape[1])]
        has = [row for row in range(ITEMS) if row not in missing]
        token = project(x[has].mean(dim=0)) if compat == "reference" else objective.token[number] if masked else None
        rows = [token if row in masked else project(x[row]) for row in range(ITEMS)]
        rows = [torch.zeros(DIM) if row in missing else rows[row] for row in range(ITEMS)]
        of_users = from_items @ torch.stack(rows)
        propagated.append(from_users @ of_users)
        user, item = user + weights[1] * unit(of_users), item + weights[1] * unit(propagated[-1])
    return torch.cat([user, item]), propagated


def restoration(objective, graph, propagated, masked: set[int], slope: float) -> torch.Tensor:
    """Mean of (1 - cos)^2 over the masked items that have the source."""
    errors = []
    for x, vectors, missing in zip(blocks(graph), propagated, MISSING, strict=True):
        linear = objective.decoder[str(x.shape[1])][0]
        for row in masked - set(missing):
            decoded = torch.nn.functional.leaky_relu(vectors[row] @ linear.weight.T + linear.bias, slope)
            errors.append((1 - torch.cosine_similarity(decoded, x[row], dim=0)).square())
    return torch.stack(errors).mean()


def masked_items(objective) -> set[int]:
    pairs = zip(objective.sources, objective.masked, strict=True)
    return {row for source, (places, _) in pairs for row in source.rows[places].tolist()}


def assert_same_gradients(value, expected, parameters) -> None:
    ours, theirs = (torch.autograd.grad(each, parameters, materialize_grads=True) for each in (value, expected))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("compat", "weights"), [("none", (0.1, 0.1)), ("reference", (2.8, 0.005))])
def test_served_vectors_equal_the_formula(graph, compat, weights):
    objective, z = made(graph, compat=compat).eval(), make_vectors(graph)
    found, (expected, _) = objective.outputs(z), by_hand(objective, graph, z, weights, compat=compat)
    assert torch.allclose(found, expected, atol=1e-5)
    assert objective(found, BATCH).item() == 0  # nothing was masked, so nothing is restored
    parameters = [z, *objective.user_projection.parameters(), *objective.item_projection.parameters()]
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(3))
    assert_same_gradients((found * weight).sum(), (expected * weight).sum(), parameters)


@pytest.mark.parametrize(("compat", "weights", "slope"), [("none", (0.5, 2.0), 0.01), ("reference", (2.8, 0.005), 1.0)])
def test_masked_vectors_and_restoration_equal_the_formula(graph, compat, weights, slope):
    given = {"user_weight": 0.5, "item_weight": 2.0} if compat == "none" else {}
    objective, z = made(graph, mask_rate=0.5, compat=compat, **given), make_vectors(graph)
    with seeded(3):
        found = objective.outputs(z)
    masked = masked_items(objective)
    assert len(masked) == 4  # half of the eight items with text
    expected, propagated = by_hand(objective, graph, z, weights, masked, compat)
    assert torch.allclose(found, expected, atol=1e-5)
    value, error = objective(found, BATCH), restoration(objective, graph, propagated, masked, slope)
    assert value.item() == pytest.approx(error.item(), rel=1e-4)
    weight = torch.randn(found.shape, generator=torch.Generator().manual_seed(3))
    parameters = [z, *objective.parameters()]
    assert_same_gradients(value + (found * weight).sum(), error + (expected * weight).sum(), parameters)


def test_the_published_code_has_no_learned_token_and_given_weights_win(graph):
    objective = LLMRecFeatures(graph, DIM, compat="reference", user_weight=0.0)
    assert objective.token is None
    assert (objective.user_weight, objective.item_weight) == (0.0, 0.005)


def test_sources_of_one_width_share_a_projection_and_a_decoder(graph):
    objective = made(graph)
    assert {name: tuple(each.weight.shape) for name, each in objective.item_projection.items()} == {
        "3": (DIM, 3),
        "5": (DIM, 5),
    }
    assert sorted(objective.decoder) == ["3", "5"]
    assert not [name for name in objective.state_dict() if name.startswith("sources")]  # the text is not kept


@pytest.mark.parametrize("compat", ["none", "reference"])
def test_masking_leaves_the_text_as_it_is_and_draws_anew(graph, compat):
    objective, z, drawn = made(graph, mask_rate=0.3, compat=compat), make_vectors(graph), set()
    before = [source.x.clone() for source in objective.sources]
    for _ in range(20):
        objective(objective.outputs(z), BATCH).backward()
        drawn |= masked_items(objective)
    assert all(torch.equal(source.x, x) for source, x in zip(objective.sources, before, strict=True))
    assert drawn == {0, 1, 3, 4, 5, 6, 7, 8}  # every item with text in its turn


def test_no_more_rows_than_the_cap_pass_the_decoder(graph):
    objective, rows = made(graph, mask_rate=1.0, most=2), []
    for each in objective.decoder.values():
        each.register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    objective(objective.outputs(make_vectors(graph)), BATCH)
    assert len(rows) == 3
    assert max(rows) <= 2


def test_without_a_rate_nothing_is_masked_and_there_is_nothing_to_train_for_it(graph):
    objective, z = made(graph, mask_rate=0.0), make_vectors(graph)
    found = objective.outputs(z)
    assert torch.equal(found, made(graph, mask_rate=0.0).eval().outputs(z))
    value = objective(found, BATCH)
    value.backward()
    assert value.item() == 0
    assert {name.split(".")[0] for name, _ in objective.named_parameters()} == {"user_projection", "item_projection"}


def test_text_reaches_a_node_over_its_edges_alone(graph):
    """The last user and the last item have text and no edge: text gives them no vector."""
    z = make_vectors(graph)
    found = made(graph).eval().outputs(z)
    alone = [USERS - 1, USERS + ITEMS - 1]
    assert graph.present_user[-1]
    assert graph.present_item[-1]
    assert torch.equal(found[alone], z[alone])
    assert not LLMRecFeatures.gives_vectors


@pytest.mark.parametrize("compat", ["none", "reference"])
def test_what_stands_in_rows_without_text_is_never_read(graph, compat):
    x_user, x_item = graph.x_user.clone(), graph.x_item.clone()
    x_user[[0, 5]] = torch.nan
    for block, missing in zip(x_item.split([5, 5, 3], dim=1), MISSING, strict=True):
        block[list(missing)] = torch.nan
    results = []
    for each in (graph, replace(graph, x_user=x_user, x_item=x_item)):
        objective, z = made(each, mask_rate=0.5, compat=compat), make_vectors(graph)
        with seeded(1):
            found = objective.outputs(z)
        loss = objective(found, BATCH)
        (loss + found.sum()).backward()
        results.append((found, loss, z.grad, *(parameter.grad for parameter in objective.parameters())))
    for clean, dirty in zip(*results, strict=True):
        assert torch.equal(clean, dirty)
        assert dirty.isfinite().all()


def test_a_source_holds_only_the_rows_that_have_it(graph):
    objective = made(graph)
    assert objective.user_text.dim == 6
    assert [source.x.shape for source in objective.sources] == [(8, 5), (7, 5), (6, 3)]
    assert np.array_equal(objective.sources[1].rows, [0, 1, 3, 4, 6, 7, 8])


def test_without_text_is_an_error(part):
    with pytest.raises(DataError, match="llmrec_features: expected text vectors"):
        LLMRecFeatures(make_dataset(part), DIM)
