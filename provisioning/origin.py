"""The cross-origin guard: a write that a browser's cookie authenticates must come from our own pages.

A browser adds the cookie to whatever any site makes it send. SameSite=Lax keeps it off other sites'
requests, but other origins of the same site get it: a page on a sibling subdomain, or on another port of
the same host. No token in each form is needed against them, since browsers say where a request comes
from, in headers that scripts cannot set. Sec-Fetch-Site is their plain word, on https and localhost. On
plain http it is absent, and Origin, or Referer in older ones, must be our own. What says nothing is
refused: scripts have API keys, which no browser adds by itself, and are not asked.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # they change nothing, and others cannot read the answer
_PORTS: Final = {"http": 80, "https": 443}


def allows(method: str, headers: Mapping[str, str], base_url: str) -> bool:
    """Whether a request with our cookie may do what it asks; `headers` knows names in any case.

    Our own are the origin of `base_url`, and the host that was asked by another name: the cookie
    belongs to the host that set it, so that a name of somebody else's for our address brings none.
    """
    if method in _SAFE:
        return True
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    source = _origin(headers.get("Origin", headers.get("Referer", "")))
    asked = f"{urlsplit(base_url).scheme}://{headers.get('Host', '')}"
    return source is not None and source in {_origin(base_url), _origin(asked)}


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what has none, such as the `null` of a sandboxed page."""
    try:
        parts = urlsplit(url)
        if parts.scheme in _PORTS and parts.hostname:
            return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        pass
    return None
