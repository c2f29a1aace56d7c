"""A recipe asked through the Batch API in Airflow: submit, wait in the triggerer without a worker slot, collect.

The ledger knows what has been submitted, so a retry, another run of the same night and the next night all find it again
and submit nothing twice. Importing this file imports neither the client nor the tables.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypedDict

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from pipelines.keys import connection_keys, keys_of
from schemas.run import load_run

if TYPE_CHECKING:
    import openai
    from airflow.sdk import Context

Counts = dict[str, Any]


class Progress(TypedDict):
    """Where a recipe stands between two steps, in plain values: what a trigger carries through a restart."""

    ds: str
    open: bool  # something has still to come
    batches: list[str]  # ids at the provider, of those that were open
    until: float  # unix seconds; a batch that has not ended by then is late, counted from its own submission
    round: dict[str, int]
    counts: Counts  # of all steps so far


class BatchWork(Protocol):
    """One step of a recipe's batches, which never waits: land what has ended, submit what is open."""

    def __call__(self, file: str, ds: str, recipe: str, before: Progress | None) -> Progress:
        """`before` is what the step before has returned, None for the first of a run.

        Raises the errors of schemas.errors, BudgetError when nothing more fits under the cap.
        """
        ...


class AskBatchOperator(BaseOperator):  # type: ignore[misc]  # Airflow is not typed here
    """Ask one recipe through the Batch API and return the counts of its calls.

    `night` says the date to work on, inside the task. Killing the task leaves its batches at the provider, where they
    are paid as far as they get: the next try collects them.
    """

    template_fields: Sequence[str] = ("file", "recipe")
    ui_color = "#f2e6ff"

    def __init__(
        self, *, file: str, recipe: str, night: Callable[[], str], work: BatchWork | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.file, self.recipe = file, recipe
        self._night, self._work = night, work

    def execute(self, context: Context) -> Counts:  # noqa: ARG002  Airflow's signature
        """Submit what the ledger has no answer to; deferred while batches are open."""
        return self._step(self._night(), None)

    def collect(self, context: Context, event: Progress) -> Counts:  # noqa: ARG002
        """Land what has ended and ask follow-ups; deferred again while those are open."""
        return self._step(event["ds"], event)

    def _step(self, ds: str, before: Progress | None) -> Counts:
        from language_models.batch.states import NotClearError

        work = self._work or _default_work()
        try:
            with keys_of(load_run(Path(self.file))):
                progress = work(self.file, ds, self.recipe, before)
        except NotClearError as error:
            raise ConnectionError(str(error)) from None  # the infrastructure's, which is worth another try
        if progress["open"]:
            self._wait(progress)
        return progress["counts"]

    def _wait(self, progress: Progress) -> NoReturn:
        self.log.info("%s: waiting for %d batches: %s", self.recipe, len(progress["batches"]), progress["batches"])
        self.defer(trigger=BatchTrigger(self.file, self.recipe, dict(progress)), method_name="collect")
        raise AssertionError("defer raises")


class BatchTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires once, when every batch has ended or is late. It keeps nothing: after a restart it looks again.

    The triggerer needs the key, from the environment variable (`llm.key_env`) or from the connection that
    `airflow.connections` names for it, and the run file, not the ledger.
    """

    def __init__(self, file: str, recipe: str, progress: dict[str, Any]) -> None:
        super().__init__()
        self.file, self.recipe, self.progress = file, recipe, progress

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and the plain values that it is made from again."""
        values = {"file": self.file, "recipe": self.recipe, "progress": self.progress}
        return "pipelines.deferred.BatchTrigger", values

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, which carries the progress on to `collect`."""
        client, poll_s = await asyncio.to_thread(_connect, self.file, self.recipe)
        async with client:
            await self._until_ended(client, poll_s)
        yield TriggerEvent(self.progress)

    async def _until_ended(self, client: openai.AsyncOpenAI, poll_s: float) -> None:
        waiting = list(self.progress["batches"])
        while True:
            await asyncio.sleep(poll_s)
            waiting = [batch for batch in waiting if not await self._ended(client, batch)]
            if not waiting or time.time() > self.progress["until"]:
                return

    async def _ended(self, client: openai.AsyncOpenAI, batch: str) -> bool:
        """Whether there is something to collect, be it the reason why there is nothing."""
        import openai

        from language_models.batch.provider import in_our_words
        from language_models.batch.states import ENDED, NotClearError

        try:
            return (await client.batches.retrieve(batch)).status in ENDED
        except openai.OpenAIError as error:
            said = in_our_words(error, f"look at batch {batch}", client.api_key)
            self.log.warning("%s", said)
            return not isinstance(said, NotClearError)


def _connect(file: str, recipe: str) -> tuple[openai.AsyncOpenAI, float]:
    """A client of the recipe's endpoint, and the seconds between looks; blocking, so never in the event loop."""
    import openai

    from language_models.batch.desk import batch_engine
    from language_models.engines import make_engine

    run = load_run(Path(file))
    llm = run.llm_of(recipe)
    engine = batch_engine(make_engine(llm))
    key = connection_keys(run).get(llm.key_env)  # not by the environment, which the triggers of all runs share
    client = openai.AsyncOpenAI(
        api_key=key or engine.api_key(), base_url=engine.endpoint, timeout=llm.timeout_s, max_retries=1
    )
    return client, llm.batch_poll_s


def _default_work() -> BatchWork:
    from pipelines.batch_steps import advance_recipe

    return advance_recipe
