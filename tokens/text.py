"""A token's text: `ppt`, 32 random characters (160 bit), and 7 check characters over both."""

import hashlib
import re
import secrets

from provisioning.db import ALPHABET

_PREFIX = "ppt"
_RANDOM = 32
_CHECK = 7
_FORM = re.compile(rf"{_PREFIX}[0-9a-hjkmnp-tv-z]{{{_RANDOM + _CHECK}}}")

_FORM_IN_BYTES = re.compile(_FORM.pattern.encode())
_MARK = b"{provisioning-token}"


def make() -> str:
    """A new token, 160 bit of it random."""
    body = _PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(_RANDOM))
    return body + _check(body)


def is_well_formed(text: str) -> bool:
    """Whether a server can have made this token; junk is told apart without asking the database."""
    return bool(_FORM.fullmatch(text)) and text.endswith(_check(text[:-_CHECK]))


def redact(text: str) -> str:
    """`text` with whatever begins like a token cut off after its prefix, for logs."""
    # Percent-encoded, it is still the secret.
    return re.sub(r"(?:p|%70){2}(?:t|%74)[0-9a-zA-Z%]{8,}", f"{_PREFIX}…", text, flags=re.IGNORECASE)


def take_out(content: bytes) -> bytes:
    """`content` with a mark in the place of every token; `put_in` turns the marks into another one."""
    return _FORM_IN_BYTES.sub(lambda found: _MARK if is_well_formed(found[0].decode()) else found[0], content)


def put_in(content: bytes, token: str) -> bytes:
    return content.replace(_MARK, token.encode())


def _check(body: str) -> str:
    bits = int.from_bytes(hashlib.sha256(body.encode()).digest()[:5])
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(0, 5 * _CHECK, 5))
