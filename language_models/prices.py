"""What a call is expected to weigh in tokens and what it costs in US dollars, without asking anyone."""

from __future__ import annotations

from math import ceil

from schemas.records import Prompt, canonical
from schemas.run import Llm

FREE_ENGINES = ("offline", "recorded")
BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4  # role and separators that a chat endpoint puts around a message


def estimate_tokens(text: str) -> int:
    """Expected tokens of a text: its UTF-8 bytes over four, rounded up; 0 for an empty text.

    English prose has 4.0 to 4.5 bytes per token in the common byte-pair vocabularies, and scripts with several bytes
    per letter need more tokens per letter, which counting bytes follows. What is paid is the endpoint's own count.
    """
    return ceil(len(text.encode()) / BYTES_PER_TOKEN)


def prompt_tokens(prompt: Prompt) -> int:
    """Expected input tokens of a prompt: both messages and the answer's schema, which endpoints put before them."""
    texts = (prompt.system, prompt.user, canonical(prompt.answer_schema))
    return sum(estimate_tokens(text) for text in texts) + 2 * TOKENS_PER_MESSAGE


def cost_usd(input_tokens: int, output_tokens: int, llm: Llm) -> float:
    """US dollars of so many tokens at the run file's prices."""
    if llm.engine in FREE_ENGINES:
        return 0.0
    return (input_tokens * llm.usd_per_million_input + output_tokens * llm.usd_per_million_output) / 1e6


def reserve_usd(prompt: Prompt, llm: Llm) -> float:
    """The most that one call may cost: its input, and an answer as long as `llm.max_output_tokens` allows."""
    return cost_usd(prompt_tokens(prompt), llm.max_output_tokens, llm)
