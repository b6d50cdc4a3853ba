"""Digest authentication: the answer to a challenge of a proxy or a phone (RFC 7616, RFC 8760)."""

import hashlib
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_HASHES: Final[Mapping[str, Callable[[bytes], "hashlib._Hash"]]] = {
    "md5": lambda data: hashlib.md5(data, usedforsecurity=False),
    "sha-256": hashlib.sha256,
}
_PARAMETER: Final = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)')


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str = field(repr=False)


def answer(challenges: Sequence[str], credentials: Credentials, *, method: str, uri: str) -> str | None:
    """The header that answers the first challenge that we know how to; None when there is none.

    RFC 8760 lets a server name several, the one that it likes best first.
    """
    for challenge in challenges:
        parameters = _parameters(challenge)
        if parameters and (made := _answer(parameters, credentials, method, uri)):
            return made
    return None


def _parameters(challenge: str) -> Mapping[str, str] | None:
    """What is quoted stays as it was sent, escapes and all: so it goes into the digest and back."""
    scheme, _, rest = challenge.strip().partition(" ")
    if scheme.lower() != "digest":
        return None
    found: dict[str, str] = {}
    at = 0
    while at < len(rest):
        match = _PARAMETER.match(rest, at)
        if match is None:
            return None
        found[match[1].lower()] = match[2] if match[2] is not None else match[3]
        at = match.end()
    return found


def _answer(challenge: Mapping[str, str], who: Credentials, method: str, uri: str) -> str | None:
    algorithm = challenge.get("algorithm", "MD5")
    hashed = _HASHES.get(algorithm.lower())
    if hashed is None or "realm" not in challenge or "nonce" not in challenge:
        return None
    offered = [each.strip().lower() for each in challenge.get("qop", "").split(",") if each.strip()]
    if offered and "auth" not in offered:
        return None

    def digest(*parts: str) -> str:
        return hashed(":".join(parts).encode()).hexdigest()

    realm, nonce = challenge["realm"], challenge["nonce"]
    ha1, ha2 = digest(who.username, realm, who.password), digest(method, uri)
    said = [f'username="{_quoted(who.username)}"', f'realm="{realm}"', f'nonce="{nonce}"', f'uri="{uri}"']
    if offered:
        cnonce, count = secrets.token_hex(8), "00000001"
        said += [f'response="{digest(ha1, nonce, count, cnonce, "auth", ha2)}"']
        said += ["qop=auth", f"nc={count}", f'cnonce="{cnonce}"']
    else:  # as before RFC 2617, which servers still may
        said += [f'response="{digest(ha1, nonce, ha2)}"']
    said += [f"algorithm={algorithm}"] if "algorithm" in challenge else []
    said += [f'opaque="{challenge["opaque"]}"'] if "opaque" in challenge else []
    return f"Digest {', '.join(said)}"


def _quoted(text: str) -> str:
    return re.sub(r'(["\\])', r"\\\1", text)
