"""What the phones' routes and the pages have in common: who is calling."""

import functools
import ipaddress
from collections.abc import Sequence

from aiohttp import web

from provisioning.reach import Network


def client_address(request: web.Request, trusted: Sequence[Network]) -> str:
    """The caller's address. `X-Forwarded-For` counts only from right to left through trusted proxies."""
    address = _address(request.remote or "") or ""
    if not trusted:
        return address
    hops = [
        hop.strip() for header in request.headers.getall("X-Forwarded-For", []) for hop in header.split(",")
    ]
    while hops and is_trusted(address, trusted):
        nearer = _address(hops.pop())
        if nearer is None:
            break
        address = nearer
    return address


def client_scheme(request: web.Request, trusted: Sequence[Network]) -> str:
    """`https` or `http`, as the caller came. `X-Forwarded-Proto` counts from a trusted proxy alone, and of
    several values the last, which is that proxy's own."""
    if trusted and (said := request.headers.getall("X-Forwarded-Proto", [])):
        scheme = said[-1].rpartition(",")[2].strip().lower()
        if scheme in {"http", "https"} and is_trusted(request.remote or "", trusted):
            return scheme
    return request.scheme


def own_origin(request: web.Request) -> str | None:
    """Where the server itself was reached by this request, `http://127.0.0.1:8080`, whatever others call it.

    None where that is no address of a network, and when the caller has gone.
    """
    address = request.transport and request.transport.get_extra_info("sockname")
    if not isinstance(address, tuple):
        return None
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{request.scheme}://{host}:{address[1]}"


@functools.lru_cache(4096)
def _address(text: str) -> str | None:
    """In one spelling: an IPv4 address that came over an IPv6 socket is itself, and the zone of a link-local
    one, which may be any text, is left out."""
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    known = _address(address)
    return known is not None and any(ipaddress.ip_address(known) in network for network in trusted)


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
