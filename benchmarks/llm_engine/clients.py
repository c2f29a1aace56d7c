"""The clients whose speed is compared, each as a process: `python -m benchmarks.llm_engine.clients NAME ...`.

All ask the same prepared questions with the same request bodies. Ours looks up, leases, sends, commits, reads and
judges every answer; the others send, and hold the text of the answer in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.llm_engine.worker import MODEL, RECIPE, books, settings
from features.generation import questions
from language_models.answering import answer_all
from language_models.chat_format import strict_schema
from language_models.engines import make_engine
from language_models.judging import Question
from language_models.ledger import Ledger
from schemas.records import Prompt

ROOM = 600  # output tokens at most
WARMING = 8  # questions asked before the clock starts
KEY = "none-needed-on-loopback"
Send = Callable[[dict[str, Any]], Awaitable[object]]


def ours(asked: Sequence[Question], url: str, concurrency: int, folder: Path) -> None:
    """`answer_all` with a ledger on disk (SQLite, synchronous = FULL)."""
    llm = settings(url, concurrency=concurrency, max_output_tokens=ROOM)
    with Ledger(folder / "ledger.sqlite") as ledger:
        counts = answer_all(asked, make_engine(llm), ledger, llm)
    assert counts.asked == len(asked)


def engine_alone(asked: Sequence[Question], url: str, concurrency: int, _: Path) -> None:
    """The engine with its scheduler and without a ledger."""
    engine = make_engine(settings(url, concurrency=concurrency, max_output_tokens=ROOM))
    assert sum(not answer.failed for answer in engine.answer(question.prompt for question in asked)) == len(asked)


def transport(asked: Sequence[Question], url: str, concurrency: int, _: Path) -> None:
    """The engine's own connection in a bare loop: no scheduler, no ledger."""
    from language_models.protocols import OnlineEngine

    engine = make_engine(settings(url, concurrency=concurrency, max_output_tokens=ROOM))
    assert isinstance(engine, OnlineEngine)

    async def run() -> None:
        waiting = iter(asked)

        async def work() -> None:
            for question in waiting:
                await connection.send(question.prompt)

        async with engine.connect() as connection:
            await asyncio.gather(*(work() for _ in range(concurrency)))

    asyncio.run(run())


def openai_default(asked: Sequence[Question], url: str, concurrency: int, _: Path) -> None:
    """`AsyncOpenAI` and a semaphore, on the SDK's default transport (httpx2)."""
    asyncio.run(_openai(asked, url, concurrency, aiohttp=False))


def openai_aiohttp(asked: Sequence[Question], url: str, concurrency: int, _: Path) -> None:
    """`AsyncOpenAI(http_client=DefaultAioHttpClient())` and a semaphore."""
    asyncio.run(_openai(asked, url, concurrency, aiohttp=True))


def bare_aiohttp(asked: Sequence[Question], url: str, concurrency: int, _: Path) -> None:
    """One `aiohttp.ClientSession` and a semaphore."""

    async def run() -> None:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {KEY}"}) as session:

            async def send(body: dict[str, Any]) -> str:
                async with session.post(f"{url}/chat/completions", json=body) as response:
                    return str((await response.json())["choices"][0]["message"]["content"])

            await _with_semaphore(asked, concurrency, send)

    asyncio.run(run())


CLIENTS = {
    "ours": ours,
    "engine": engine_alone,
    "transport": transport,
    "openai": openai_default,
    "openai_aiohttp": openai_aiohttp,
    "aiohttp": bare_aiohttp,
}


async def _openai(asked: Sequence[Question], url: str, concurrency: int, *, aiohttp: bool) -> None:
    import openai

    client = partial(openai.AsyncOpenAI, base_url=url, api_key=KEY, max_retries=0)
    async with client(http_client=openai.DefaultAioHttpClient()) if aiohttp else client() as opened:

        async def send(body: dict[str, Any]) -> str | None:
            completion = await opened.chat.completions.create(**body)
            return completion.choices[0].message.content  # type: ignore[no-any-return]

        await _with_semaphore(asked, concurrency, send)


async def _with_semaphore(asked: Sequence[Question], concurrency: int, send: Send) -> None:
    semaphore = asyncio.Semaphore(concurrency)

    async def one(prompt: Prompt) -> object:
        async with semaphore:
            return await send(body(prompt))

    await asyncio.gather(*(one(question.prompt) for question in asked))


def body(prompt: Prompt) -> dict[str, Any]:
    """What our engine sends for the prompt."""
    form = {"name": "rlmrec_item", "strict": True, "schema": strict_schema(prompt.answer_schema)}
    return {
        "model": MODEL,
        "messages": prompt.messages(),
        "temperature": 0.0,
        "max_completion_tokens": ROOM,
        "response_format": {"type": "json_schema", "json_schema": form},
    }


def main() -> None:
    """Run one client and print its seconds, CPU seconds and peak memory as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("client", choices=sorted(CLIENTS))
    parser.add_argument("url")
    parser.add_argument("rows", type=int)
    parser.add_argument("concurrency", type=int)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    asked = list(questions(RECIPE, books(given.rows), make_engine(settings(given.url))))
    run = CLIENTS[given.client]
    run(asked[:WARMING], given.url, given.concurrency, given.folder / "warming")  # modules that load at the first call
    began, cpu = time.perf_counter(), time.process_time()
    run(asked, given.url, given.concurrency, given.folder)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "rows": len(asked), "peak_mb": peak_mb}) + "\n")


if __name__ == "__main__":
    main()
