"""The `/v1/files` and `/v1/batches` of an endpoint (OpenAI API reference: files, batches), errors in our own words.

Looking and uploading cost nothing and are repeated by the SDK. Creating a batch costs money: it is sent once, and where
it is not clear what became of it, the caller looks the batch up by its metadata before anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Self

import httpx2
import openai

from language_models.batch.states import PATH, GoneError, NotClearError
from schemas.errors import EngineError
from schemas.secrets import masked

if TYPE_CHECKING:
    from openai.types import Batch as ProviderBatch

OURS = "loregraph_batch"  # the metadata entry that holds our id of a batch
RETRIES = 4  # of requests that cost nothing
PAGE = 100
BLOCK = 1 << 20  # bytes of a download held at a time
CLOCKS_S = 2 * 3600.0  # by how much our clock and the provider's may differ, or ours be turned back meanwhile
UNDECIDED = (408, 409, 429)  # besides 5xx: refused for now


class Provider:
    """One endpoint's files and batches. The key is kept out of every message."""

    def __init__(self, url: str, api_key: str, timeout_s: float) -> None:
        self.url = url
        self._secret = api_key
        self._client = openai.OpenAI(api_key=api_key, base_url=url, timeout=timeout_s, max_retries=RETRIES)

    def upload(self, name: str, file: IO[bytes]) -> str:
        """The id of the file at the provider."""
        with self._errors(f"upload of {name}"):
            file.seek(0)
            return self._client.files.create(file=(name, file), purpose="batch").id

    def find_file(self, name: str, size: int, since: float) -> str | None:
        """The id of an uploaded file of this name and size in bytes, not older than `since` (unix seconds)."""
        with self._errors(f"search for {name}"):
            files = self._client.files.list(purpose="batch", order="desc", limit=PAGE)
            same = (file.id for file in _recent(files, since) if (file.filename, file.bytes) == (name, size))
            return next(same, None)

    def create(self, ours: str, file_id: str, window: str) -> ProviderBatch:
        """Create the batch with one request. Raises NotClearError where it may exist all the same."""
        with self._errors(f"creation of batch {ours}"):
            batches: Any = self._client.with_options(max_retries=0).batches  # Any: the SDK's only window is "24h"
            metadata = {OURS: ours}
            created: ProviderBatch = batches.create(
                completion_window=window, endpoint=PATH, input_file_id=file_id, metadata=metadata
            )
            return created

    def find(self, ours: str, file_id: str | None, since: float) -> ProviderBatch | None:
        """The batch that carries our id or reads our file, not older than `since` (unix seconds); newest first."""
        with self._errors(f"search for batch {ours}"):
            batches = self._client.batches.list(limit=PAGE)
            return next((batch for batch in _recent(batches, since) if _is_ours(batch, ours, file_id)), None)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        """The batch as it is now. Raises NotClearError where the endpoint cannot be asked at the moment."""
        with self._errors(f"look at batch {batch_id}"):
            return self._client.batches.retrieve(batch_id)

    def cancel(self, batch_id: str) -> None:
        """Ask for an end: what is finished by then is kept and paid, the rest is neither."""
        with self._errors(f"cancellation of batch {batch_id}"):
            self._client.batches.cancel(batch_id)

    def download(self, file_id: str, into: IO[bytes]) -> None:
        """Write a whole file of the provider into `into`, from its beginning; memory does not grow with it."""
        with self._errors(f"download of {file_id}"):
            for attempt in range(RETRIES + 1):
                into.seek(0)
                into.truncate()
                try:
                    with self._client.files.with_streaming_response.content(file_id) as response:
                        for block in response.iter_bytes(BLOCK):
                            into.write(block)
                except httpx2.TransportError:  # it broke off on the way, which the SDK does not repeat
                    if attempt == RETRIES:
                        raise
                else:
                    break
            into.seek(0)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError) as error:
            raise in_our_words(error, f"{self.url}: {what}", self._secret) from None


def in_our_words(error: Exception, what: str, secret: str) -> EngineError:
    """The error of a request: NotClearError where asking again may help, GoneError for a 404, EngineError otherwise."""
    if isinstance(error, openai.APIStatusError):
        kind, said = _kind(error), f"refused ({error.status_code}: {_message(error)}); {_advice(error.status_code)}"
    else:
        cause = error.__cause__ or error
        said = f"cannot be reached ({type(cause).__name__}: {cause}); run the same command again to go on"
        kind = NotClearError
    return kind(masked(f"{what}: {said}", (secret,)))


def _kind(error: openai.APIStatusError) -> type[EngineError]:
    if error.status_code == 404:
        return GoneError
    undecided = error.status_code >= 500 or error.status_code in UNDECIDED
    return NotClearError if undecided and "insufficient_quota" not in (error.code, error.type) else EngineError


def _message(error: openai.APIStatusError) -> str:
    body = error.body
    return str(body.get("message") if isinstance(body, dict) else body)[:300]


def _advice(status: int) -> str:
    if status in (401, 403):
        return "is the key right (llm.key_env)? Every answer so far is kept, run again"
    return "every answer so far is kept, run the same command again to go on"


def _recent(objects: Iterable[Any], since: float) -> Iterator[Any]:
    """Down to `since` in lists that begin with the newest; an object without a time is looked at."""
    for each in objects:
        created = getattr(each, "created_at", None)
        if created is not None and created < since - CLOCKS_S:
            return
        yield each


def _is_ours(batch: Any, ours: str, file_id: str | None) -> bool:
    return (batch.metadata or {}).get(OURS) == ours or (file_id is not None and batch.input_file_id == file_id)
