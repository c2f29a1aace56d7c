"""Parameters go over by id, new nodes start from text or neighbours, and what means another thing tonight stays out."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest
import torch

from features.codes import ItemCodes
from features.corpus import Part
from features.table import FeatureSet, FeatureTable
from graph_models.backbones import BACKBONES
from graph_models.dataset import GraphDataset, make_dataset
from graph_models.device import seeded
from graph_models.kept import Kept
from graph_models.model import GraphModel, build_model
from graph_models.objectives import OBJECTIVES
from graph_models.warm_start import WarmStart, warm_start
from schemas import sections
from schemas.errors import StoreError
from tests.support.communities import community_edges

DIM = 4


@dataclass
class World:
    """Users and items by id, and their graph."""

    users: list[str]
    items: list[str]
    graph: GraphDataset

    def nodes(self, untrained: tuple[str, ...] = ()) -> pl.DataFrame:
        ids = [*self.users, *self.items]
        kind = ["user"] * len(self.users) + ["item"] * len(self.items)
        return pl.DataFrame({"kind": kind, "id": ids, "trained": [id not in untrained for id in ids]})

    def row(self, id: str) -> int:
        return [*self.users, *self.items].index(id)


def text_of(ids: list[str], kind: str, width: int = 6, without: tuple[str, ...] = ()) -> FeatureTable:
    """A vector for each id that is the same every night."""
    x = np.stack([np.random.default_rng(int(id[1:])).normal(size=width) for id in ids]).astype(np.float32)
    present = np.array([id not in without for id in ids])
    return FeatureTable(kind, x * present[:, None], present, f"made.{kind}")


def make_world(
    users: list[str], items: list[str], alone: tuple[str, ...] = (), without: tuple[str, ...] = (), width: int = 6
) -> World:
    """`alone` have no edge, `without` no text. An edge depends on both ids and on nothing else."""
    pairs = [
        (u, i)
        for u, user in enumerate(users)
        for i, item in enumerate(items)
        if (int(user[1:]) * 3 + int(item[1:])) % 4 == 0 and user not in alone and item not in alone
    ]
    edges = np.array(pairs).T
    train = Part(len(users), len(items), edges, np.arange(len(pairs)), np.ones(len(pairs), dtype=np.float32))
    text = FeatureSet(text_of(items, "item", width, without), text_of(users, "user", width, without))
    return World(users, items, make_dataset(train, text))


USERS, ITEMS = [f"u{number}" for number in range(20)], [f"i{number}" for number in range(16)]
CODES = ItemCodes(np.array([[n // 4, n] for n in range(16)], dtype=np.int32), (4, 16), "made")
TONIGHT_USERS, TONIGHT_ITEMS = [*reversed(USERS[1:]), "u100", "u101"], ["i100", *ITEMS[5:], *ITEMS[:4]]


def make_model(world: World, *objectives: str, backbone: str = "lightgcn", seed: int = 0) -> GraphModel:
    with seeded(seed):
        chosen = [sections.Objective(name=name) for name in objectives]
        return build_model(world.graph, sections.Part(name=backbone, options={"dim": DIM}), chosen)


def kept_of(world: World, model: GraphModel, untrained: tuple[str, ...] = ()) -> Kept:
    return Kept({name: value.clone() for name, value in model.state_dict().items()}, world.nodes(untrained))


@pytest.fixture
def earlier() -> World:
    return make_world(USERS, ITEMS)


@pytest.fixture
def tonight() -> World:
    """Other orders, two nodes gone, three new ones: u100 without text, u101 without text and without edges."""
    return make_world(TONIGHT_USERS, TONIGHT_ITEMS, alone=("u101",), without=("u100", "u101"))


def started(earlier: World, tonight: World, *objectives: str, same_text: bool = True, **extra: object):
    """The earlier model, tonight's fresh parameters, the warm ones, and the figures."""
    old, model = make_model(earlier, *objectives, seed=1), make_model(tonight, *objectives, seed=2)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    kept = kept_of(earlier, old, **extra)
    figures = warm_start(model, kept, tonight.graph, tonight.nodes(), same_text)
    return old.state_dict(), fresh, model.state_dict(), figures


def test_rows_go_over_by_id_whatever_their_order(earlier, tonight):
    old, fresh, warm, figures = started(earlier, tonight)
    both = set(USERS + ITEMS) & set(TONIGHT_USERS + TONIGHT_ITEMS)
    for id in both:
        assert torch.equal(warm["backbone.embedding"][tonight.row(id)], old["backbone.embedding"][earlier.row(id)]), id
    assert figures == WarmStart(nodes_kept=34, new_from_text=1, new_from_neighbours=1, fresh=1)
    assert torch.equal(
        warm["backbone.embedding"][tonight.row("u101")], fresh["backbone.embedding"][tonight.row("u101")]
    )


def test_a_new_node_without_text_is_the_mean_of_its_neighbours(earlier, tonight):
    _, _, warm, _ = started(earlier, tonight)
    embedding = warm["backbone.embedding"]
    mine = tonight.graph.seen[tonight.users.index("u100")].indices
    assert len(mine) > 1
    assert tonight.items.index("i100") in mine  # itself new, and started from text before
    expected = embedding[len(tonight.users) :][mine].mean(dim=0)
    torch.testing.assert_close(embedding[tonight.row("u100")], expected)


def test_what_was_untrained_then_counts_as_new(earlier, tonight):
    old, _, warm, figures = started(earlier, tonight, untrained=("i7",))
    assert (figures.nodes_kept, figures.new_from_text) == (33, 2)
    assert not torch.equal(warm["backbone.embedding"][tonight.row("i7")], old["backbone.embedding"][earlier.row("i7")])


def test_a_user_and_an_item_of_one_id_are_two_nodes():
    world = make_world(["x1", "x2"], ["x1", "x2", "x3"])
    old, model = make_model(world, seed=1), make_model(world, seed=2)
    warm_start(model, kept_of(world, old), world.graph, world.nodes(), same_text=True)
    assert torch.equal(model.state_dict()["backbone.embedding"], old.state_dict()["backbone.embedding"])


def test_text_finds_the_place_of_new_nodes_far_better_than_chance():
    """Rows are planted as a linear function of the text, with noise; 40 of 240 items are new."""
    users, items = USERS, [f"i{number}" for number in range(240)]
    earlier, tonight = make_world(users, items[:200]), make_world(users, items)
    old, model = make_model(earlier), make_model(tonight, seed=2)
    linear = torch.randn(6, DIM)
    truth = tonight.graph.x_item @ linear + 0.3
    noisy = truth[:200] + 0.2 * torch.randn(200, DIM)
    kept = kept_of(earlier, old)
    kept.parameters["backbone.embedding"][len(users) :] = noisy
    fresh = model.state_dict()["backbone.embedding"][len(users) + 200 :].clone()
    figures = warm_start(model, kept, tonight.graph, tonight.nodes(), same_text=True)
    assert (figures.nodes_kept, figures.new_from_text) == (len(users) + 200, 40)
    found = model.state_dict()["backbone.embedding"][len(users) + 200 :]
    error, chance = (float((each - truth[200:]).square().mean()) for each in (found, fresh))
    assert error < 0.01 < 0.1 * chance
    assert error < 0.1 * float((noisy.mean(dim=0) - truth[200:]).square().mean())


def test_too_few_texts_to_learn_from_are_left_to_neighbours(earlier):
    tonight = make_world(USERS, [*ITEMS, "i100"], without=tuple(ITEMS[9:]))
    _, _, _, figures = started(earlier, tonight)
    assert (figures.new_from_text, figures.new_from_neighbours) == (0, 1)


@pytest.mark.parametrize("name", ["rlmrec_con", "rlmrec_gen", "kar", "llmrec_features", "autograph"])
def test_parameters_that_are_no_rows_go_over_as_they_are(name, earlier, tonight):
    old, fresh, warm, figures = started(earlier, tonight, name)
    mine = [key for key in warm if key.startswith(f"objectives.{name}.")]
    assert mine
    assert all(torch.equal(warm[key], old[key]) for key in mine)
    assert not all(torch.equal(warm[key], fresh[key]) for key in mine)
    assert figures.parameters_fresh == []


@pytest.mark.parametrize("name", ["rlmrec_con", "rlmrec_gen", "kar", "llmrec_features", "autograph"])
def test_where_text_has_new_coordinates_what_reads_it_begins_afresh(name, earlier, tonight):
    """Components are refitted and codes drawn anew; the rows of nodes go over all the same."""
    old, fresh, warm, figures = started(earlier, tonight, name, same_text=False)
    for key in warm:
        if key.startswith(f"objectives.{name}."):
            assert torch.equal(warm[key], fresh[key]), key
    assert figures.parameters_fresh == [f"objectives.{name}: its text has new coordinates tonight"]
    assert torch.equal(warm["backbone.embedding"][tonight.row("u3")], old["backbone.embedding"][earlier.row("u3")])
    assert figures.new_from_text == 1  # the regression is fitted on tonight's text


def test_a_tower_goes_over_whole_or_not_at_all(earlier):
    """Text twice as wide: the first layer has another shape, and the second one means nothing without it."""
    wide = make_world(USERS, ITEMS, width=12)
    old, fresh, warm, figures = started(earlier, wide, "rlmrec_con")
    assert old["objectives.rlmrec_con.tower.2.bias"].shape == fresh["objectives.rlmrec_con.tower.2.bias"].shape
    for key in warm:
        if key.startswith("objectives."):
            assert torch.equal(warm[key], fresh[key]), key
    assert figures.parameters_fresh == ["objectives.rlmrec_con: another shape"]
    assert figures.nodes_kept == 36


def test_rows_of_another_width_stay_fresh(earlier, tonight):
    old = make_model(earlier)
    with seeded(2):
        model = build_model(tonight.graph, sections.Part(name="lightgcn", options={"dim": DIM + 1}))
    fresh = model.state_dict()["backbone.embedding"].clone()
    figures = warm_start(model, kept_of(earlier, old), tonight.graph, tonight.nodes(), same_text=True)
    assert figures == WarmStart(parameters_fresh=["backbone.embedding: another shape"])
    assert torch.equal(model.state_dict()["backbone.embedding"], fresh)


def test_components_of_text_keep_the_axes_that_the_rows_were_trained_on(earlier, tonight):
    """Tonight's axes may have another sign: the start that was added then is added tonight, also to new nodes."""
    old, fresh, warm, figures = started(earlier, tonight, "text_init")
    start = "objectives.text_init.start"
    assert torch.equal(warm[start][tonight.row("i9")], old[start][earlier.row("i9")])
    assert not torch.allclose(warm[start], fresh[start], atol=1e-3)
    text, mean = earlier.graph.x_item.numpy(), earlier.graph.x_item.numpy().mean(axis=0)
    axes, *_ = np.linalg.lstsq(text - mean, old[start][len(USERS) :].numpy(), rcond=None)  # [D, d]
    new = (tonight.graph.x_item[tonight.items.index("i100")].numpy() - mean) @ axes
    np.testing.assert_allclose(warm[start][tonight.row("i100")].numpy(), new, atol=0.02)
    assert figures.nodes_kept == 34


def test_alpharec_has_no_rows_and_keeps_its_tower(earlier, tonight):
    old, model = make_model(earlier, backbone="alpharec", seed=1), make_model(tonight, backbone="alpharec", seed=2)
    assert warm_start(model, kept_of(earlier, old), tonight.graph, tonight.nodes(), same_text=True) == WarmStart()
    for key, value in model.state_dict().items():
        assert torch.equal(value, old.state_dict()[key]), key


@pytest.mark.parametrize("name", [*BACKBONES, *OBJECTIVES])
def test_every_part_declares_what_grows_with_the_nodes(name):
    """On two graphs exactly the tensors that it declares change their shape, and they have a row per node."""
    states = []
    for users in (20, 23):
        world = make_world([f"u{number}" for number in range(users)], ITEMS)
        edges = {recipe: community_edges(recipe) for recipe in ("llmrec.edges", "once.generate")}
        few = {key: replace(each, user=each.user % 20, item=each.item % 16) for key, each in edges.items()}
        graph = replace(world.graph, edges=few, codes=CODES)
        built = BACKBONES[name](graph) if name in BACKBONES else OBJECTIVES[name](graph, DIM)
        states.append((users + len(ITEMS), built.state_dict()))
    (_, one), (nodes, two) = states
    declared = {**BACKBONES, **OBJECTIVES}[name].node_rows
    assert {key for key in one if one[key].shape != two[key].shape} == set(declared)
    assert all(len(two[key]) == nodes for key in declared)


def test_a_warm_model_scores_as_the_earlier_one_where_nothing_has_changed(earlier):
    old, model = make_model(earlier, "kar", "text_init", seed=1), make_model(earlier, "kar", "text_init", seed=2)
    warm_start(model, kept_of(earlier, old), earlier.graph, earlier.nodes(), same_text=True)
    for one, two in zip(old.eval().vectors(earlier.graph), model.eval().vectors(earlier.graph), strict=True):
        assert torch.equal(one, two)


def test_what_is_kept_comes_back(earlier, tmp_path):
    kept = kept_of(earlier, make_model(earlier, "text_init"), untrained=("u3",))
    kept.save(tmp_path)
    again = Kept.load(tmp_path)
    assert again.nodes.equals(kept.nodes)
    assert {name: value.tolist() for name, value in again.parameters.items()} == {
        name: value.tolist() for name, value in kept.parameters.items()
    }
    with pytest.raises(StoreError, match=r"no parameters\.safetensors with nodes\.parquet here"):
        Kept.load(tmp_path / "other")
