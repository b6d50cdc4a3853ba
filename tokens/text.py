"""A token's text: `ppt`, 32 random characters (160 bit), and 7 check characters over both.

That of a phone's key, which follows the token in a URL of the phone's own, is `ppk` and as many.
"""

import hashlib
import re
import secrets
from typing import Final

from provisioning.db import ALPHABET
from provisioning.vault import Vault

KEY_PREFIX: Final = "ppk"
_PREFIX = "ppt"
_RANDOM = 32
_CHECK = 7
_BITS = 5 * _RANDOM
_FORM = re.compile(rf"{_PREFIX}[0-9a-hjkmnp-tv-z]{{{_RANDOM + _CHECK}}}")
_KEY_FORM = re.compile(_FORM.pattern.replace(_PREFIX, KEY_PREFIX))

_MARKED: Final = tuple(
    (re.compile(form.pattern.encode()), mark)
    for form, mark in ((_FORM, b"{provisioning-token}"), (_KEY_FORM, b"{provisioning-key}"))
)
_MARK, _KEY_MARK = (mark for _, mark in _MARKED)
_MARKED_URL: Final = re.compile(re.escape(_MARK) + b"(?:/" + re.escape(_KEY_MARK) + b")?")
# What begins like one; percent-encoded, it is still the secret.
_BEGUN: Final = {
    _PREFIX: re.compile(r"(?:p|%70){2}(?:t|%74)[0-9a-zA-Z%]{8,}", re.IGNORECASE),
    KEY_PREFIX: re.compile(r"(?:p|%70){2}(?:k|%6b)[0-9a-zA-Z%]{8,}", re.IGNORECASE),
}


def make() -> str:
    """A new token, 160 bit of it random."""
    body = _PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(_RANDOM))
    return body + _check(body)


def key(vault: Vault, token: str, mac: str, opening: int) -> str:
    """The phone's under this token, as it is since it was opened for the `opening`th time again. Of its MAC
    address, not of the device: one that is deleted and added again, or whose address was mistyped for a
    while, is still the phone that it was.

    It is nowhere stored: who has the vault's digest key makes the same again."""
    bits = int.from_bytes(vault.digest(f"key of {mac}, opening {opening}, with {token}")[: _BITS // 8])
    body = KEY_PREFIX + _spelled(bits, _RANDOM)
    return body + _check(body)


def is_well_formed(text: str) -> bool:
    """Whether a server can have made this token; junk is told apart without asking the database."""
    return _is_made(_FORM, text)


def is_key(text: str) -> bool:
    """Whether a server can have made this key."""
    return _is_made(_KEY_FORM, text)


def redact(text: str) -> str:
    """`text` with whatever begins like a token or a key cut off after its prefix, for logs."""
    for prefix, begun in _BEGUN.items():
        text = begun.sub(f"{prefix}…", text)
    return text


def take_out(content: bytes) -> bytes:
    """`content` with a mark in the place of every token and key; `put_in` turns the marks into others."""
    for form, mark in _MARKED:
        for found in {text for text in form.findall(content) if _checks(text.decode())}:
            content = content.replace(found, mark)
    return content


def put_in(content: bytes, token: str, key: str = "") -> bytes:
    """Every URL is with the key, or none is, whichever somebody typed into the phone."""
    secret = "/".join(filter(None, (token, key)))
    return _MARKED_URL.sub(secret.encode(), content).replace(_KEY_MARK, key.encode())


def _is_made(form: re.Pattern[str], text: str) -> bool:
    return bool(form.fullmatch(text)) and _checks(text)


def _checks(text: str) -> bool:
    return text.endswith(_check(text[:-_CHECK]))


def _check(body: str) -> str:
    return _spelled(int.from_bytes(hashlib.sha256(body.encode()).digest()[:5]), _CHECK)


def _spelled(bits: int, characters: int) -> str:
    return "".join(ALPHABET[bits >> shift & 31] for shift in range(0, 5 * characters, 5))
