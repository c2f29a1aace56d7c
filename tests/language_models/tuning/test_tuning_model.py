"""What is trained and what never changes, what is saved, and how texts become tokens."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from language_models.tuning.batches import Example, Text
from language_models.tuning.likelihood import losses, next_logits
from language_models.tuning.model import Lora, TunableModel
from schemas.errors import ConfigError
from tests.language_models.tuning.conftest import ARCHITECTURES
from tests.language_models.tuning.plain import words

CODES = ("<a_1>", "<a_2>", "<b_1>")
TARGETS = {
    "llama": ["q_proj", "v_proj"],
    "gpt2": ["c_attn"],
    "qwen2": ["q_proj", "v_proj"],
    "opt": ["q_proj", "v_proj"],
}


def lessons(model):
    """Prompts and answers with old tokens and new ones."""
    prompts = words(model, "Dracula <a_1><b_1>", "<a_2> Emma")
    return [Example(prompt, (*model.encode("It<a_1>"), model.end)) for prompt in prompts]


def train(model, steps=2):
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.05, weight_decay=0.1)
    model.train()
    found = []
    for _ in range(steps):
        total, count = losses(model, lessons(model))
        optimizer.zero_grad()
        (total.sum() / count.sum()).backward()
        optimizer.step()
        found.append(total.sum().item())
    model.eval()
    return found


def everything(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_only_the_matrices_and_the_new_rows_are_trained(opened, kind):
    model = opened(kind, new_tokens=CODES)
    before, trained = everything(model), set(model.trained_state())
    first, *_, last = train(model, steps=4)
    assert last < first
    after = everything(model)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    aliases = {"new_rows.output"} & before.keys()
    assert changed <= trained | aliases
    assert {name for name in trained if "lora_B" in name or "new_rows" in name} <= changed
    assert {name.split(".")[-4] for name in model.lora} == set(TARGETS[kind])
    assert not [name for name in trained if before[name].dtype != torch.float32]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_every_new_row_is_read_and_compared(opened, kind):
    """Tied: one parameter for both. The row of <b_1> is never an answer, so only the softmax moves its head."""
    model = opened(kind, new_tokens=CODES)
    total, _ = losses(model, lessons(model))
    total.sum().backward()
    rows = model.new_rows
    assert (rows.output is rows.input) == (kind == "gpt2")
    for parameter in {rows.input, rows.output}:
        assert (parameter.grad.abs().sum(1) > 0).all()
    assert model.embedding().get_parameter("weight").grad is None


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_new_tokens_start_near_the_mean_and_leave_the_old_logits_alone(opened, folders, kind):
    model = opened(kind, new_tokens=CODES)
    ids = model.tokenizer.convert_tokens_to_ids(list(CODES))
    assert model.encode("Emma<a_2>x") == [*model.encode("Emma"), ids[1], *model.encode("x")]
    table = AutoModelForCausalLM.from_pretrained(folders[kind]).get_input_embeddings().weight
    rows = model.new_rows.input.detach()
    assert (rows - table.mean(0)).abs().max() < table.std()
    assert (rows[0] - rows[1]).abs().min() > 0  # noise: equal rows would stay equal
    plain = AutoModelForCausalLM.from_pretrained(folders[kind])
    read = model.prompt("Dracula and It")
    expected = plain(torch.tensor([read])).logits[0, -1]
    found = next_logits(model, [Text(tuple(read))])[0]
    torch.testing.assert_close(found[: len(table)], expected[: len(table)], rtol=0, atol=1e-5)
    embedded = model.embedding()(torch.tensor([[ids[2], 5]]))[0]
    assert torch.equal(embedded[0], rows[2])
    assert torch.equal(embedded[1], table[5])


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_without_its_adapter_it_is_the_model_of_the_folder(opened, folders, kind):
    model = opened(kind, new_tokens=CODES)
    train(model)
    plain = AutoModelForCausalLM.from_pretrained(folders[kind])
    prompt = words(model, "Dracula and It")
    expected = plain(torch.tensor([prompt[0].ids])).logits[0, -1]
    tuned = next_logits(model, prompt)[0, : len(expected)]
    codes = model.tokenizer.convert_tokens_to_ids(list(CODES))
    with model.adapter_off():
        found, new = next_logits(model, prompt)[0, : len(expected)], next_logits(model, prompt, tokens=codes)[0]
        embedded = model.embedding()(torch.tensor(codes))
    torch.testing.assert_close(new, new[:1].expand(3), rtol=0, atol=1e-5)  # all are the mean of the old rows
    assert torch.equal(embedded, embedded[:1].expand(3, -1))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert (tuned - expected).abs().max() > 0.01
    assert torch.equal(next_logits(model, prompt)[0, : len(expected)], tuned)


def test_frozen_matrices_stay_bit_by_bit_also_after_the_adapter_was_off(opened):
    model = opened(new_tokens=CODES)
    train(model)
    model.freeze_lora(True)
    with model.adapter_off():
        assert not [name for name in model.lora if model.get_parameter(name).requires_grad]
    before = model.trained_state()
    train(model)
    after = model.trained_state()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {
        "new_rows.input",
        "new_rows.output",
    }
    model.freeze_lora(False)
    train(model)
    assert not torch.equal(model.trained_state()[model.lora[1]], after[model.lora[1]])


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_was_trained_is_saved_and_read_again(opened, tmp_path, kind):
    model = opened(kind, new_tokens=CODES)
    train(model)
    save_file(model.trained_state(), tmp_path / "trained.safetensors")
    other = opened(kind, new_tokens=CODES, seed=9)
    prompts = words(model, "Dracula <a_1>", "Emma")
    assert not torch.allclose(next_logits(other, prompts), next_logits(model, prompts))
    other.load_trained_state(load_file(tmp_path / "trained.safetensors"))
    assert torch.equal(next_logits(other, prompts), next_logits(model, prompts))
    with model.adapter_off(), other.adapter_off():
        assert torch.equal(next_logits(other, prompts), next_logits(model, prompts))


def test_a_state_of_another_model_is_refused(opened):
    state = opened(lora=Lora(rank=4), new_tokens=CODES).trained_state()
    with pytest.raises(ConfigError, match=r"lora_A.*expected shape \(8, 32\), found \(4, 32\)"):
        opened(new_tokens=CODES).load_trained_state(state)
    with pytest.raises(ConfigError, match=r"new_rows.input: is in one of model and state only"):
        opened().load_trained_state(state)


def test_without_lora_nothing_but_new_rows_is_trained(folders):
    model = TunableModel.open(folders["llama"], torch.device("cpu"), None, CODES)
    assert set(model.trained_state()) == {"new_rows.input", "new_rows.output"}
    frozen = TunableModel.open(folders["llama"], torch.device("cpu"), None)
    assert frozen.trained_state() == {}
    assert not [name for name, parameter in frozen.named_parameters() if parameter.requires_grad]
    with frozen.adapter_off():
        assert next_logits(frozen, [Text((5,))]).isfinite().all()


def test_chance_is_that_of_the_generator(opened):
    one, same, other = (opened(new_tokens=CODES, seed=seed).trained_state() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["new_rows.input"], other["new_rows.input"])


def test_targets_are_named_or_found(opened):
    chosen = opened(lora=Lora(targets=("gate_proj", "o_proj")))
    assert {name.split(".")[-4] for name in chosen.lora} == {"gate_proj", "o_proj"}
    with pytest.raises(ConfigError, match=r"lora.targets: c_attn: no linear layer has this name .*q_proj"):
        opened(lora=Lora(targets=("q_proj", "c_attn")))


def test_half_precision_trains_in_full(opened):
    model = opened(new_tokens=CODES, dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in model.parameters() if parameter.requires_grad} == {torch.float32}
    first, *_, last = train(model, steps=4)
    assert last < first


def test_control_tokens_in_a_text_are_text(opened):
    model = opened("chat", new_tokens=CODES)
    assert model.end not in model.encode("Emma</s>")
    assert model.prompt("Emma") == [model.tokenizer.bos_token_id, *model.encode("Emma")]
    code = model.tokenizer.convert_tokens_to_ids("<a_1>")
    read = model.chat("Be brief</s>.", "Emma<a_1> <|model|>?")
    control = model.tokenizer.convert_tokens_to_ids(["<|system|>", "<|user|>", "<|model|>"])
    assert [read.count(each) for each in (*control, model.end, code)] == [1, 1, 1, 2, 1]
    assert read[-1] == control[-1]


def test_without_a_chat_template_both_messages_are_one_text(opened):
    model = opened()
    assert model.chat("Be brief.", "Emma?") == model.prompt("Be brief.\n\nEmma?\n\n")


def test_a_tokenizer_that_names_nothing_to_begin_with_begins_with_the_text(opened):
    model = opened("qwen2")
    model.tokenizer.bos_token = None
    assert model.prompt("Emma") == model.encode("Emma")


@pytest.mark.parametrize(("tokens", "named"), [(["<a_1>", "e"], "'e'"), (["<a_1>", "<a_1>"], "'<a_1>'")])
def test_a_token_that_is_not_new_is_named(opened, tokens, named):
    with pytest.raises(ConfigError, match=rf"new token {named}: the tokenizer has it already"):
        opened(new_tokens=tokens)


def test_a_folder_that_is_no_model_and_one_without_an_end_are_named(folders, tmp_path):
    with pytest.raises(ConfigError, match=r"config\.json"):
        TunableModel.open(tmp_path, torch.device("cpu"), Lora())
    folder = shutil.copytree(folders["llama"], tmp_path / "endless")
    for file in ("config.json", "generation_config.json", "tokenizer_config.json"):
        about = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({name: each for name, each in about.items() if "eos" not in name}))
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"eos_token_id": None}))
    with pytest.raises(ConfigError, match="no token ends a text"):
        TunableModel.open(folder, torch.device("cpu"), Lora())
