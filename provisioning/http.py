"""What the phones' routes and the pages have in common: who is calling."""

import ipaddress
from collections.abc import Sequence

from aiohttp import web

from provisioning.reach import Network


def client_address(request: web.Request, trusted: Sequence[Network]) -> str:
    """The caller's address. `X-Forwarded-For` counts only from right to left through trusted proxies."""
    address = request.remote or ""
    if not trusted:
        return address
    hops = [
        hop.strip() for header in request.headers.getall("X-Forwarded-For", []) for hop in header.split(",")
    ]
    while hops and _is_trusted(address, trusted):
        nearer = hops.pop()
        try:
            address = str(ipaddress.ip_address(nearer))
        except ValueError:
            break
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in trusted)


def session_value(request: web.Request, base_url: str) -> str | None:
    """The value of the caller's session cookie."""
    return request.cookies.get(_cookie(base_url))


def set_session(response: web.StreamResponse, base_url: str, value: str) -> None:
    """Gives the browser its session cookie, which it forgets when it is closed."""
    response.set_cookie(
        _cookie(base_url), value, path="/", httponly=True, samesite="Lax", secure=_tls(base_url)
    )


def delete_session(response: web.StreamResponse, base_url: str) -> None:
    # With the same attributes, or a browser takes it for another cookie, and refuses one of this name.
    response.del_cookie(_cookie(base_url), path="/", httponly=True, samesite="Lax", secure=_tls(base_url))


def _cookie(base_url: str) -> str:
    """Browsers take a name with `__Host-` over https from this very host alone, so nobody else can set it."""
    return "__Host-session" if _tls(base_url) else "session"


def _tls(base_url: str) -> bool:
    return base_url.startswith("https://")
