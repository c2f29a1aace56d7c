"""What the code tells the pages of the parts: types with ranges, defaults, and which keys are another engine's."""

import pytest

from pipelines.part_facts import PartOption, find_part, part_card, part_options
from recommenders.ease import EASE
from schemas.errors import ConfigError


def option(kind: str, part: str, name: str) -> PartOption:
    return next(each for each in part_options(kind, part) if each.name == name)


def test_a_range_stands_with_the_type() -> None:
    assert option("backbones", "lightgcn", "layers").type == "integer at least 0"
    assert option("backbones", "lightgcn", "length_power").type == "number at least 0, at most 1"
    assert option("backbones", "lightgcn", "score").type == "`dot`, `cosine`"
    assert option("recommenders", "tiger", "assistant").type == "`none`, `popularity`, `item_knn`"
    assert option("tokenizers", "rq_vae", "hidden").type == "list of integers, 1 or more"
    assert option("instructions", "lc_rec", "weights").type == "list of numbers at least 0, 6 of them"


def test_defaults_are_written_as_the_run_file_has_them() -> None:
    assert option("recipes", "rlmrec.user", "label").default == '"PURCHASED ITEMS"'
    assert option("recipes", "rlmrec.user", "columns").default == "[]"
    assert option("recommenders", "tallrec", "lora_targets").default == "[]"  # of a factory
    assert option("recommenders", "tallrec", "liked_above").default == "none"
    assert option("recommenders", "hstu", "time_bias").default == "true"
    assert option("recommenders", "transfer", "trained").default == "needed"


def test_what_is_no_option_of_a_run_file_is_none() -> None:
    """A recipe's `prompt` and a click model's `dropout` come from elsewhere."""
    assert "prompt" not in [each.name for each in part_options("recipes", "once.item")]
    assert "dropout" not in [each.name for each in part_options("click_models", "din")]
    assert part_options("recommenders", "popularity") == []


def test_keys_of_another_engine_or_encoder_are_left_out() -> None:
    of_openai, of_hf = ({each.name for each in part_options("engines", name)} for name in ("openai", "hf"))
    assert "batch_window" in of_openai - of_hf
    assert "batch_size" in of_hf - of_openai
    assert "usd_per_million" in {each.name for each in part_options("encoders", "openai")}
    assert "usd_per_million" not in {each.name for each in part_options("encoders", "hf")}


def test_a_card_says_what_the_class_says() -> None:
    assert part_card("recipes", "rlmrec.user")["shows answers of"] == "`rlmrec.item`"
    assert part_card("recipes", "rlmrec.user")["tokens of a call"] == "600 in, 90 out, typically"
    assert part_card("recommenders", "ease")["a search tries"].startswith("`l2` 20.0, 50.0")
    assert part_card("objectives", "code_nodes")["reads codes"] == "yes"


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    assert find_part("recommenders", "ease") is EASE
    with pytest.raises(ConfigError, match="did you mean ease"):
        find_part("recommenders", "eese")
    with pytest.raises(ConfigError, match="did you mean recipes"):
        find_part("recipe", "once.item")
