"""How many tokens a text has, counted without a vocabulary and without a network, and corrected by what was counted.

A text is cut into pieces as byte-pair tokenizers cut it before they merge, and every piece has a cost: what such pieces
come to on average between cl100k_base and o200k_base. Where tokenizers differ, the estimate lies between them, and the
first answers correct it. Deviation of sums from the true count, 2026 (`python -m benchmarks.tokens` prints it for any
tokenizer and texts):

| texts | cl100k | o200k | DeepSeek | Claude 2 |
|---|---|---|---|---|
| user messages about items: titles, genres, descriptions in JSON | -1.7 % | +0.4 % | -3.2 % | -3.2 % |
| user messages about users: titles and profiles in JSON | +2.8 % | +4.1 % | +1.9 % | -2.3 % |
| answers of gpt-3.5-turbo, qwen-max and deepseek-chat | +1.5 % | +3.1 % | +1.8 % | -3.8 % |
| system messages and schemas | +1.9 % | +1.4 % | +0.8 % | +0.3 % |
| French in JSON | +1.5 % | +12 % | -0.2 % | -6 % |
| German in JSON | -4 % | +13 % | -4 % | -14 % |
| Chinese in JSON | -9 % | +11 % | +23 % | -2 % |
| Dutch, Italian, Polish, Swedish, Turkish and others | -20 % | -3 % | -16 % | -30 % |
| Russian, Ukrainian | -22 % | +24 % | +5 % | -31 % |
"""

from __future__ import annotations

import json
import re
from bisect import bisect
from functools import lru_cache

from schemas.records import Prompt, canonical

TOKENS_PER_MESSAGE = 4  # role and separators that a chat endpoint puts around a message
TOKENS_PER_ANSWER = 3  # what opens the answer; counted as input
MOST_AROUND = 64  # tokens that a chat template may add to a request on its own
PIECES = 1 << 14  # distinct pieces whose cost is remembered
TEXTS = 256  # texts that come again with every prompt and whose tokens are remembered
FEWEST_TOKENS = 5000  # estimated ones behind a calibration that counts: some twenty calls
CORRECTIONS = (0.25, 4.0)  # what lies outside is more likely a fault than a vocabulary

_LATIN = "A-Za-zÀ-ɏḀ-ỿ"
_PIECE = re.compile(
    rf" ?[{_LATIN}]+"
    r"|[0-9]{1,3}"
    r"| ?[!-/:-@\[-`{-~]+[\r\n]*"
    r"|\s+(?!\S)|\s"
    r"| ?[^\x00-\x7f]"
    r"|."
)
# small words of other languages stand for the longer ones around them, which a vocabulary made of English cuts up
_FOREIGN_WORDS = """
    der das den dem des ein eine einen und oder ist sind nicht mit auf für von zu zum zur im sich sie es wird werden
    auch bei wie het een van voor niet zijn naar deze dit dat worden wordt ook uit maar geen il lo gli di del della dei
    che è sono una un nel alla più questo el los las de que por para se su este más os uma da dos não são och att det
    som på är av inte ett till
"""
_FOREIGN = frozenset(_FOREIGN_WORDS.split())
_FOREIGN_COST = 0.7
_ACCENTS = {
    letter: cost for letters, cost in (("äöüßåÄÖÜÅ", 1.4), ("éèêëàâçîïôûùœáíóúñãõì", 0.4)) for letter in letters
}
# first code point of a range of scripts -> tokens per character
_SCRIPTS = {
    0x0080: 1.0,  # signs
    0x0370: 0.52,  # Greek
    0x0400: 0.25,  # Cyrillic
    0x0530: 0.53,  # Armenian, Hebrew
    0x0600: 0.35,  # Arabic
    0x0780: 0.58,  # Indic
    0x0E00: 0.54,  # Thai, Lao
    0x0F00: 1.0,
    0x3040: 0.71,  # kana
    0x3100: 1.0,
    0x3400: 0.75,  # Han
    0xA000: 1.0,
    0xAC00: 0.56,  # Hangul
    0xD7B0: 1.0,
    0x1F000: 2.1,  # emoji
}
_STARTS, _PER_CHARACTER = list(_SCRIPTS), list(_SCRIPTS.values())


def estimate_tokens(text: str) -> int:
    """Expected tokens of a text; 0 for an empty one. Linear in its length."""
    return round(sum(map(_cost, _PIECE.findall(text))))


def prompt_tokens(prompt: Prompt) -> int:
    """Expected input tokens of a turn: its messages and the answer's schema, which endpoints put before them."""
    messages = [message["content"] for message in prompt.messages()[1:]]
    around = TOKENS_PER_MESSAGE * (len(messages) + 1) + TOKENS_PER_ANSWER
    fixed = _repeated(prompt.system) + _repeated(_sent_schema(prompt))
    return fixed + sum(map(estimate_tokens, messages)) + around


def most_tokens(prompt: Prompt) -> int:
    """Input tokens that a turn cannot exceed: a token of a byte-level vocabulary stands for at least one byte."""
    texts = [message["content"] for message in prompt.messages()]
    texts.append(_sent_schema(prompt))
    return sum(len(text.encode()) for text in texts) + TOKENS_PER_MESSAGE * len(texts) + MOST_AROUND


def calibrated(tokens: int, known: tuple[int, int] | None) -> int:
    """Estimated tokens, corrected by what an endpoint counted before: `known` is (estimated, counted) in total.

    Too few calls correct nothing, and no correction is larger than by a factor of four.
    """
    if known is None or known[0] < FEWEST_TOKENS or known[1] <= 0:
        return tokens
    return round(tokens * min(max(known[1] / known[0], CORRECTIONS[0]), CORRECTIONS[1]))


@lru_cache(TEXTS)
def _repeated(text: str) -> int:
    return estimate_tokens(text)


def _sent_schema(prompt: Prompt) -> str:
    """The schema's text; none where one token is asked for, and no schema is sent."""
    return "" if prompt.first_token else _schema_text(canonical(prompt.answer_schema))


@lru_cache(TEXTS)
def _schema_text(schema: str) -> str:
    """The schema as it is sent."""
    from language_models.chat_format import strict_schema  # which reads completions, and counts where no usage came

    return canonical(strict_schema(json.loads(schema)))


@lru_cache(PIECES)
def _cost(piece: str) -> float:
    """Expected tokens of a piece, which are never more than its bytes."""
    return min(_expected(piece), len(piece.encode(errors="surrogatepass")))


def _expected(piece: str) -> float:
    """A piece is a word and the space before it, up to three digits, a run of signs, or one letter."""
    bare = piece.lstrip(" ")
    if not bare or bare[0].isspace() or bare.isdigit():
        return 1.0
    if bare[0] <= "\x7f" and not bare[0].isalpha():
        return max(1.0, 0.4 * len(bare.rstrip()))
    if bare[0] > "ɏ" and not "Ḁ" <= bare[0] <= "ỿ":
        return _PER_CHARACTER[bisect(_STARTS, ord(bare[0])) - 1]
    accents = sum(_ACCENTS.get(letter, 0.3 if letter > "ɏ" else 2.3) for letter in bare if letter > "\x7f")
    return _word(bare, bare != piece) + accents + _FOREIGN_COST * (bare in _FOREIGN)


def _word(word: str, spaced: bool) -> float:
    """Common words in small letters are one token each; names, capitals and words after a quote are cut more often."""
    length = len(word)
    if word.islower():
        return 1 + (0.022 * max(0, length - 6) if spaced else 0.07 * max(0, length - 5))
    if length == 1 or word[1:].islower():
        return 1 + (0.15 * max(0, length - 3) if spaced else 0.27 * max(0.0, length - 3.6))
    return 1 + 0.22 * max(0, length - 2)
