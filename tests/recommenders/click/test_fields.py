import polars as pl
import pytest
import torch

from recommenders.click.fields import Embeddings, make_fields
from schemas.errors import ConfigError
from schemas.sections import Click
from tests.support.click_world import corpus_of

ITEMS = pl.DataFrame(
    {
        "id": ["a", "b", "c", "d"],
        "genres": ["Drama|War", "War", None, "War| Drama |War"],
        "tags": [["x", "y"], [], ["y"], ["z"]],
    }
)
ROWS = [(f"u{user:02}", item, 4.0, time) for user in range(30) for time, item in enumerate("abcd")]


def fields_of(**settings: dict[str, str]):
    return make_fields(corpus_of(ROWS, ITEMS), Click(**settings))


def test_values_become_ids_in_their_order_and_a_value_counts_once():
    [genres, tags] = fields_of(attributes={"genres": "|", "tags": ";"}).item
    assert (genres.name, genres.size, genres.ids.tolist()) == ("genres", 3, [[1, 2], [2, 0], [0, 0], [1, 2]])
    assert tags.ids.tolist() == [[1, 2], [0, 0], [2, 0], [3, 0]]


def test_without_a_separator_a_value_is_whole():
    [genres] = fields_of(attributes={"genres": ""}).item
    assert genres.ids.tolist() == [[1], [2], [0], [3]]


def test_an_attribute_is_the_mean_of_its_values_and_zero_without_any():
    embed = Embeddings(fields_of(attributes={"genres": "|"}), ratings=6, dim=3)
    items = embed.items(torch.tensor([[0, 1], [2, 3]]))
    assert items.shape == (2, 2, 6)
    weight = embed.item_attributes[0].bag.weight
    assert torch.allclose(items[0, 0, 3:], (weight[1] + weight[2]) / 2)
    assert torch.equal(items[0, 1, 3:], weight[2])
    assert torch.equal(items[1, 0, 3:], torch.zeros(3))
    assert torch.equal(items[1, 0, :3], embed.item.weight[2])


def test_nothing_is_known_of_users_unless_the_run_file_says_so():
    embed = Embeddings(fields_of(), ratings=6, dim=3)
    assert embed.users(torch.tensor([0, 1])).shape == (2, 0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"attributes": {"genre": ""}}, r"click\.attributes: genre: unknown, did you mean genres"),
        ({"user_attributes": {"gender": ""}}, r"click\.user_attributes: gender: unknown"),
    ],
)
def test_a_column_that_is_not_there_is_named(settings, said):
    with pytest.raises(ConfigError, match=said):
        fields_of(**settings)
