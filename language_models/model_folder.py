"""Where a Hugging Face model lies on this machine, and a digest that tells it from others of the same name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from schemas.errors import ConfigError
from schemas.records import canonical, sha256

WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
TEXTS = (".json", ".jinja", ".txt", ".model")  # configuration, tokenizer, chat template
TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")
SAMPLES, SAMPLE_BYTES = 64, 16_384  # of a weight file: a fine-tuned copy has the size of its original
_HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")


def find_model(name: str) -> Path:
    """The folder of a model: a path, or a name of the hub that is in the local cache. Nothing is ever downloaded.

    Raises ConfigError where there is none, and naming the file that a folder lacks.
    """
    folder = Path(name).expanduser()
    folder = folder.resolve() if folder.is_dir() else _cached(name)
    _require(folder, "config.json", (folder / "config.json").is_file())
    _require(folder, "tokenizer (tokenizer.json or others)", any((folder / file).is_file() for file in TOKENIZERS))
    _require(folder, f"weights ({', '.join(WEIGHTS)})", any(file.suffix in WEIGHTS for file in folder.iterdir()))
    return folder


def digest(folder: Path) -> str:
    """sha256 of everything that decides an answer: the small files, and sizes and samples of the weight files."""
    parts = {}
    for file in sorted(folder.iterdir()):
        if file.suffix in TEXTS:
            parts[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        elif file.suffix in WEIGHTS:
            parts[file.name] = f"{file.stat().st_size} {_sampled(file)}"
    return sha256(canonical(parts))


def _sampled(file: Path) -> str:
    """Digest of `SAMPLES` evenly spaced pieces: a gigabyte takes as long as a megabyte."""
    size, found = file.stat().st_size, hashlib.sha256()
    with file.open("rb") as stream:
        for sample in range(SAMPLES):
            stream.seek(max(0, size - SAMPLE_BYTES) * sample // (SAMPLES - 1))
            found.update(stream.read(SAMPLE_BYTES))
    return found.hexdigest()


def _cached(name: str) -> Path:
    if _HUB_NAME.fullmatch(name):
        from huggingface_hub import snapshot_download

        try:
            return Path(snapshot_download(name, local_files_only=True))
        except (OSError, ValueError):
            pass
    fetch = f": fetch it with `hf download {name}` first" if _HUB_NAME.fullmatch(name) else "; correct the path"
    raise ConfigError(
        f"llm.model: {name}: expected the folder of a causal language model, or a name that is in the local cache of "
        f"Hugging Face, found neither; nothing is downloaded by itself{fetch}"
    )


def _require(folder: Path, what: str, there: bool) -> None:
    if not there:
        raise ConfigError(f"llm.model: {folder}: no {what}; expected a folder as `save_pretrained` writes it")
