"""One open connection pool to an OpenAI-compatible endpoint, over openai's client with its aiohttp transport.

The SDK's client decides address, authentication, headers, proxies and certificates, once; each call then goes straight
through the aiohttp session of its transport. Building every request anew in the SDK and reading every answer into its
types takes about nine times the processor time, and sixteen times with its default transport (BENCHMARKS.md).
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import httpx2
import openai

from language_models.chat_format import (
    FORMATS,
    concerns_format,
    concerns_likeliest,
    likeliest,
    output_limit,
    read_completion,
    request_body,
    response_format,
)
from language_models.faults import Failure, Fault, bad_response, fault_of_status, fault_of_transport
from language_models.protocols import Reply
from language_models.rate_headers import limit_headers
from schemas.records import JSON, Completion, Prompt
from schemas.secrets import masked
from schemas.sections import Llm

PATH = "chat/completions"
SPARE = 8  # connections beside those of calls in flight, for looking up stored answers
KEPT_S = 1.5  # an idle connection; servers close theirs after 2 (gunicorn), 5 (uvicorn, node) or more seconds, and a
# call that meets the closing may have been paid
LONGEST = 10  # times llm.timeout_s; an endpoint may send blank lines while a call waits its turn there
LONGEST_HEADER = 65_536  # bytes
LIKELIEST = "logprobs"  # how a first token is asked for where the endpoint has not refused it
NO_WORD = 16  # characters of a key from which on it is no word that an answer may hold
STORED = 20  # completions of one turn that are looked at
ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class OpenAIConnection:
    """Sends one attempt per call; see `protocols.ChatConnection`. Made by `open_connection`."""

    def __init__(
        self, client: openai.AsyncOpenAI, http: httpx2.AsyncClient, llm: Llm, url: str, key: Callable[[Prompt], str]
    ) -> None:
        self.format: str | None = None if llm.structured == "auto" else llm.structured
        self._llm, self._url, self._key, self._client = llm, url, key, client
        self._secret = client.api_key
        self._echoed = (self._secret,) if len(self._secret) >= NO_WORD else ()  # is in no answer that is kept
        self._formats: dict[tuple[str, str], tuple[JSON, dict[str, JSON]]] = {}  # by recipe and format
        self._trial = 0  # of FORMATS, while the format is not known
        self._silent = False  # the endpoint refuses to give log-probabilities
        self._weaker: dict[str, str] = {}  # recipe whose schema the endpoint refuses -> format that it is asked in
        self._address = f"{client.base_url}{PATH}"
        self._headers = _headers(client)
        self._session, self._proxy = _session(http, self._address)
        self._timeout = aiohttp.ClientTimeout(
            total=LONGEST * llm.timeout_s, connect=llm.timeout_s, sock_connect=llm.timeout_s, sock_read=llm.timeout_s
        )

    async def send(self, prompt: Prompt) -> Reply:
        """One attempt. Raises Failure."""
        key, form = self._key(prompt), self._form(prompt)
        body = ENCODER.encode(self._request(prompt, form, key)).encode()
        started = time.monotonic()
        status, headers, text = await self._post(body, self._headers_of(prompt, key))
        if not 200 <= status < 300:
            raise Failure(self._refused(prompt, form, status, headers, text))
        if not prompt.first_token:
            self.format = self.format or form
        completion = self._read(key, prompt, text, time.monotonic() - started)
        return Reply(completion, headers)

    async def recover(self, prompt: Prompt) -> Completion | None:
        """The stored answer of this turn. None where there is none, or where it cannot be looked up."""
        if self._llm.recovery != "stored":
            return None
        metadata = _metadata(prompt, self._key(prompt))
        try:
            listed = await self._client.chat.completions.with_raw_response.list(metadata=metadata, limit=STORED)
            entries = json.loads(listed.http_response.content)["data"]
            found = next((entry for entry in entries if _labelled(entry, metadata)), None)
            return None if found is None else read_completion(self._key(prompt), prompt, found, self._llm, 0.0)
        except (openai.OpenAIError, ValueError, KeyError, TypeError, AttributeError):
            return None

    # ---- the request

    def _form(self, prompt: Prompt) -> str:
        if prompt.first_token:
            return "text" if self._silent else LIKELIEST
        return self._weaker.get(prompt.recipe) or self.format or FORMATS[self._trial]

    def _request(self, prompt: Prompt, form: str, key: str) -> dict[str, JSON]:
        request = request_body(prompt, self._llm, "text") | self._response_format(prompt, form)
        request |= output_limit(prompt, self._llm, self._url)
        if form == "text":
            request = {name: value for name, value in request.items() if name not in likeliest(prompt)}
        if self._llm.recovery == "stored":
            request |= {"store": True, "metadata": _metadata(prompt, key)}
        return request

    def _response_format(self, prompt: Prompt, form: str) -> dict[str, JSON]:
        """Made once for all prompts of a recipe, whose answer schema is one object."""
        schema, made = self._formats.get((prompt.recipe, form), (None, {}))
        if schema is not prompt.answer_schema:
            schema, made = prompt.answer_schema, response_format(prompt, form)
            self._formats[prompt.recipe, form] = schema, made
        return made

    def _headers_of(self, prompt: Prompt, key: str) -> dict[str, str]:
        if self._llm.recovery == "idempotency":
            return {**self._headers, "Idempotency-Key": f"{key}-{prompt.turn}"}
        return self._headers

    async def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], str]:
        """Status, what is said of limits, and body. Raises Failure where no whole response came."""
        try:
            async with self._session.post(
                self._address,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
                max_line_size=LONGEST_HEADER,
                max_field_size=LONGEST_HEADER,
                **self._proxy,
            ) as response:
                text = masked((await response.read()).decode(errors="replace"), self._echoed)
                said = limit_headers(response.headers)
                if 300 <= response.status < 400:
                    said["location"] = response.headers.get("location", "another address")
                return response.status, said, text
        except (aiohttp.ClientError, OSError) as error:  # OSError: TimeoutError is one
            fault = fault_of_transport(error)
        raise Failure(self._redacted(fault))  # out here, so that the cause and its request headers are not kept

    # ---- the response

    def _read(self, key: str, prompt: Prompt, text: str, latency_s: float) -> Completion:
        try:
            return read_completion(key, prompt, json.loads(text), self._llm, latency_s)
        except ValueError as error:
            fault = bad_response(f"{error}: {text}")
        raise Failure(self._redacted(fault))

    def _refused(self, prompt: Prompt, form: str, status: int, headers: dict[str, str], text: str) -> Fault:
        fault = self._redacted(fault_of_status(status, headers, text))
        if prompt.first_token:
            return self._without_likeliest(form, status, text, fault)
        if self._llm.structured == "auto" and status in (400, 422) and self._ask_for_less(prompt, form, text):
            return Fault("format", "again", fault.detail, headers=headers)
        return fault

    def _without_likeliest(self, form: str, status: int, text: str, fault: Fault) -> Fault:
        """Where log-probabilities are what is refused, the next attempt asks for the token alone, as all after it."""
        if form != LIKELIEST or status not in (400, 403, 422) or not concerns_likeliest(text):
            return fault
        self._silent = True
        return Fault("format", "again", fault.detail, headers=fault.headers)

    def _ask_for_less(self, prompt: Prompt, form: str, text: str) -> bool:
        """Whether the next attempt asks for a weaker format.

        While none is known any refusal counts, and a call that is refused in all of them is itself at fault. Later, a
        refusal of the format is about the schema of one recipe.
        """
        weaker = FORMATS.index(form) + 1
        if self.format is None:
            self._trial = weaker % len(FORMATS)
            return self._trial > 0
        if weaker == len(FORMATS) or not concerns_format(text):
            return False
        self._weaker[prompt.recipe] = FORMATS[max(weaker, FORMATS.index(self._form(prompt)))]
        return True

    def _redacted(self, fault: Fault) -> Fault:
        """Without the key, which some endpoints echo."""
        return replace(fault, detail=masked(fault.detail, (self._secret,)))


@asynccontextmanager
async def open_connection(
    llm: Llm, url: str, api_key: str, key: Callable[[Prompt], str]
) -> AsyncIterator[OpenAIConnection]:
    """A connection for as long as the block runs. `key` gives the content key of a prompt."""
    limits = httpx2.Limits(max_connections=llm.concurrency + SPARE, keepalive_expiry=KEPT_S)
    http = openai.DefaultAioHttpClient(limits=limits, timeout=llm.timeout_s)
    async with openai.AsyncOpenAI(
        api_key=api_key, base_url=url, timeout=llm.timeout_s, max_retries=0, http_client=http
    ) as client:
        yield OpenAIConnection(client, http, llm, url, key)


def _headers(client: openai.AsyncOpenAI) -> dict[str, str]:
    """What the SDK sends with every request; values that it would leave out are not texts."""
    named = {**client.default_headers, **client.auth_headers}
    return {name: value for name, value in named.items() if isinstance(value, str)}


def _session(http: httpx2.AsyncClient, address: str) -> tuple[aiohttp.ClientSession, dict[str, Any]]:
    """The aiohttp session behind the client, which closes it, and the proxy that leads to the address."""
    transport: Any = http._transport_for_url(httpx2.URL(address))
    transport.client = transport.get_client()
    session: aiohttp.ClientSession = transport.client
    proxy = transport.proxy
    if proxy is None:
        return session, {}
    auth = aiohttp.BasicAuth(*proxy.auth) if proxy.auth else None
    return session, {"proxy": str(proxy.url), "proxy_auth": auth, "proxy_headers": proxy.headers}


def _labelled(entry: JSON, metadata: dict[str, str]) -> bool:
    """Whether a stored completion is the one; an endpoint may list all that it has."""
    return metadata.items() <= (entry.get("metadata") or {}).items()


def _metadata(prompt: Prompt, key: str) -> dict[str, str]:
    return {"loregraph_key": key, "loregraph_turn": str(prompt.turn)}
