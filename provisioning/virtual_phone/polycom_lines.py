"""The registrations and the digit map that a Polycom's parameters make."""

from collections.abc import Mapping

from provisioning.virtual_phone.digit_map import Dialled, dialled, unreadable
from provisioning.virtual_phone.phone import HeldLine, Srtp, Transport

TRANSPORTS: dict[str, Transport] = {
    "DNSnaptr": "dns", "TCPpreferred": "tcp", "TCPOnly": "tcp", "UDPOnly": "udp", "TLS": "tls",
}  # fmt: skip
DEFAULT_MAP = "[2-9]11|0T|011xxx.T|[0-1][2-9]xxxxxxxxx|[2-9]xxxxxxxxx|[2-9]xxxT"


def numbers(held: Mapping[str, str], prefix: str) -> list[int]:
    """The numbers that follow `prefix.` in the names of parameters."""
    start = f"{prefix}."
    found = {n.removeprefix(start).partition(".")[0] for n in held if n.startswith(start)}
    return sorted(int(number) for number in found if number.isdigit())


def lines(held: Mapping[str, str]) -> list[HeldLine]:
    """The registrations that have an address; without one a registration is off."""
    return [_line(held, n) for n in numbers(held, "reg") if held.get(f"reg.{n}.address")]


def dials(held: Mapping[str, str], number: str) -> Dialled:
    digit_map = held.get("dialplan.digitmap", DEFAULT_MAP)
    return "no match" if unreadable(digit_map) else dialled(digit_map, number)


def user_of(address: str) -> str:
    """`4201` of `sip:4201@pbx.example.com`."""
    return address.removeprefix("sip:").partition("@")[0]


def _line(held: Mapping[str, str], n: int) -> HeldLine:
    def get(name: str) -> str:
        return held.get(f"reg.{n}.{name}", "")

    user = user_of(get("address"))
    transport = get("server.1.transport") or held.get("voIpProt.server.1.transport", "DNSnaptr")
    return HeldLine(
        index=n,
        label=get("label") or user,
        display_name=get("displayName"),
        user=user,
        auth_user=get("auth.userId"),
        password=get("auth.password"),
        servers=_servers(held, f"reg.{n}.server") or _servers(held, "voIpProt.server"),
        transport=TRANSPORTS.get(transport, "dns"),
        srtp=_srtp(held),
    )


def _servers(held: Mapping[str, str], prefix: str) -> tuple[tuple[str, int], ...]:
    found = []
    for m in numbers(held, prefix):
        port = held.get(f"{prefix}.{m}.port", "")
        if address := held.get(f"{prefix}.{m}.address"):
            found.append((address, int(port) if port.isdigit() and int(port) else 5060))
    return tuple(found)


def _srtp(held: Mapping[str, str]) -> Srtp:
    enabled, offered, required = (held.get(f"sec.srtp.{name}") for name in ("enable", "offer", "require"))
    if enabled == "0" or offered != "1":
        return "off"
    return "required" if required == "1" else "optional"
