"""A `postgresql://` address: with its password for the driver, without it for everybody else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import quote, unquote, urlsplit

from schemas.errors import StoreError

EXPECTED = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password as %XX"

BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. Only `shown` may appear in messages."""

    full: str = field(repr=False)
    shown: str
    secrets: tuple[str, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises StoreError, which repeats no part of the text, where it is no address."""
        try:
            parts = urlsplit(text)
            host, port, user = parts.hostname or "", parts.port, parts.username or ""
        except ValueError:
            raise StoreError(f"ledger: cannot read the address; expected {EXPECTED}") from None
        if BROKEN.search(text):
            raise StoreError(f"ledger: the address has a % that is no %XX; expected {EXPECTED}")
        if text.count("@") > 1 or "@" in parts.path + parts.query or parts.fragment:
            raise StoreError(f"ledger: the address has an @, / or # too many; expected {EXPECTED}")
        if "password" in parts.query:
            raise StoreError(f"ledger: the address has its password among the options; expected {EXPECTED}")
        place = f"{user}@{host}" if user else host
        shown = f"postgresql://{place}{f':{port}' if port else ''}{parts.path}"
        return cls(text, shown, _forms(parts.password))

    def scrub(self, message: str) -> str:
        """The message without the password, in whichever form."""
        for secret in self.secrets:
            message = message.replace(secret, "***")
        return message


def _forms(password: str | None) -> tuple[str, ...]:
    if not password:
        return ()
    plain = unquote(password)
    return tuple(sorted({password, plain, quote(plain, safe="")}, key=len, reverse=True))
