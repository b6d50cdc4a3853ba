"""Findings: what went wrong in a boot, in words that people can act on, and what to do."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from provisioning.boot_log import Row, Verdict
from provisioning.devices import Device, Vendors
from provisioning.fields import colons
from provisioning.phones.vendor import Vendor, claimed, split_mac

_NAMED: Final = 4  # files in a sentence
_WRITES: Final = frozenset({"PUT", "POST"})
_COMPARE: Final = (
    "Compare vendor, model and MAC address with the phone's label: this may be another phone, or no phone."
)


class Outcome(StrEnum):
    CAME_UP = "came_up"
    OTHER_MODEL = "other_model"
    OTHER_VENDOR = "other_vendor"
    OTHER_MAC = "other_mac"
    OVER_HTTP = "over_http"
    OLD_URL = "old_url"
    NEXT_URL = "next_url"
    BOUND = "bound"
    OTHER_KEY = "other_key"
    NO_CERTIFICATE = "no_certificate"
    CERTIFICATE_REFUSED = "certificate_refused"
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


_BOUND: Final = Finding(
    Outcome.BOUND,
    "it asked at the URL that all phones share, and is bound to one of its own",
    "If it was reset or replaced, re-open it on this page: it is bound anew when it comes. If nobody was at"
    " it, somebody else has the account's URL and asked for this phone's files: rotate.",
)


def failure(requests: Sequence[Row], last: Mapping[str, Row], vendor: Vendor | None) -> Finding:
    """Why it did not come up: the first that holds. `last` is the last request for each file, by suffix."""
    verdicts = {row.verdict: row for row in requests}
    if row := verdicts.get(Verdict.TOKEN_ROTATED):
        return Finding(
            Outcome.OLD_URL,
            f"it asked with an old provisioning URL, which {row.reason.removeprefix('the URL ')}",
            "Give it the present URL (Settings, Devices). Until then it keeps the configuration that it has.",
        )
    if Verdict.TOKEN_STAGED in verdicts:
        return Finding(
            Outcome.NEXT_URL,
            "it asked with the next provisioning URL, which was not in force yet",
            "It keeps its configuration, and comes back by itself once the rotation is committed.",
        )
    if finding := _binding(verdicts) or _certificate(verdicts):
        return finding
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


def _binding(verdicts: Mapping[str, Row]) -> Finding | None:
    if Verdict.BOUND in verdicts:
        return _BOUND
    if Verdict.KEY_UNKNOWN in verdicts:
        return Finding(
            Outcome.OTHER_KEY,
            "it asked at a URL of its own that is not this phone's, or was until the phone was re-opened",
            "Give it the URL that all phones share (Settings, Devices): there it is told its own again.",
        )
    return None


def _certificate(verdicts: Mapping[str, Row]) -> Finding | None:
    if row := verdicts.get(Verdict.CERTIFICATE_REFUSED):
        return Finding(
            Outcome.CERTIFICATE_REFUSED,
            f"it was refused for its certificate: {row.reason}",
            "See that the device here has the MAC address of the phone's label, and that the phone uses the"
            " certificate that it was made with. If its vendor has a newer CA, the server needs that"
            " (PROVISIONING_PHONE_CAS).",
        )
    if row := verdicts.get(Verdict.NO_CERTIFICATE):
        return Finding(
            Outcome.NO_CERTIFICATE,
            f"it was refused because it proved nothing: {row.reason}",
            "Give it the present URL (Settings, Devices), which leads to the port that asks for certificates."
            " A phone that has no certificate of its own cannot be served while the server asks for one.",
        )
    return None


def _unfinished(requests: Sequence[Row], last: Mapping[str, Row], vendor: Vendor | None) -> Finding:
    """It was not refused for the reasons that a whole boot is, and asked for too little or for the wrong."""
    order = vendor.boot_order if vendor else ()
    settings = vendor.boot_settings if vendor else ()
    missing = next((suffix for suffix in settings if suffix not in last), None)
    refused = next((last[s] for s in settings if s in last and not is_served(last[s])), None)
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
    if any(map(is_served, last.values())):
        return Finding(Outcome.OTHER_FILES, f"it asked for {_names(requests)}, and not for its configuration")
    return Finding(
        Outcome.JUNK, f"it asked for nothing that there is for this phone: {_names(requests)}", _COMPARE
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
    if order and all(suffix_of(row) == order[0] for row in requests):
        return Finding(
            Outcome.BROKE_OFF,
            f"it began to start, wrote {requests[-1].file} and asked for nothing more",
            "If nothing follows, it lost its network: look at its cable, power and VLAN, and start it again.",
        )
    return Finding(Outcome.UPLOADS, f"it only wrote files of its own: {_names(written)}")


def differences(requests: Sequence[Row], vendors: Vendors, device: Device) -> Iterator[Finding]:
    """Where the phone says that it is another one than the device."""
    claim = next((found for row in reversed(requests) if (found := claimed(vendors, row.user_agent))), None)
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


def faults(requests: Sequence[Row], last: Mapping[str, Row], base_url: str) -> Iterator[Finding]:
    """What is wrong beside the files that make a phone come up."""
    if base_url.startswith("https:") and (came := [row for row in requests if row.scheme == "http"]):
        clear = ", so that passwords went over the network in the clear" if any(map(is_served, came)) else ""
        yield Finding(
            Outcome.OVER_HTTP,
            f"it came over http, while the account's URL is https{clear}",
            "Give it the URL with https; whoever listened knows the URL, so rotate it. If it did come over"
            " https, the proxy in front of this server is not among PROVISIONING_TRUSTED_PROXIES.",
        )
    if any(row.verdict == Verdict.BOUND for row in requests):
        yield _BOUND
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


def is_served(row: Row) -> bool:
    return row.verdict == Verdict.SERVED and row.method == "GET"


def suffix_of(row: Row) -> str:
    own = split_mac(row.file)
    return own[1] if own else ""


def joined(findings: Iterable[Finding]) -> str:
    return "; ".join(each.sentence for each in findings)


def _names(requests: Iterable[Row]) -> str:
    """`a, b and 3 more`"""
    names = list(dict.fromkeys(row.file for row in requests))
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
