"""The desk that batches go over: lease, upload, create, look, land; each step is found again after a crash anywhere.

    intended -> uploaded -> submitted -> ended -> landed

A batch is created only from `uploaded`, which is in the ledger before the creation is sent, and is looked up by its
metadata before it is sent a second time: so there is one batch at the provider for each request file.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from language_models.batch.formats import asked_form, remember_form
from language_models.batch.landing import Landing
from language_models.batch.requests import request_line, scratch, write_lines
from language_models.batch.states import ENDED, GoneError, NotClearError
from language_models.batch.window import deadline
from language_models.inquiry import Counts
from language_models.ledger import Batch, Call, Granted, Ledger
from language_models.protocols import ChatEngine
from schemas.errors import ConfigError, EngineError
from schemas.sections import Llm

if TYPE_CHECKING:
    from openai.types import Batch as ProviderBatch

DRIVER = "driver of batch {id}"  # what one process at a time claims in the ledger
Checkpoint = Callable[[str], None]
FIRST_LOOK_S, LONGEST_LOOK_S = 0.5, 8.0  # after a creation that is not clear, before it is looked up
TEMPORARY = ("token_limit_exceeded",)  # too much is queued for the account: asked again when something has ended
DETAIL = 1000  # characters kept of why a batch failed
log = logging.getLogger(__name__)


@runtime_checkable
class BatchEngine(ChatEngine, Protocol):
    """A chat engine whose endpoint has a Batch API."""

    endpoint: str  # its address, and the namespace of its keys

    def api_key(self) -> str:
        """Raises EngineError where there is none."""
        ...


def batch_engine(engine: ChatEngine) -> BatchEngine:
    """The engine, where it has a Batch API. Raises ConfigError for one that has none."""
    if not isinstance(engine, BatchEngine):
        raise ConfigError(
            f'llm.mode: batch: the engine {engine.name} has no Batch API; take engine = "openai" or "online"'
        )
    return engine


class BatchDesk:
    """The batches of one endpoint and model in one ledger. `checkpoint` is told the name of every step, for tests."""

    def __init__(
        self,
        engine: ChatEngine,
        ledger: Ledger,
        llm: Llm,
        counts: Counts | None = None,
        checkpoint: Checkpoint = lambda _: None,
    ) -> None:
        self.engine, self.ledger, self.llm, self.checkpoint = batch_engine(engine), ledger, llm, checkpoint
        self.counts = counts if counts is not None else Counts()
        from language_models.batch.provider import Provider  # imports the client, which not every run has

        self.provider = Provider(self.engine.endpoint, self.engine.api_key(), llm.timeout_s)
        self.failed: dict[str, str] = {}  # key -> error class, of rows that this desk has landed and not sent again
        self.ending = ""  # how the batch that has landed last ended
        self.landed = self.answers = 0  # batches, and answers in them, that this desk has landed
        self.stop = threading.Event()  # when set, no further file is submitted

    def open(self, recipes: Iterable[str] | None = None) -> list[Batch]:
        """The batches that have not landed, oldest first; those of some recipes only, where they are named."""
        named = None if recipes is None else set(recipes)
        where = (self.engine.endpoint, self.engine.model)
        batches = [batch for batch in self.ledger.batches() if (batch.endpoint, batch.model) == where]
        return [batch for batch in batches if named is None or batch.recipe in named]

    def submit(self, calls: Sequence[Call]) -> Granted:
        """Lease the calls to a new batch, as far as the cap allows, and bring it to the provider.

        Raises EngineError where the provider does not take it; what is not clear then is cleared by `adopt`.
        """
        where, recipe, now = (self.engine.endpoint, self.engine.model), calls[0].prompt.recipe, time.time()
        form = asked_form(self.ledger, self.llm, self.engine.endpoint)
        batch = Batch(uuid.uuid4().hex, "intended", *where, recipe, self.ledger.night, 0, submitted_at=now, detail=form)
        self.checkpoint("lease")
        with self.ledger.transaction():
            granted = self.ledger.lease_for_batch(batch, calls, self.llm.max_cost_usd)
            if granted.taken:
                self.ledger.claim(DRIVER.format(id=batch.id))
        self.checkpoint("leased")
        for key in granted.taken:
            self.failed.pop(key, None)
        if granted.taken:
            self._bring(replace(batch, calls=len(granted.taken)), adopted=False)
        return granted

    def adopt(self) -> None:
        """Bring to the provider what an earlier process intended, unless that one lives or has done it."""
        for batch in self.open():
            if batch.state in ("intended", "uploaded") and (ours := self._claimed(batch)):
                self._bring(ours, adopted=True)

    def look(self, batch: Batch) -> ProviderBatch | None:
        """Ask how a submitted batch is doing, and land it when it has ended; None where that cannot be told now.

        A batch that is late by more than its window allows is cancelled, so that what is finished comes back. Raises
        EngineError for a batch that failed as a whole; its calls are free again.
        """
        ours = self._claimed(batch)
        if ours is None or ours.provider_id is None:
            return None
        try:
            return self._look(ours, ours.provider_id)
        except NotClearError as error:
            log.warning("%s", error)
        except GoneError:
            if not self._late(ours):
                raise
            self._lose(ours)
        return None

    def close(self) -> None:
        self.provider.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # ---- to the provider

    def _bring(self, batch: Batch, adopted: bool) -> None:
        if batch.state == "intended":
            uploaded = self._upload(batch, adopted)
            if uploaded is None:
                return
            batch = uploaded
        found = self.provider.find(batch.id, batch.file_id, batch.submitted_at or 0.0) if adopted else None
        since = float(found.created_at) if found else time.time()
        remote = found or self._create(batch)
        self.checkpoint("created")
        self._save(replace(batch, state="submitted", provider_id=remote.id, submitted_at=since))
        self.checkpoint("create_saved")

    def _upload(self, batch: Batch, adopted: bool) -> Batch | None:
        """The file made from the leases, at the provider; None where the calls are none of these settings any more."""
        calls = self.ledger.leased_by(batch.id)
        if not calls or any(self.engine.key(call.prompt) != call.key for call in calls):
            self.ledger.drop_batch(batch.id)
            return None
        name = f"loregraph-{batch.id}.jsonl"
        with scratch() as file:
            size = write_lines((request_line(call, self.llm, batch.detail) for call in calls), file)
            found = self.provider.find_file(name, size, batch.submitted_at or 0.0) if adopted else None
            file_id = found or self.provider.upload(name, file)
        self.checkpoint("uploaded")
        uploaded = self._save(replace(batch, state="uploaded", file_id=file_id, submitted_at=time.time()))
        self.checkpoint("upload_saved")
        return uploaded

    def _create(self, batch: Batch) -> ProviderBatch:
        """The batch, created once: after an answer that is not clear it is looked for before it is sent again."""
        assert batch.file_id is not None
        for attempt in range(self.llm.attempts):
            try:
                return self.provider.create(batch.id, batch.file_id, self.llm.batch_window)
            except NotClearError as error:
                failure = error
            except EngineError:
                self.ledger.drop_batch(batch.id)  # refused: there is none, and its calls are free again
                raise
            time.sleep(min(LONGEST_LOOK_S, FIRST_LOOK_S * 2**attempt))
            found = self.provider.find(batch.id, batch.file_id, batch.submitted_at or 0.0)
            if found is not None:
                return found
        raise failure

    # ---- and back

    def _look(self, batch: Batch, provider_id: str) -> ProviderBatch:
        remote = self.provider.retrieve(provider_id)
        self.checkpoint("polled")
        if remote.status not in ENDED:
            if self._late(batch) and remote.status != "cancelling":
                self.provider.cancel(provider_id)
            return remote
        ended = self._save(replace(batch, state="ended"))
        self.checkpoint("poll_saved")
        if remote.status == "failed":
            self._give_back(ended, remote)
        else:
            self._land(ended, remote)
        return remote

    def _land(self, batch: Batch, remote: ProviderBatch) -> None:
        landing = Landing(batch, self.ledger, self.llm, self.counts, self.checkpoint)
        for file_id in filter(None, (remote.output_file_id, remote.error_file_id)):
            if landing.calls:
                with scratch() as file:
                    self.provider.download(file_id, file)
                    self.checkpoint("downloaded")
                    landing.take(file)
        landing.finish(remote.status)
        self.checkpoint("rest_settled")
        self.failed |= landing.failed
        remember_form(self.ledger, self.llm, self.engine.endpoint, batch.detail, landing)
        self._landed(batch, f"{remote.status}{landing.remark}", landing.answers)
        self.checkpoint("landed")

    def _give_back(self, batch: Batch, remote: ProviderBatch) -> None:
        """Free the calls of a batch that failed as a whole, which costs nothing; raises EngineError with the reason."""
        errors = (remote.errors.data if remote.errors else None) or []
        said = "; ".join(f"{error.code}: {error.message}" for error in errors[:3]) or "no reason given"
        self.ledger.release([call.key for call in self.ledger.leased_by(batch.id)])
        self._landed(batch, f"failed: {said}"[:DETAIL])
        message = f"{self.engine.endpoint}: batch {remote.id} failed: {said}"
        if any(error.code in TEMPORARY for error in errors):
            log.warning("%s; its calls are asked again", message, extra={"batch": remote.id})
            return
        raise EngineError(f"{message}; nothing of it was paid, and every answer so far is kept; run again to go on")

    def _lose(self, batch: Batch) -> None:
        """The provider has forgotten the batch: what it had answered was paid, and nobody has it."""
        calls = self.ledger.leased_by(batch.id)
        self.ledger.abandon([call.key for call in calls], charged=True)
        self.counts.orphaned += len(calls)
        lost = {"batch": batch.id, "calls": len(calls)}
        said = "batch %(batch)s: the provider knows it no more; %(calls)d calls may have been paid"
        log.warning(said, lost, extra=lost)
        self._landed(batch, "gone at the provider")

    def _landed(self, batch: Batch, ending: str, answers: int = 0) -> None:
        self._save(replace(batch, state="landed", detail=ending))
        self.landed, self.answers, self.ending = self.landed + 1, self.answers + answers, ending

    def _late(self, batch: Batch) -> bool:
        return time.time() > deadline(batch, self.llm)

    def _claimed(self, batch: Batch) -> Batch | None:
        """The batch as it is now, ours to drive; None where another process drives it or it has landed."""
        if not self.ledger.claim(DRIVER.format(id=batch.id)):
            return None
        return next((each for each in self.ledger.batches() if each.id == batch.id), None)

    def _save(self, batch: Batch) -> Batch:
        self.ledger.save_batch(batch)
        return batch
