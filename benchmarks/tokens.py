"""How near the token estimate comes to a real tokenizer: `python -m benchmarks.tokens --tokenizer FILE --texts FILE`.

The tokenizer is a `tokenizer.json` of Hugging Face, the texts are lines, or a JSON object of lists of texts by name.
For each list the table says what the tokenizer counts, what we estimate, by how much the sums and nine in ten single
texts differ, and what the estimate takes.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from language_models.tokens import estimate_tokens

HEAD = (
    "| texts | number | tokens | estimated | deviation | of single texts | µs per KB |\n|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    chosen = parser.parse_args()
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(chosen.tokenizer))
    print(HEAD)  # noqa: T201
    for name, texts in read_texts(chosen.texts).items():
        print(row(name, texts, tokenizer))  # noqa: T201


def read_texts(file: Path) -> Mapping[str, Sequence[str]]:
    """Texts by name; the lines of a file that is no JSON go by the file's name."""
    content = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        found: dict[str, list[str]] = json.loads(content)
        return found
    return {file.stem: [line for line in content.splitlines() if line]}


def row(name: str, texts: Sequence[str], tokenizer: Any) -> str:
    """One line of the table."""
    counted = [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    began = time.perf_counter()
    estimated = [estimate_tokens(text) for text in texts]
    took_us = 1e6 * (time.perf_counter() - began) / (sum(len(text.encode()) for text in texts) / 1024)
    single = sorted(ours / max(theirs, 1) - 1 for ours, theirs in zip(estimated, counted, strict=True))
    low, high = single[len(single) // 20], single[-1 - len(single) // 20]
    total = sum(estimated) / sum(counted) - 1
    cells = (
        name,
        len(texts),
        f"{sum(counted):,}",
        f"{sum(estimated):,}",
        f"{total:+.1%}",
        f"{low:+.0%} to {high:+.0%}",
    )
    return f"| {' | '.join(map(str, cells))} | {took_us:.0f} |"


if __name__ == "__main__":
    main()
