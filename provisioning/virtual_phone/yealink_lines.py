"""The accounts and the digit map that a Yealink's settings make."""

from collections.abc import Mapping, Sequence

from provisioning.virtual_phone.digit_map import Dialled, dialled, unreadable
from provisioning.virtual_phone.phone import HeldLine, Srtp, Transport

TRANSPORTS: dict[str, Transport] = {"0": "udp", "1": "tcp", "2": "tls", "3": "dns"}
SRTP: dict[str, Srtp] = {"0": "off", "1": "optional", "2": "required"}


def numbers(held: Mapping[str, str], prefix: str) -> list[int]:
    """The numbers that follow `prefix.` in the names of settings."""
    found = {name.split(".")[1] for name in held if name.startswith(f"{prefix}.")}
    return sorted(int(number) for number in found if number.isdigit())


def lines(held: Mapping[str, str], generation: int) -> list[HeldLine]:
    """The accounts that are switched on."""
    return [
        _line(held, n, generation) for n in numbers(held, "account") if held.get(f"account.{n}.enable") == "1"
    ]


def dials(held: Mapping[str, str], generation: int, number: str) -> Dialled:
    """By the digit map of V8x where it is on, else by the dial-now rules."""
    digit_map = held.get("dialplan.digitmap.string", "")
    if generation >= 80 and held.get("dialplan.digitmap.enable") == "1" and digit_map:
        return "no match" if unreadable(digit_map) else dialled(digit_map, number)
    rules = [rule for n in _rule_numbers(held) if not unreadable(rule := held[f"dialplan.dialnow.rule.{n}"])]
    return _dialled_now(rules, held.get("phone_setting.dialnow_delay", "1"), number)


def _dialled_now(rules: Sequence[str], delay: str, number: str) -> Dialled:
    """A rule dials after its delay in seconds: with none it cuts longer numbers short, one is no wait."""
    shorter = [number[:n] for n in range(1, len(number))] if delay == "0" else []
    if any(dialled(rule, part) != "no match" for rule in rules for part in shorter):
        return "no match"
    matches = any(dialled(rule, number) != "no match" for rule in rules)
    return "at once" if matches and delay in {"0", "1"} else "after timeout"


def _rule_numbers(held: Mapping[str, str]) -> list[int]:
    prefix = "dialplan.dialnow.rule."
    return sorted(int(n) for name in held if (n := name.removeprefix(prefix)) != name and n.isdigit())


def _line(held: Mapping[str, str], n: int, generation: int) -> HeldLine:
    def get(name: str) -> str:
        return held.get(f"account.{n}.{name}", "")

    transport = get("transport") if generation <= 70 else get("sip_server.1.transport_type")
    return HeldLine(
        index=n,
        label=get("label"),
        display_name=get("display_name"),
        user=get("user_name"),
        auth_user=get("auth_name") or get("user_name"),
        password=get("password"),
        servers=_servers(held, n, generation),
        transport=TRANSPORTS.get(transport or get("transport") or "0", "udp"),
        srtp=SRTP.get(get("srtp_encryption") or "0", "off"),
    )


def _servers(held: Mapping[str, str], n: int, generation: int) -> tuple[tuple[str, int], ...]:
    # V70 knows the old names alone, V8x the new ones; between them either may be what counts.
    old = [
        (f"account.{n}.{kind}_host", f"account.{n}.{kind}_port")
        for kind in ("sip_server", "backup_sip_server")
    ]
    new = [(f"account.{n}.sip_server.{m}.address", f"account.{n}.sip_server.{m}.port") for m in (1, 2)]
    for names in [old] if generation <= 70 else [new] if generation >= 80 else [new, old]:
        servers = tuple((held[a], _port(held.get(p, ""))) for a, p in names if held.get(a))
        if servers:
            return servers
    return ()


def _port(text: str) -> int:
    return int(text) if text.isdigit() else 5060
