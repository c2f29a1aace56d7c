"""bespokelabs-curator asks prepared prompts: run by the interpreter of the peers' environment, never by ours.

`python curator_client.py PROMPTS URL CONCURRENCY FOLDER` prints seconds, CPU seconds and rows as one line of JSON.

Its settings are the best we found: the `openai` backend (aiohttp with a connection pool, no litellm in between), limits
far above what can be reached, a semaphore of the concurrency, its default display (cheaper than the bar that is drawn
for every answer instead), no telemetry, no viewer, and a log of errors only.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

NO_LIMIT = 1_000_000_000  # per minute
OFFLINE = {
    "TELEMETRY_ENABLED": "false",
    "CURATOR_VIEWER": "0",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # litellm's own copy, instead of a download
    "HF_HUB_OFFLINE": "1",
    "OPENAI_API_KEY": "none-needed-on-loopback",
}


def main() -> None:
    """Ask every prompt of the file once and print the figures."""
    prompts, url, concurrency, folder = sys.argv[1:]
    os.environ.update(OFFLINE | _vocabulary())
    from bespokelabs import curator  # type: ignore[import-not-found]

    logging.getLogger("curator").setLevel(logging.ERROR)
    lines = [json.loads(line) for line in Path(prompts).read_text(encoding="utf-8").splitlines()]
    asked = [line["messages"] for line in lines]
    llm = curator.LLM(
        model_name=lines[0]["model"],
        backend="openai",
        response_format=_answer(),
        generation_params={"temperature": 0, "max_completion_tokens": lines[0]["max_completion_tokens"]},
        backend_params={
            "base_url": url,
            "max_requests_per_minute": NO_LIMIT,
            "max_tokens_per_minute": NO_LIMIT,
            "max_concurrent_requests": int(concurrency),
            "max_retries": 2,
            "request_timeout": 60,
        },
    )
    llm(asked[:8], working_dir=f"{folder}/warming")
    began, cpu = time.perf_counter(), time.process_time()
    answered = llm(asked, working_dir=folder)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "rows": len(answered.dataset)}) + "\n")


def _vocabulary() -> dict[str, str]:
    """The cl100k_base file that curator's constructor would download lies in litellm's wheel, under tiktoken's name."""
    import importlib.util

    litellm = importlib.util.find_spec("litellm")
    assert litellm is not None
    assert litellm.origin is not None
    return {"TIKTOKEN_CACHE_DIR": str(Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers")}


def _answer() -> Any:
    """The answer's form, as rlmrec.item asks for it."""
    from pydantic import BaseModel

    class Answer(BaseModel):
        summarization: str
        reasoning: str

    return Answer


if __name__ == "__main__":
    main()
