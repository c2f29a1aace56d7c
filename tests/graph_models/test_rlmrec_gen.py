from dataclasses import replace

import pytest
import torch

from graph_models.dataset import make_dataset
from graph_models.device import seeded
from graph_models.model import build_model
from graph_models.objectives.rlmrec_gen import RLMRecGen, draw
from schemas.errors import DataError
from schemas.sections import Objective, Part, Training
from tests.support.graphs import make_batch, make_vectors

DIM, NODES, WITH_TEXT = 4, 21, 18  # users 0 and 5 and item 2 (node 14) have no text
MISSING = {0, 5, 14}
BATCH = make_batch([1], [0], [3])


def made(graph, **options) -> RLMRecGen:
    with seeded(0):
        return RLMRecGen(graph, DIM, **options)


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum() / ((1e-8 + a.square().sum()) * (1e-8 + b.square().sum())).sqrt()


def by_hand(z, graph, decoder, masked: list[int], temperature: float) -> torch.Tensor:
    """The formula of the paper, one masked node at a time."""
    text = torch.cat([graph.x_user, graph.x_item])
    terms = []
    for node in masked:
        exponents = torch.stack([cosine(decoder(z[node]), text[other]) / temperature for other in masked])
        terms.append(-exponents[masked.index(node)] + exponents.exp().sum().log())
    return torch.stack(terms).mean()


def rows_of(module: torch.nn.Module) -> list[int]:
    """A list that will hold the rows of every input of the module."""
    rows: list[int] = []
    module.register_forward_hook(lambda module, inputs, output: rows.append(len(inputs[0])))
    return rows


@pytest.mark.parametrize("compat", ["none", "reference"])
def test_value_and_gradient_equal_the_formula(graph, compat):
    objective, z = made(graph, rate=0.4, temperature=0.5, compat=compat), make_vectors(graph)
    with seeded(2):
        objective.inputs(z)
    masked = [node for node in objective.masked.tolist() if node not in MISSING]
    assert len({node < graph.num_users for node in masked}) == 2  # users and items together
    value, expected = objective(z, BATCH), by_hand(z, graph, objective.decoder, masked, 0.5)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    parameters = [z, *objective.decoder.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(value, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_masked_nodes_start_from_the_token_and_the_others_as_they_were(graph):
    objective, x = made(graph, rate=0.2), make_vectors(graph)
    before = x.detach().clone()
    with torch.no_grad():
        objective.token.copy_(torch.arange(DIM))
    start = objective.inputs(x)
    masked = torch.zeros(NODES, dtype=torch.bool).index_fill(0, objective.masked, True)
    assert masked.sum() == int(0.2 * WITH_TEXT)
    assert (start[masked] == objective.token).all()
    assert torch.equal(start[~masked], before[~masked])
    assert torch.equal(x, before)
    start.sum().backward()
    assert torch.equal(objective.token.grad, torch.full((DIM,), float(masked.sum())))
    assert torch.equal(x.grad, (~masked).float()[:, None].expand(-1, DIM))


def test_the_token_starts_at_zero_and_the_decoder_has_the_papers_widths(graph):
    objective = made(graph)
    assert not objective.token.any()
    assert objective.decoder[0].weight.shape == ((6 + DIM) // 2, DIM)
    assert objective.decoder[2].weight.shape == (6, (6 + DIM) // 2)


@pytest.mark.parametrize(("rate", "count"), [(0.01, 1), (0.5, 9), (1.0, 18)])
def test_as_many_nodes_with_text_are_masked_as_the_rate_says(graph, rate, count):
    objective, drawn = made(graph, rate=rate), set()
    for _ in range(60 if count == 1 else 5):
        objective.inputs(make_vectors(graph))
        assert len(objective.masked) == count
        drawn |= set(objective.masked.tolist())
    assert not drawn & MISSING
    assert len(drawn) > count or count == WITH_TEXT  # drawn anew in each step


def test_no_more_rows_than_the_cap_pass_the_decoder(graph):
    objective, z = made(graph, rate=1.0, most=3), make_vectors(graph)
    rows = rows_of(objective.decoder)
    objective.inputs(z)
    objective(z, BATCH).backward()
    assert rows == [3]
    assert (z.grad.abs().sum(dim=1) > 0).sum() == 3


def test_the_published_code_has_no_cap_and_draws_from_all_nodes(graph):
    objective, z = made(graph, rate=1.0, most=3, compat="reference"), make_vectors(graph)
    rows = rows_of(objective.decoder)
    start = objective.inputs(z)
    assert (start == objective.token).all()
    objective(z, BATCH).backward()
    assert rows == [WITH_TEXT]  # those without text are masked, but leave the loss
    assert (z.grad.abs().sum(dim=1) == 0).nonzero()[:, 0].tolist() == sorted(MISSING)
    assert len(draw(made(graph, rate=0.1, compat="reference").maskable, 0.1, NODES)) == int(0.1 * NODES)


def test_serving_masks_nothing(graph):
    objective, x = made(graph).eval(), make_vectors(graph)
    assert objective.inputs(x) is x
    assert objective(x, BATCH).item() == 0


def test_only_masked_nodes_without_text_cost_nothing(graph):
    objective, z = made(graph, compat="reference"), make_vectors(graph)
    objective.masked = torch.tensor([0, 14])
    value = objective(z, BATCH)
    value.backward()
    assert value.item() == 0
    assert z.grad.abs().sum() == 0


@pytest.mark.parametrize("compat", ["none", "reference"])
def test_what_stands_in_rows_without_text_is_never_read(graph, compat):
    x_user, x_item = graph.x_user.clone(), graph.x_item.clone()
    x_user[[0, 5]], x_item[2] = torch.nan, torch.nan
    values = []
    for each in (graph, replace(graph, x_user=x_user, x_item=x_item)):
        objective, z = made(each, rate=1.0, compat=compat), make_vectors(graph)
        with seeded(1):
            objective.inputs(z)
        value = objective(z, BATCH)
        value.backward()
        values.append(value.item())
        assert all(parameter.grad.isfinite().all() for parameter in objective.decoder.parameters())
        assert not z.grad[list(MISSING)].any()
    assert values[0] == values[1]


def test_ranking_and_restoration_read_one_masked_forward(graph):
    """Without layers and with every text masked, only embeddings of nodes without text can be reached."""
    part = Objective(name="rlmrec_gen", weight=1, options={"rate": 1.0})
    with seeded(0):
        model = build_model(graph, Part(name="lightgcn", options={"dim": DIM, "layers": 0}), [part])
    torch.nn.init.ones_(model.objectives["rlmrec_gen"].token)
    parts = model.losses(graph, make_batch([1, 0], [0, 2], [3, 4]), Training(l2=0))
    for name, reached in (("bpr", [0, 14]), ("rlmrec_gen", [])):
        (gradient,) = torch.autograd.grad(parts[name], model.backbone.embedding, retain_graph=True)
        assert gradient.abs().sum(dim=1).nonzero()[:, 0].tolist() == reached


def test_without_text_is_an_error(part):
    with pytest.raises(DataError, match="rlmrec_gen: expected text vectors"):
        RLMRecGen(make_dataset(part), DIM)
