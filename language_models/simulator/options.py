"""The options of `loregraph simulate`, read from a command line."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from language_models.simulator.script import Script, explained, read_script
from language_models.simulator.writing import Answers
from schemas.errors import ConfigError

REHEARSAL = """\
Rehearse a night at no cost, in three steps:
  1. loregraph simulate --port 8000 --fault rate_limit=0.05 --fault reset=0.01
  2. in the run file, [llm]: engine = "openai", base_url = "http://127.0.0.1:8000/v1"; then loregraph night as usual
  3. curl http://127.0.0.1:8000/stats says what was served, what was paid, and whether anything was paid twice
"""
SCRIPTED = (
    "seed",
    "rpm",
    "tpm",
    "hidden_rpm",
    "hidden_capacity",
    "latency",
    "latency_spread",
    "tokens_per_second",
    "logprobs",
    "position_bias",
)
Form = Literal["json_schema", "json_object", "text"]
MIB = 1 << 20
OTHERS_RPM = 6000  # requests per minute of a client that is not on this machine


class Options(BaseModel):
    """How the endpoint is served, what it asks for and what it charges; faults and limits are the script's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen at")
    port: int = Field(8000, ge=0, lt=65536, description="port to listen at; 0 takes a free one")
    port_file: Path | None = Field(None, description="file to write the port to, once it listens")
    answers: Answers = Field("offline", description="offline: from the prompt's own data; brief: a constant per schema")
    formats: tuple[Form, ...] = Field(
        ("json_schema", "json_object", "text"), description="response formats that are not refused with 400"
    )
    key: str | None = Field(
        None, min_length=1, description="what must stand in the Authorization header; needed where --host is not local"
    )
    max_body_mib: int = Field(8, gt=0, description="MiB of a request at most")
    max_file_mib: int = Field(200, gt=0, description="MiB of an uploaded batch file at most")
    max_files: int = Field(10_000, gt=0, description="uploaded files, and batches, that are kept at most")
    max_stored_mib: int = Field(4096, gt=0, description="MiB of all files together, above which no upload is taken")
    max_connections: int = Field(8192, gt=0, description="connections at a time")
    client_rpm: int | None = Field(
        None, gt=0, description=f"requests per minute of one client; default: {OTHERS_RPM}, where --host is local none"
    )
    read_timeout_s: float = Field(60.0, gt=0, description="seconds for the head of a request, and again for its body")
    idempotency: bool = Field(False, description="honour Idempotency-Key: what was paid once is not paid again")
    price_input: float = Field(0.0, ge=0, description="US dollars per million input tokens")
    price_cached: float | None = Field(None, ge=0, description="per million cached input tokens; default: as input")
    price_output: float = Field(0.0, ge=0, description="per million output tokens")
    batch_price: float = Field(0.5, ge=0, description="what a row of a batch costs, as a part of the online price")
    journal: Path | None = Field(
        None, description="file to append a line to per paid answer: time, request, first user message, kind"
    )
    script: Script = Script()

    @field_validator("formats", mode="before")
    @classmethod
    def split(cls, value: Any) -> Any:
        """`json_object,text` on a command line."""
        return tuple(value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def others_have_the_key(self) -> Options:
        """Who can be reached from other machines asks for a key."""
        if not self.is_local and self.key is None:
            raise ValueError(f"host: {self.host} can be reached from other machines; give --key too, or leave it out")
        return self

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can connect."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name: anybody's
            return False

    @property
    def most_per_client(self) -> int | None:
        """Requests per minute of one client; None for any number."""
        return self.client_rpm or (None if self.is_local else OTHERS_RPM)


def read_options(arguments: Sequence[str], program: str) -> Options:
    """Exits with code 2 on an unknown option, as argparse does; raises ConfigError on a wrong value or fault script."""
    given = {name: value for name, value in vars(_parser(program).parse_args(arguments)).items() if value is not None}
    scripted = {name: given.pop(name) for name in SCRIPTED if name in given}
    script = read_script(given.pop("faults", None), given.pop("fault", ()), scripted)
    try:
        return Options(**given, script=script)
    except ValidationError as error:
        raise ConfigError(explained("simulate", error)) from None


def _parser(program: str) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(program, description=REHEARSAL, epilog=_faults(), formatter_class=form)
    for name, field in Options.model_fields.items():
        if name != "script":
            _add(parser, name, field)
    parser.add_argument("--faults", type=Path, metavar="FILE", help="fault script (TOML)")
    parser.add_argument("--fault", action="append", metavar="NAME=VALUE", help="one line of it; may be repeated")
    for name in SCRIPTED:
        _add(parser, name, Script.model_fields[name])
    return parser


def _add(parser: argparse.ArgumentParser, name: str, field: FieldInfo) -> None:
    """The value stays text until the model reads it."""
    flag, help = "--" + name.replace("_", "-"), field.description
    if field.annotation is bool:
        parser.add_argument(flag, action="store_true", help=help)
    else:
        default = "" if field.default in (None, 0.0) else f" (default: {_shown(field.default)})"
        parser.add_argument(flag, metavar=name.upper(), help=f"{help}{default}")


def _shown(default: Any) -> str:
    return ",".join(default) if isinstance(default, tuple) else str(default)


def _faults() -> str:
    lines = [f"  {name:<25} {field.description}" for name, field in Script.model_fields.items() if name not in SCRIPTED]
    return "what a fault script can say:\n" + "\n".join(lines)
