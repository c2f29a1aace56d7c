"""Who is asked, what, and when again."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from schemas.sections.base import Option, Section


class Llm(Section):
    """The chat engine and what it may cost."""

    engine: Literal["offline", "openai", "recorded", "hf"] = Field(
        "offline",
        description="offline: fills templates; openai: an endpoint; recorded: answers that are there; hf: a folder",
    )
    mode: Literal["online", "batch"] = Field("online", description="openai: call by call, or the Batch API")
    model: str = Field("offline", description="model name sent to the endpoint; hf: folder of a causal language model")
    base_url: str | None = Field(None, description="OpenAI-compatible endpoint; the SDK's default when absent")
    key_env: str = Field("OPENAI_API_KEY", description="environment variable that holds the key")
    temperature: float = Field(0.0, ge=0, description="0: the likeliest answer; above: sampled")
    max_output_tokens: int = Field(600, gt=0, description="of one answer")
    structured: Literal["auto", "json_schema", "json_object", "text"] = Field(
        "auto", description="how answers are asked for; auto: the strictest that the endpoint takes, remembered"
    )
    concurrency: int = Field(16, gt=0, description="requests in flight at most")
    requests_per_minute: int | None = Field(None, gt=0, description="default: as the x-ratelimit headers say")
    tokens_per_minute: int | None = Field(None, gt=0, description="default: as the x-ratelimit headers say")
    attempts: int = Field(5, gt=0, description="tries of one call before it is a reject; a 429 is no try")
    timeout_s: float = Field(120.0, gt=0, description="seconds until an attempt without an answer is given up")
    recovery: Literal["none", "stored", "idempotency"] = Field(
        "none",
        description="how an answer that got lost on the way is found again: stored completions by metadata, or a "
        "gateway that honours Idempotency-Key",
    )
    ledger: str | None = Field(
        None, description="postgresql:// address of a ledger for several hosts; default: ledger.sqlite in `work`"
    )
    batch_window: str = Field("24h", description="batch: completion window asked for")
    batch_requests: int = Field(20_000, gt=0, le=50_000, description="batch: requests per file at most")
    batch_poll_s: float = Field(30.0, gt=0, description="batch: seconds between looks at a batch")
    batch_size: int = Field(8, gt=0, description="hf: prompts generated together")
    device: str = Field("auto", description="hf: auto, cpu, cuda, ...")
    redact: bool = Field(False, description="take e-mail addresses, telephone numbers and URLs out of prompts")
    answers: str | None = Field(None, description="recorded: the answers.parquet to read; relative to the run file")
    fields: dict[str, str] = Field({}, description="recorded: recorded field name -> field of the recipe's answer")
    prices: str | None = Field(None, description="price table (TOML) that goes before the built-in one")
    usd_per_million_input: float | None = Field(
        None, ge=0, description="default: as the price table says; 0 where it knows no price and the other one is given"
    )
    usd_per_million_output: float | None = Field(None, ge=0, description="default: as usd_per_million_input")
    max_cost_usd: float | None = Field(None, ge=0, description="stop with exit code 4 before a call that could pass it")
    metrics_port: int | None = Field(
        None, gt=0, lt=65536, description="serve Prometheus metrics on 127.0.0.1 while asking"
    )
    shards: int = Field(4, gt=0, le=1000, description="mapped Airflow tasks per recipe")


class Recipe(Section):
    """One recipe to run; `options` are the recipe's own."""

    name: str = Field(description="one of `loregraph list recipes`")
    options: dict[str, Option] = Field({}, description="the recipe's own options")
    prompt: str | None = Field(
        None, description="file with an instruction that replaces the recipe's own; relative to the run file"
    )
    llm: dict[str, Any] = Field({}, description="keys of [llm] that differ for this recipe")


class Refresh(Section):
    """When a user is asked about again: each recipe shows a history up to the last of its points of refresh.

    The first event is one, then the event that is `events` after the last, or an earlier one at which the history has
    drifted: the cosine distance of its mean text from that at the last point is more than `drift`. The newest events
    after that point stay unseen until the next one, in a first night too. Only the history decides, so it does not
    matter which nights came before.
    """

    events: int = Field(1, gt=0, description="new events of a user after which he is asked about again; 1: after each")
    drift: float | None = Field(None, gt=0, lt=1, description="or earlier, at such a change of the history's mean text")

    @model_validator(mode="after")
    def drift_counts(self) -> Refresh:
        """Drift only brings a refresh forward, so there is something to bring forward."""
        if self.drift is not None and self.events == 1:
            raise ValueError("drift: without effect while events = 1; set events to as many as may stay unseen at most")
        return self
