"""Tiny models of four architectures, and one with a chat template."""

import pytest
import torch

from language_models.tuning.model import Lora, TunableModel
from tests.support.tiny_model import CHAT, save_tiny_model

ARCHITECTURES = ["llama", "gpt2", "qwen2", "opt"]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("tuned")
    found = {kind: save_tiny_model(root / kind, kind) for kind in (*ARCHITECTURES, "mistral")}
    return found | {"chat": save_tiny_model(root / "chat", template=CHAT)}


@pytest.fixture
def opened(folders):
    def open_model(kind="llama", lora=None, new_tokens=(), seed=0, dtype=torch.float32):
        torch.manual_seed(seed)
        lora = Lora(dropout=0.0) if lora is None else lora
        return TunableModel.open(folders[kind], torch.device("cpu"), lora, new_tokens, dtype)

    return open_model


@pytest.fixture
def tuned(opened):
    """A model whose LoRA matrices have been trained: they start without any effect."""

    def open_model(kind="llama", **options):
        model = opened(kind, **options)
        with torch.no_grad():
            for name in model.lora:
                model.get_parameter(name).normal_(std=0.2)
        return model

    return open_model
