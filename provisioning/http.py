"""What the phones' routes and the pages have in common: who is calling."""

import ipaddress
from collections.abc import Sequence

from aiohttp import web

from provisioning.config import Network


def client_address(request: web.Request, trusted: Sequence[Network]) -> str:
    """The caller's address. `X-Forwarded-For` counts only from right to left through trusted proxies."""
    address = request.remote or ""
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
