"""Vectors in the place of tokens: a placeholder's own embedding changes not a bit."""

import pytest
import torch
from torch import nn

from language_models.tuning.batches import Example, Text, padded
from language_models.tuning.soft_tokens import Projector, token_rms, with_soft_tokens
from schemas.errors import DataError
from tests.language_models.tuning.conftest import ARCHITECTURES


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_a_placeholder_that_stands_for_itself_gives_the_plain_forward_bit_by_bit(tuned, kind, side):
    model = tuned(kind, new_tokens=["<slot>"])
    slot = model.tokenizer.convert_tokens_to_ids("<slot>")
    texts = [Text((5, slot, 6, slot), slots=(1, 3)), Text((5, 6)), Text((7, 8, slot, 9, 5), slots=(2,))]
    batch = padded([Example(text, ()) for text in texts], model.pad, side)
    own = [model.embedding()(torch.full((len(text.slots),), slot)) for text in texts]
    plain = model.embedding()(batch.ids)
    soft = with_soft_tokens(model.embedding(), batch.ids, batch.slots, own)
    assert torch.equal(soft, plain)
    at = batch.mask.nonzero(as_tuple=True)
    with torch.no_grad():
        with_own, _ = model(soft, batch.mask, batch.position, at)
        expected = model.lm(batch.ids, attention_mask=batch.mask, position_ids=batch.position).logits[at]
        others, _ = model(
            with_soft_tokens(model.embedding(), batch.ids, batch.slots, [each + 1 for each in own]),
            batch.mask,
            batch.position,
            at,
        )
    assert torch.equal(with_own, expected)
    assert not torch.allclose(others, expected)


def test_rows_are_replaced_in_their_places_and_take_the_gradient():
    embedding, vectors = nn.Embedding(10, 4), torch.randn(2, 4, requires_grad=True)
    ids = torch.tensor([[1, 2, 3], [4, 5, 6]])
    found = with_soft_tokens(embedding, ids, [(0, 2), (1,)], [vectors, None])
    assert torch.equal(found[0, [0, 2]], vectors)
    assert torch.equal(found[0, 1], embedding.weight[2])
    assert torch.equal(found[1], embedding.weight[[4, 5, 6]])
    (found * torch.arange(3)[None, :, None]).sum().backward()
    assert vectors.grad.tolist() == [[0.0] * 4, [2.0] * 4]
    assert embedding.weight.grad[[1, 3]].abs().sum() == 0


def test_another_number_of_vectors_than_of_placeholders_is_named():
    ids = torch.tensor([[1, 2, 3]])
    with pytest.raises(DataError, match=r"prompt 0: expected \(2, 4\), a vector for each placeholder, found \(1, 4\)"):
        with_soft_tokens(nn.Embedding(10, 4), ids, [(0, 2)], [torch.zeros(1, 4)])


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({"kind": "linear"}, [(6, 3)]),
        ({}, [(6, 3), (6, 6)]),
        ({"hidden": 30, "activation": "relu"}, [(30, 3), (6, 30)]),
        ({"norm": True}, [(6, 3), (6,), (6, 6)]),
    ],
)
def test_a_projector_has_the_layers_of_its_paper(options, shapes):
    projector = Projector(3, 6, **options)
    assert [tuple(each.shape) for name, each in projector.layers.named_parameters() if "weight" in name] == shapes
    assert projector(torch.randn(5, 3), torch.tensor([4, 0, 4])).shape == (3, 6)


def test_what_has_no_vector_gets_the_learned_one():
    projector, table = Projector(3, 6), torch.randn(5, 3)
    found = projector(table, torch.tensor([2, -1, 4, -1]))
    assert torch.equal(found[[1, 3]], projector.unknown.expand(2, -1))
    assert torch.equal(found[[0, 2]], projector.layers(table[[2, 4]]))
    found.sum().backward()
    assert projector.unknown.grad.tolist() == [2.0] * 6
    assert projector(table, torch.tensor([-1])).shape == (1, 6)
    assert projector(table, torch.zeros(0, dtype=torch.long)).shape == (0, 6)


def test_soft_tokens_are_as_large_as_tokens(opened):
    model = opened("gpt2", new_tokens=["<slot>"])
    embedding = model.embedding()
    rms = token_rms(embedding)
    every = embedding(torch.arange(len(embedding.weight))).detach()
    assert rms == pytest.approx(float(every.square().mean().sqrt()), rel=1e-5)
    tokens = Projector(3, model.width, rms=rms)(100 * torch.randn(5, 3), torch.tensor([0, 1, -1]))
    assert tokens.square().mean(1).sqrt().tolist() == pytest.approx([rms] * 3, rel=1e-4)
