"""Tiny causal language models with random weights, saved as any other of Hugging Face is."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

SENTENCES = ["People who enjoy Gothic horror.", '{"title": "Dracula"}', "Describe. Answer in JSON."]
CONTEXT = 200  # tokens
WINDOW = 24  # of the kind "mistral"
CHAT = (
    "{% for message in messages %}"
    "{% if message.role == 'system' and not loop.first %}{{ raise_exception('system first') }}{% endif %}"
    "<|{{ message.role }}|>{{ message.content }}</s>"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|model|>{% endif %}"
)
# as Gemma's: no system message, and roles that alternate
STRICT_CHAT = (
    "{% for message in messages %}"
    "{% if (message.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}"
    "<|{{ message.role }}|>{{ message.content }}</s>"
    "{% endfor %}<|model|>"
)
SPECIAL = ["<s>", "</s>", "<|system|>", "<|user|>", "<|model|>"]


def save_tiny_model(folder: Path, kind: str = "llama", template: str | None = None, seed: int = 0) -> Path:
    """A model of two layers and a byte-level tokenizer. Some answers end by themselves: it has several end tokens."""
    tokenizer = _tokenizer(template)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    ids = {"vocab_size": len(tokenizer), "bos_token_id": 0, "eos_token_id": 1}
    model = AutoModelForCausalLM.from_config(_config(kind, ids))
    model.generation_config.eos_token_id = [1, *range(50, 60)]  # as chat models name several
    model.save_pretrained(folder)
    return folder


def _config(kind: str, ids: dict[str, int]) -> PreTrainedConfig:
    """Sizes of two small layers. GPT-2, Qwen2 and OPT tie the head to the embedding, Llama and Mistral do not."""
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "max_position_embeddings": CONTEXT}
    if kind == "gpt2":
        return GPT2Config(**ids, **sizes, initializer_range=0.4)
    if kind == "opt":
        return OPTConfig(**ids, **sizes, ffn_dim=64, word_embed_proj_dim=32, pad_token_id=None, init_std=0.4)
    sizes |= {"intermediate_size": 64, "num_key_value_heads": 2 if kind != "llama" else 4}
    if kind == "qwen2":
        return Qwen2Config(**ids, **sizes, tie_word_embeddings=True, initializer_range=0.4)
    if kind == "mistral":
        return MistralConfig(**ids, **sizes, sliding_window=WINDOW, initializer_range=0.4)
    return LlamaConfig(**ids, **sizes, initializer_range=0.4)


def _tokenizer(template: str | None) -> PreTrainedTokenizerFast:
    pairs = Tokenizer(models.BPE())
    pairs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pairs.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=SPECIAL, initial_alphabet=alphabet)
    pairs.train_from_iterator(SENTENCES, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=pairs, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = template
    return tokenizer
