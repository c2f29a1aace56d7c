"""What every request passes before it is served: key, rate of its client, size, time to arrive; and what never leaves.

Whatever a client sends gets an error in the shape of the OpenAI API, and no traceback.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Middleware

from language_models.simulator.counting import Counting
from language_models.simulator.doors import Doors
from language_models.simulator.limits import Bucket
from language_models.simulator.options import MIB, Options
from language_models.simulator.responses import refuse

UPLOADS = "/v1/files"
OPEN = "/health"  # asks for no key and counts for no limit
BURST_S = 60.0
MOST_CLIENTS = 10_000  # whose rates are known; the one that was seen longest ago is forgotten first
CANNOT_BE_READ = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)
BROKEN = (web.RequestPayloadError, aiohttp.ClientPayloadError, ConnectionError)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def guard(options: Options, counting: Counting, doors: Doors) -> Middleware:
    """The middleware of all routes; it counts what every answer was."""
    rates = ClientRates(options.most_per_client)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        doors.heard(request)
        if request.path == OPEN:
            return await handler(request)
        response = _refusal(request, options, rates) or await _served(request, handler, options)
        if request.path.startswith("/v1/"):
            counting.by_status[response.status] += 1
        return response

    return guarded


class ClientRates:
    """Requests per minute of every address; None allows any number."""

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Take one request of a client; where there is no room, take none and say after how many seconds there is."""
        if self._per_minute is None:
            return 0.0
        bucket = self._buckets.pop(client, None) or Bucket(self._per_minute, BURST_S)
        self._buckets[client] = bucket
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if (wait := bucket.wait_s(1)) == 0.0:
            bucket.take(1)
        return wait


def _refusal(request: web.Request, options: Options, rates: ClientRates) -> web.Response | None:
    """What needs no look at the body: a wrong key, a packed body, too many requests."""
    if (request.path.startswith("/v1/") or not options.is_local) and not _has_key(request, options):
        return refuse(401, "Incorrect API key provided.", "invalid_api_key")
    packed = request.headers.get("Content-Encoding", "identity").strip().lower()
    if packed != "identity":  # a small body may unpack to any size
        return _last(refuse(415, f"Content-Encoding: expected none, found {packed[:40]}; send the body as it is"))
    if wait := rates.wait_s(request.remote or ""):
        headers = {"retry-after-ms": str(int(wait * 1000) + 1), "retry-after": str(int(wait) + 1)}
        return refuse(429, "Too many requests of one client (--client-rpm).", "rate_limit_exceeded", headers)
    return None


async def _served(request: web.Request, handler: Handler, options: Options) -> web.StreamResponse:
    """The handler's answer, once the whole body has come in time; what cannot be read is the client's mistake."""
    if request.method == "POST" and request.path == UPLOADS:
        request = request.clone(client_max_size=options.max_file_mib * MIB)
    try:
        if not request.content.is_eof():
            async with asyncio.timeout(options.read_timeout_s):
                await (request.post() if request.content_type == "multipart/form-data" else request.read())
        return await handler(request)
    except TimeoutError:
        return _last(refuse(408, f"the body did not arrive within {options.read_timeout_s:g} s (--read-timeout-s)"))
    except web.HTTPRequestEntityTooLarge:
        limits = f"--max-body-mib {options.max_body_mib}, for files --max-file-mib {options.max_file_mib}"
        return _last(refuse(413, f"the body is larger than this endpoint takes ({limits})"))
    except web.HTTPException as error:  # no such path or method
        return refuse(error.status, error.reason)
    except BROKEN:
        return _last(refuse(400, "the body is not whole"))
    except CANNOT_BE_READ as error:
        return refuse(400, f"the request cannot be read: {type(error).__name__}: {str(error)[:200]}")


def _has_key(request: web.Request, options: Options) -> bool:
    if options.key is None:
        return True
    given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, f"Bearer {options.key}".encode())


def _last(response: web.Response) -> web.Response:
    """Nothing more is read of a connection whose request was not read to its end."""
    response.force_close()
    return response
