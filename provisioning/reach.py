"""Reach: whom this server may send SIP to, as PROVISIONING_RESYNC and …_NETWORKS say."""

import ipaddress
from dataclasses import dataclass
from typing import Literal

IP = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Reach:
    """`server` sends to the SIP servers that the phones' options name, `any` to the addresses that phones
    fetched from as well. Without `networks` that is anywhere but this machine and what is no one host."""

    mode: Literal["off", "server", "any"] = "any"
    networks: tuple[Network, ...] = ()

    def allows(self, address: IP) -> bool:
        ip = getattr(address, "ipv4_mapped", None) or address
        if self.networks:
            return any(ip in network for network in self.networks)
        return not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified)
