"""Boots: a phone's requests put together as it made them, and in one sentence what became of each boot.

A pause begins the next boot, and so does what no phone does within one: it asks for an earlier file of its
vendor's order, or for one that it has been given, or it comes with another provisioning URL. Files that all
phones share have no MAC address in their names, so that nobody knows which phone asked for them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from provisioning import boot_log
from provisioning.boot_log import KEPT, Row, Verdict
from provisioning.devices import Device, Vendors
from provisioning.fields import colons
from provisioning.phones.vendor import Claim, Vendor, split_mac

PAUSE: Final = timedelta(minutes=5)
_LONGEST: Final = 100  # requests of one boot; whoever asks on and on begins another one
_AT_ONCE: Final = 200  # requests that are read together
_MOST: Final = 2000  # requests for one page
_NAMED: Final = 4  # files in a sentence
_WRITES: Final = frozenset({"PUT", "POST"})


class Outcome(StrEnum):
    CAME_UP = "came_up"
    OTHER_MODEL = "other_model"
    OTHER_VENDOR = "other_vendor"
    OTHER_MAC = "other_mac"
    OVER_HTTP = "over_http"
    OLD_URL = "old_url"
    NOT_ON_ACCOUNT = "not_on_account"
    UNAVAILABLE = "unavailable"
    RENDER_ERROR = "render_error"
    NO_OWN_FILE = "no_own_file"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    BROKE_OFF = "broke_off"
    UPLOADS = "uploads"
    OTHER_FILES = "other_files"
    JUNK = "junk"


@dataclass(frozen=True, slots=True)
class Finding:
    """Words that are a sentence or go on in one, and in whole sentences what to do, if there is anything."""

    outcome: Outcome
    sentence: str
    advice: str = ""


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
    session: AsyncSession, vendors: Vendors, base_url: str, device: Device, *, limit: int, cursor: str | None
) -> tuple[list[Boot], str | None]:
    """The boots of one phone, newest first: those before the request of which `cursor` is the number."""
    rows: list[Row] = []
    more = cursor
    while True:
        found, more = await boot_log.page(session, device.account_id, device.mac, limit=_AT_ONCE, cursor=more)
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
        suffix = _suffix(row)
        place = order.index(suffix) if suffix in order and row.method != "HEAD" else -1
        is_again = 0 <= place < furthest or (place >= 0 and suffix in given)
        if not groups or is_again or _is_apart(row, groups[-1]):
            groups.append([])
            furthest, given = -1, set()
        groups[-1].append(row)
        furthest = max(furthest, place)
        if _is_served(row):
            given.add(suffix)
    return groups


def _is_apart(row: Row, boot: Sequence[Row]) -> bool:
    before = boot[-1]
    return row.time - before.time > PAUSE or row.generation != before.generation or len(boot) >= _LONGEST


def judge(requests: Sequence[Row], vendors: Vendors, base_url: str, device: Device) -> Boot:
    """What became of the boot, as one sentence and one piece of advice."""
    vendor = vendors.get(device.vendor)
    settings = vendor.boot_settings if vendor else ()
    last = {_suffix(row): row for row in requests if row.method == "GET"}
    served = [suffix for suffix, row in last.items() if _is_served(row)]
    came_up = bool(served) and all(suffix in served for suffix in settings)
    beside = [*_differences(requests, vendors, device), *_faults(requests, last, base_url)]
    is_other = any(each.outcome is Outcome.OTHER_VENDOR for each in beside)
    if came_up:
        found = beside or [Finding(Outcome.CAME_UP, "")]
        said = "it was served all files of its own" if is_other else "it came up"
        said += f", although {_joined(beside)}" if beside else ": it was served all files of its own"
    else:
        main = _failure(requests, last, vendor)
        if main.outcome is Outcome.UPLOADS and beside:
            main = beside[0]
        found = [main, *(each for each in beside if each.outcome is not main.outcome)]
        said = _joined(found)
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


def _failure(requests: Sequence[Row], last: dict[str, Row], vendor: Vendor | None) -> Finding:
    """Why it did not come up: the first that holds."""
    verdicts = {row.verdict: row for row in requests}
    if row := verdicts.get(Verdict.TOKEN_ROTATED):
        return Finding(
            Outcome.OLD_URL,
            f"it asked with an old provisioning URL, which {row.reason.removeprefix('the URL ')}",
            "Give it the present URL (Settings, Devices). Until then it keeps the configuration that it has.",
        )
    if Verdict.MAC_UNKNOWN in verdicts:
        return Finding(
            Outcome.NOT_ON_ACCOUNT,
            "it asked before its MAC address was on this account, and was refused",
            "Start it again, or wait until it asks by itself.",
        )
    failed = {row.verdict: row for row in last.values()}
    if row := failed.get(Verdict.UNAVAILABLE):
        return Finding(
            Outcome.UNAVAILABLE,
            f"the database did not answer when it asked for {row.file}",
            "It keeps what it has, and will come again. If this goes on, the server's log says more.",
        )
    if row := failed.get(Verdict.RENDER_ERROR):
        return _render_error(row)
    return _unfinished(requests, last, vendor)


def _unfinished(requests: Sequence[Row], last: dict[str, Row], vendor: Vendor | None) -> Finding:
    """It was not refused for the reasons that a whole boot is, and asked for too little or for the wrong."""
    order = vendor.boot_order if vendor else ()
    settings = vendor.boot_settings if vendor else ()
    missing = next((suffix for suffix in settings if suffix not in last), None)
    refused = next((last[s] for s in settings if s in last and not _is_served(last[s])), None)
    first = next((last[suffix] for suffix in order if suffix in last), None)
    if refused is not None:
        return Finding(Outcome.REFUSED, f"it was refused {refused.file}: {refused.reason}", _COMPARE)
    if first is not None and missing is not None:
        return Finding(
            Outcome.NO_OWN_FILE,
            f"it asked for its boot file {first.file}, but never for its own file {first.mac}{missing}",
            "If nothing follows within a minute, start it again. If it stays so, look at the phone's own log"
            " and update its firmware: it does not follow the boot file.",
        )
    if not last:
        return _uploads(requests, order)
    if any(map(_is_served, last.values())):
        return Finding(Outcome.OTHER_FILES, f"it asked for {_names(requests)}, and not for its configuration")
    return Finding(
        Outcome.JUNK, f"it asked for nothing that there is for this phone: {_names(requests)}", _COMPARE
    )


_COMPARE: Final = (
    "Compare vendor, model and MAC address with the phone's label: this may be another phone, or no phone."
)


def _uploads(requests: Sequence[Row], order: Sequence[str]) -> Finding:
    """It got nothing, and asked for nothing."""
    written = [row for row in requests if row.method in _WRITES]
    if not written:
        return Finding(Outcome.OTHER_FILES, f"it looked whether {_names(requests)} is there, and no more")
    if all(row.verdict == Verdict.FILE_UNKNOWN for row in written):
        return Finding(
            Outcome.JUNK, f"it wrote what no phone of this kind may write: {_names(written)}", _COMPARE
        )
    if order and all(_suffix(row) == order[0] for row in requests):
        return Finding(
            Outcome.BROKE_OFF,
            f"it began to start, wrote {requests[-1].file} and asked for nothing more",
            "If nothing follows, it lost its network: look at its cable, power and VLAN, and start it again.",
        )
    return Finding(Outcome.UPLOADS, f"it only wrote files of its own: {_names(written)}")


def _differences(requests: Sequence[Row], vendors: Vendors, device: Device) -> Iterator[Finding]:
    """Where the phone says that it is another one than the device."""
    claim = next((found for row in reversed(requests) if (found := _claim(row, vendors))), None)
    if claim is None:
        return
    ours = f"{vendors[device.vendor].title if device.vendor in vendors else device.vendor} {device.model}"
    theirs = f"{vendors[claim.vendor].title} {claim.model or 'phone'}"
    if claim.vendor != device.vendor or claim.model not in {None, device.model}:
        is_vendor = claim.vendor != device.vendor
        yield Finding(
            Outcome.OTHER_VENDOR if is_vendor else Outcome.OTHER_MODEL,
            f"it says that it is a {theirs}, and the device here is a {ours}",
            f"Change the device's {'vendor and model' if is_vendor else 'model'} to {theirs}, or move the"
            " phone to a device of its own.",
        )
    if claim.mac not in {None, device.mac}:
        yield Finding(
            Outcome.OTHER_MAC,
            f"it says that its MAC address is {colons(str(claim.mac))}",
            "See whether another phone was given this one's files.",
        )


def _faults(requests: Sequence[Row], last: dict[str, Row], base_url: str) -> Iterator[Finding]:
    """What is wrong beside the files that make a phone come up."""
    if base_url.startswith("https:") and (came := [row for row in requests if row.scheme == "http"]):
        clear = ", so that passwords went over the network in the clear" if any(map(_is_served, came)) else ""
        yield Finding(
            Outcome.OVER_HTTP,
            f"it came over http, while the account's URL is https{clear}",
            "Give it the URL with https; whoever listened knows the URL, so rotate it.",
        )
    yield from (_render_error(row) for row in last.values() if row.verdict == Verdict.RENDER_ERROR)
    verdicts = {row.verdict: row for row in requests if row.method in _WRITES}
    if row := verdicts.get(Verdict.UNAVAILABLE):
        yield Finding(
            Outcome.UNAVAILABLE,
            f"the database did not answer when it wrote {row.file}",
            "It will write it again.",
        )
    if row := verdicts.get(Verdict.TOO_LARGE):
        yield Finding(
            Outcome.TOO_LARGE,
            f"its upload {row.file} was too large and was refused: {row.reason}",
            "Clear that log or list on the phone, or have it log less.",
        )
    if row := verdicts.get(Verdict.BROKEN):
        yield Finding(
            Outcome.BROKE_OFF,
            f"its upload {row.file} broke off",
            "If that happens again, look at its network.",
        )


def _render_error(row: Row) -> Finding:
    return Finding(
        Outcome.RENDER_ERROR,
        f"the file {row.file} could not be made: {row.reason}",
        "Correct what it is made of, and make a test boot. Until then the phone keeps what it has.",
    )


def _claim(row: Row, vendors: Vendors) -> Claim | None:
    return next((claim for vendor in vendors.values() if (claim := vendor.claim(row.user_agent))), None)


def _is_served(row: Row) -> bool:
    return row.verdict == Verdict.SERVED and row.method == "GET"


def _suffix(row: Row) -> str:
    own = split_mac(row.file)
    return own[1] if own else ""


def _joined(findings: Iterable[Finding]) -> str:
    return "; ".join(each.sentence for each in findings)


def _names(requests: Iterable[Row]) -> str:
    """`a, b and 3 more`"""
    names = list(dict.fromkeys(row.file for row in requests))
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
