"""What must not be shown: keys in the forms that they are echoed in, and passwords in addresses."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote, quote_plus, urlsplit

HIDDEN = "***"
SHORTEST = 6  # characters; a shorter key stands for nothing secret
_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")  # in an address


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets: as they are, percent-encoded, in JSON, in base64."""
    for secret in secrets:
        for form in _forms(secret):
            text = text.replace(form, HIDDEN)
    return text


def without_passwords(text: str) -> str:
    """The text with *** for every password in an address such as scheme://user:password@host."""
    return _PASSWORD.sub(rf"\1:{HIDDEN}@", text)


def has_user(address: str) -> bool:
    """Whether a URL names a user or a password before its host."""
    return "@" in urlsplit(address).netloc


@lru_cache(maxsize=64)
def _forms(secret: str) -> tuple[str, ...]:
    """The longest first; none of what is too short to be a secret."""
    if len(secret) < SHORTEST:
        return ()
    coded = [code(secret.encode()).decode().rstrip("=") for code in (base64.b64encode, base64.urlsafe_b64encode)]
    written = [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]]
    return tuple(sorted({secret, quote(secret, safe=""), quote_plus(secret), *written, *coded}, key=len, reverse=True))
