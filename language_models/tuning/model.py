"""A causal language model of a local folder of which only LoRA matrices and the rows of new tokens are trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from language_models.causal_folder import load, merged, rendered, takes_system
from language_models.model_folder import find_model
from language_models.tuning.batches import Batch
from language_models.tuning.lora import Lora, add_lora, lora_layers, restore
from language_models.tuning.new_rows import NewRows, add_tokens
from schemas.errors import ConfigError

__all__ = ["Lora", "TunableModel"]


class TunableModel(nn.Module):
    """A causal LM of a local folder with LoRA matrices and rows for new tokens; only those are trained.

    Any architecture with `get_input_embeddings` and attention over a mask. What is trained is float32; the frozen
    weights are of `dtype`, and with another than float32 the passes run under autocast.
    """

    def __init__(self, tokenizer: Any, lm: Any, lora: Lora | None, new_tokens: Sequence[str]) -> None:
        super().__init__()
        lm.requires_grad_(False)
        old = min(len(tokenizer), len(lm.get_input_embeddings().weight))
        ids = add_tokens(tokenizer, new_tokens)
        self.tokenizer, self.lm = tokenizer, lm
        self.new_rows = NewRows(lm, ids, old) if ids else None
        self.lora = [f"lm.{name}" for name in add_lora(lm, lora)] if lora else []
        config = lm.config.get_text_config()
        self.width: int = self.embedding().get_parameter("weight").shape[1]
        self.context: int | None = getattr(config, "max_position_embeddings", None)
        self.window: int | None = getattr(config, "sliding_window", None)
        self.end = _end(tokenizer, lm)
        self.pad = _pad(tokenizer, lm, self.end)
        self.dtype: torch.dtype = lm.dtype
        self._has_system = tokenizer.chat_template is not None and takes_system(tokenizer)
        self._at: tuple[Tensor, Tensor] | None = None
        lm.get_output_embeddings().register_forward_pre_hook(self._choose)
        self.eval()

    @classmethod
    def open(
        cls,
        folder: Path,
        device: torch.device,
        lora: Lora | None,
        new_tokens: Sequence[str] = (),
        dtype: torch.dtype = torch.float32,
    ) -> TunableModel:
        """The model of a folder, in evaluation mode; PyTorch's generator decides how what is trained begins.

        Raises ConfigError where it cannot be loaded, a new token is not new, or a target of LoRA is not there.
        """
        tokenizer, lm = load(find_model(str(folder)), dtype)
        return cls(tokenizer, lm, lora, new_tokens).to(device)

    def encode(self, text: str) -> list[int]:
        """Token ids of the text alone: nothing before or after it, and a control token that stands in it is text.

        New tokens are tokens.
        """
        return list(self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids)

    def prompt(self, text: str) -> list[int]:
        """The token that begins a text, where the tokenizer has one, and the text."""
        begin = self.tokenizer.bos_token_id
        return [*([] if begin is None else [begin]), *self.encode(text)]

    def chat(self, system: str, user: str) -> list[int]:
        """Both messages in the model's chat template up to where it answers; one below the other where it has none."""
        if self.tokenizer.chat_template is None:
            return self.prompt(f"{system}\n\n{user}\n\n")
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        return rendered(self.tokenizer, merged(messages, self._has_system))

    def embedding(self) -> nn.Module:
        """Token ids to vectors [..., width], new tokens included."""
        module: nn.Module = self.lm.get_input_embeddings()
        return module

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        found: torch.device = self.lm.device
        return found

    def forward(
        self,
        embeds: Tensor,
        mask: Tensor,
        position: Tensor,
        at: tuple[Tensor, Tensor],
        cache: Any = None,
        keep: bool = False,
    ) -> tuple[Tensor, Any]:
        """Logits [N, V], float32, at N places, and what is kept of the pass for a later one (None unless `keep`).

        `embeds` [B, T, width] come after those in `cache`; `mask` [B, C + T] has 1 at real tokens of both, `position`
        [B, T] counts them; `at`: rows and columns [N] of `embeds` whose next token is asked about.
        """
        self._at = at
        try:
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                out = self.lm(
                    inputs_embeds=embeds,
                    attention_mask=mask,
                    position_ids=position,
                    past_key_values=cache,
                    use_cache=keep or cache is not None,
                )
        finally:
            self._at = None
        return out.logits[0].float(), out.past_key_values if keep else None

    def last_hidden(self, batch: Batch) -> Tensor:
        """The states [B, T, H], float32, that the head compares with its rows."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            out = self.lm.base_model(
                inputs_embeds=self.embedding()(batch.ids.to(self.device)),
                attention_mask=batch.mask.to(self.device),
                position_ids=batch.position.to(self.device),
                use_cache=False,
            )
        states: Tensor = out.last_hidden_state.float()
        return states

    def trained_state(self) -> dict[str, Tensor]:
        """What is trained, by name, on the CPU: LoRA matrices and new rows, frozen or not."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self._trained().items()}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Put back what `trained_state` gave. Raises ConfigError where names or shapes are not those of this model."""
        own = self._trained()
        if differing := sorted(own.keys() ^ state.keys()):
            raise ConfigError(
                f"trained state: {differing[0]}: is in one of model and state only; expected the same LoRA"
            )
        for name, parameter in own.items():
            if parameter.shape != state[name].shape:
                shapes = f"expected shape {tuple(parameter.shape)}, found {tuple(state[name].shape)}"
                raise ConfigError(f"trained state: {name}: {shapes}")
            with torch.no_grad():
                parameter.copy_(state[name])

    @contextmanager
    def adapter_off(self) -> Iterator[None]:
        """The model as it was opened, within the block: no LoRA, and new tokens have the mean of the old rows."""
        flags = {parameter: parameter.requires_grad for parameter in self.parameters()}
        self._enable(False)
        try:
            yield
        finally:
            self._enable(True)
            restore(flags)  # peft has switched them all on

    def freeze_lora(self, frozen: bool) -> None:
        """Whether the LoRA matrices stay as they are (the second step of CoLLM)."""
        for name in self.lora:
            self.get_parameter(name).requires_grad_(not frozen)

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """No dropout and no gradients within the block."""
        training = self.training
        self.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            self.train(training)

    def _trained(self) -> dict[str, nn.Parameter]:
        rows = {} if self.new_rows is None else dict(self.new_rows.named_parameters(prefix="new_rows"))
        return {name: self.get_parameter(name) for name in self.lora} | rows

    def _enable(self, enabled: bool) -> None:
        if self.lora:
            for layer in lora_layers(self.lm):
                layer.enable_adapters(enabled)
        if self.new_rows is not None:
            self.new_rows.enabled = enabled

    def _choose(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Only the hidden states that are asked about reach the head: logits of all would be the largest tensor."""
        if self._at is None:
            return None
        return (inputs[0][self._at].unsqueeze(0), *inputs[1:])  # [1, N, H]


def _pad(tokenizer: Any, lm: Any, end: int) -> int:
    """Any token will do, as the mask hides it; some tokenizers name one that the model has no row for."""
    pad, rows = tokenizer.pad_token_id, len(lm.get_input_embeddings().weight)
    return end if pad is None or pad >= rows else int(pad)


def _end(tokenizer: Any, lm: Any) -> int:
    named = lm.generation_config.eos_token_id
    ends = [tokenizer.eos_token_id, *(named if isinstance(named, list) else [named])]
    found = next((end for end in ends if end is not None), None)
    if found is None:
        raise ConfigError("llm.model: no token ends a text; expected an eos_token in the tokenizer's configuration")
    return int(found)
