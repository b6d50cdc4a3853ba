"""Boots: a phone's requests put together as it made them, and in one sentence what became of each boot.

A pause begins the next boot, and so does what no phone does within one: it asks for an earlier file of its
vendor's order, or for one that it has been given, or it comes with another provisioning URL. Files that all
phones share have no MAC address in their names, so that nobody knows which phone asked for them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import boot_log
from provisioning.boot_log import KEPT, Row
from provisioning.devices import Device, Vendors
from provisioning.fields import colons
from provisioning.findings import Finding, Outcome, differences, failure, faults, is_served, joined, suffix_of
from provisioning.phones.vendor import Vendor

PAUSE: Final = timedelta(minutes=5)
_LONGEST: Final = 100  # requests of one boot; whoever asks on and on begins another one
_AT_ONCE: Final = 200  # requests that are read together
_MOST: Final = 2000  # requests for one page


@dataclass(frozen=True, slots=True)
class Boot:
    """`requests` are in the order in which they came; times in the texts are RFC 3339."""

    requests: Sequence[Row]
    came_up: bool
    outcome: Outcome
    sentence: str
    advice: str
    firmware: str | None


async def page(
    session: AsyncSession,
    vendors: Vendors,
    base_url: str,
    device: Device,
    *,
    limit: int,
    cursor: str | None,
    seen_from: str | None,
) -> tuple[list[Boot], str | None]:
    """The boots of one phone, newest first: those before the request of which `cursor` is the number.
    `seen_from` is the address of its last fetch."""
    rows: list[Row] = []
    more = cursor
    while True:
        found, more = await boot_log.page(
            session, device.account_id, device.mac, limit=_AT_ONCE, cursor=more, seen_from=seen_from
        )
        rows += found
        groups = group(rows[::-1], vendors.get(device.vendor))[::-1]
        if more is None or len(groups) > limit or len(rows) >= _MOST:
            break
    if more is not None and len(groups) > 1:
        groups.pop()  # it may have begun before what was read
    has_older = more is not None or len(groups) > limit
    shown = groups[:limit]
    boots = [judge(requests, vendors, base_url, device) for requests in shown]
    return boots, str(shown[-1][0].id) if has_older and shown else None


def group(rows: Iterable[Row], vendor: Vendor | None) -> list[list[Row]]:
    """Requests of one phone, oldest first, boot by boot."""
    order = vendor.boot_order if vendor else ()
    groups: list[list[Row]] = []
    furthest, given = -1, set[str]()
    for row in rows:
        suffix = suffix_of(row)
        place = order.index(suffix) if suffix in order and row.method != "HEAD" else -1
        is_again = 0 <= place < furthest or (place >= 0 and suffix in given)
        if not groups or is_again or _is_apart(row, groups[-1]):
            groups.append([])
            furthest, given = -1, set()
        groups[-1].append(row)
        furthest = max(furthest, place)
        if is_served(row):
            given.add(suffix)
    return groups


def _is_apart(row: Row, boot: Sequence[Row]) -> bool:
    # While the database is away, nobody can tell which URL it is.
    known = {each.generation for each in (row, *boot) if each.generation is not None}
    return row.time - boot[-1].time > PAUSE or len(known) > 1 or len(boot) >= _LONGEST


def judge(requests: Sequence[Row], vendors: Vendors, base_url: str, device: Device) -> Boot:
    """What became of the boot, as one sentence and one piece of advice."""
    vendor = vendors.get(device.vendor)
    settings = vendor.boot_settings if vendor else ()
    last = {suffix_of(row): row for row in requests if row.method == "GET"}
    served = [suffix for suffix, row in last.items() if is_served(row)]
    came_up = bool(served) and all(suffix in served for suffix in settings)
    beside = [*differences(requests, vendors, device), *faults(requests, last, base_url)]
    is_other = any(each.outcome is Outcome.OTHER_VENDOR for each in beside)
    if came_up:
        found = beside or [Finding(Outcome.CAME_UP, "")]
        said = "it was served all files of its own" if is_other else "it came up"
        said += f", although {joined(beside)}" if beside else ": it was served all files of its own"
    else:
        main = failure(requests, last, vendor)
        if main.outcome is Outcome.UPLOADS and beside:
            main = beside[0]
        found = [main, *(each for each in beside if each.outcome is not main.outcome)]
        said = joined(found)
    return Boot(
        requests=requests,
        came_up=came_up and not is_other,
        outcome=found[0].outcome,
        sentence=f"{said[:1].upper()}{said[1:]}.",
        advice=" ".join(each.advice for each in found if each.advice),
        firmware=next((row.firmware for row in reversed(requests) if row.firmware), None),
    )


def silence(device: Device, *, was_seen: bool) -> tuple[str, str]:
    """What it means that a phone has nothing in the log, and what to check first."""
    if was_seen:
        sentence = f"The phone has asked for nothing in the last {KEPT.days} days."
    else:
        sentence = "The phone has asked for nothing yet."
    return sentence, (
        f"Check first that its label says the MAC address {colons(device.mac)}, then that it has the present"
        " provisioning URL (Settings, Devices), entered in it or told by DHCP, and start it again. If it"
        " stays silent, it does not reach this server: look at its cable, VLAN and DNS, and at the firewall."
    )
