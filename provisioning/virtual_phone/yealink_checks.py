"""What a Yealink would choke on or misread in the settings that it holds."""

from collections.abc import Collection, Mapping

from provisioning.phones.phone import Expansion, Model
from provisioning.virtual_phone import yealink_clock, yealink_keys, yealink_lines
from provisioning.virtual_phone.digit_map import unreadable
from provisioning.virtual_phone.http import Problems
from provisioning.virtual_phone.phone import HeldLine


def inspect(
    held: Mapping[str, str],
    model: Model,
    expansion: Expansion | None,
    lines: Collection[HeldLine],
    problems: Problems,
) -> None:
    yealink_clock.inspect(held, problems)
    yealink_keys.inspect(held, model, expansion, {line.index for line in lines}, problems)
    for number in yealink_lines.numbers(held, "account"):
        if not 1 <= number <= model.lines:
            problems.add(f"account.{number}: the {model.name} has {model.lines} lines")
    for line in lines:
        if not line.registers:
            problems.add(f"account.{line.index}: is on, but lacks a user, a password or a server")
    for name, value in held.items():
        allowed = _allowed(name)
        if allowed is not None and value not in allowed:
            problems.add(f"{name}: no value that the phone knows")
    for name, value in held.items():
        if name.startswith(("dialplan.digitmap.string", "dialplan.dialnow.rule.")) and unreadable(value):
            problems.add(f"{name}: an alternative cannot be read")


def _allowed(name: str) -> Collection[str] | None:
    if not name.startswith("account."):
        return None
    if name.endswith((".transport_type", ".transport")):
        return yealink_lines.TRANSPORTS
    return yealink_lines.SRTP if name.endswith(".srtp_encryption") else None
