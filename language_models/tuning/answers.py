"""The tokens of an answer as they come after a prompt, derived from the tokenizer and never written down."""

from __future__ import annotations

from collections.abc import Sequence

from language_models.tuning.model import TunableModel
from schemas.errors import ConfigError

TAIL = 16  # last tokens of a prompt that can change how an answer is cut into tokens


def continuation(model: TunableModel, prompt: str | Sequence[int], answer: str) -> list[int]:
    """Token ids of the answer after a prompt: a text, or ids that `chat` gave. Control tokens in the answer are text.

    Raises ConfigError where prompt and answer are cut into tokens together, so that no token begins the answer.
    """
    if isinstance(prompt, str):
        return _after(model.encode(prompt), model.encode(prompt + answer), prompt, answer)
    tail = list(prompt[-TAIL:])
    text = model.tokenizer.decode(tail, clean_up_tokenization_spaces=False)
    if _whole(model, text) != tail:
        return model.encode(answer)  # the text of the ids does not give them again: nothing better is known
    found = _after(tail, _whole(model, text + answer), text, answer)
    return model.encode(answer) if set(found) & set(model.tokenizer.all_special_ids) else found


def answer_ids(
    model: TunableModel, prompt_text: str | Sequence[int], answers: Sequence[str] = ("Yes", "No")
) -> list[int]:
    """For every answer the first token, after the prompt, at which they differ: its logit is the answer's score.

    Raises ConfigError where two answers have the same first token, and where the tokenizer joins prompt and answer.
    """
    found = [continuation(model, prompt_text, answer) for answer in answers]
    first = [ids[0] if ids else None for ids in found]
    if None in first or len(set(first)) < len(first):
        told = ", ".join(f"{answer!r} {ids}" for answer, ids in zip(answers, found, strict=True))
        raise ConfigError(
            f"answers: expected first tokens that differ, found {told}; choose other words, or end the prompt with "
            "what all of them begin with"
        )
    return [id for id in first if id is not None]


def _after(before: list[int], joint: list[int], prompt: str, answer: str) -> list[int]:
    if joint[: len(before)] != before:
        raise ConfigError(
            f"answer {answer!r} after {prompt[-40:]!r}: the tokenizer joins the end of the prompt with the answer; "
            "move white space from the end of the prompt to the beginning of the answer"
        )
    return joint[len(before) :]


def _whole(model: TunableModel, text: str) -> list[int]:
    """Ids of a text whose control tokens are control tokens: the end of a chat template."""
    return list(model.tokenizer(text, add_special_tokens=False).input_ids)
