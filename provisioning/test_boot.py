"""A test boot: a virtual phone boots as a device from this very server, over HTTP, and nothing of it counts.

It asks where the server itself is reached, past a proxy before it, and shows a mark that this server alone
can have made, whichever of its processes answers. What comes with the mark is answered as always, but is no
fetch of the phone's: the boot log is what phones did, so it is not in there, no status and no board of a
rotation knows of it, and what it uploads is thrown away. Who made it and how it ended is in the activity log.
"""

import hmac
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from provisioning.devices import Device
from provisioning.errors import Conflict, TooMany
from provisioning.gathering import masked_url
from provisioning.phones.options import Options
from provisioning.phones.phone import Model
from provisioning.phones.vendor import Vendor
from provisioning.vault import Vault
from provisioning.virtual_phone import Boot, Exchange, HeldKey, HeldLine, VirtualPhone, Way, virtual_phone
from provisioning.virtual_phone.phone import Slot

HEADER: Final = "X-Test-Boot"
_SECONDS: Final = 20.0  # that a boot may take
_AT_ONCE: Final = 3  # in this process
_running: set[str] = set()  # ids of devices


@dataclass(frozen=True, slots=True)
class Step:
    """A request. `effect` is what the phone made of the answer, `reason` why the server refused."""

    method: str
    file: str
    status: int
    bytes: int
    milliseconds: float
    reason: str
    effect: str


@dataclass(frozen=True, slots=True)
class Clock:
    """What the phone's clock is ahead of UTC, in seconds, and when that changes within a year."""

    utc_offset: int
    next_change_at: datetime | None = None
    next_utc_offset: int | None = None


@dataclass(frozen=True, slots=True)
class TestBoot:
    """`lines`, `keys` and `clock` are what the phone would hold, `url`, masked, where it would boot next."""

    firmware: str
    seconds: float
    steps: Sequence[Step]
    came_up: bool
    problems: Sequence[str]
    url: str
    lines: Sequence[HeldLine]
    keys: Sequence[tuple[Slot, HeldKey]]
    clock: Clock | None


async def run(
    vault: Vault,
    vendor: Vendor,
    device: Device,
    options: Options,
    *,
    token: str,
    url: str,
    staged_url: str | None,
    origin: str,
    firmware: str | None,
    at: datetime,
) -> TestBoot:
    """Boots as the device from its provisioning URL with this token, which is asked for at `origin`, the
    server's own.

    `staged_url` is the next one, which the phone may be told. `firmware` is what the phone told last. Raises
    `Conflict` while one of this device is under way, and `TooMany` where several are.
    """
    phone = _phone(vendor, vendor.models[device.model], device, firmware)
    if device.id in _running:
        raise Conflict("a test boot of this phone is under way")
    if len(_running) >= _AT_ONCE:
        raise TooMany(5, "several test boots are under way")
    public = url.partition(f"/p/{token}/")[0]
    way = Way(public, origin, {HEADER: mark(vault, token)}, _certificate(options))
    _running.add(device.id)
    began = time.perf_counter()
    try:
        boot = await phone.boot(url, staged_url=staged_url, way=way, seconds=_SECONDS)
    finally:
        _running.discard(device.id)
    return TestBoot(
        firmware=phone.firmware,
        seconds=time.perf_counter() - began,
        steps=[_step(boot, exchange) for exchange in boot.exchanges],
        came_up=boot.came_up,
        problems=boot.problems,
        url=masked_url(phone.provisioning_url(), public),
        lines=phone.lines(),
        keys=list(phone.keys().items()),
        clock=_clock(phone, at.replace(microsecond=0)) if boot.applied else None,
    )


def mark(vault: Vault, token: str) -> str:
    """For `HEADER`: good for this token, and for as long as a test boot may take."""
    until = int(time.time() + _SECONDS) + 1
    return f"{until}.{_signature(vault, token, until)}"


def is_marked(vault: Vault, token: str, given: str) -> bool:
    until, _, signature = given.partition(".")
    if not (until.isascii() and until.isdigit() and len(until) < 12) or int(until) < time.time():
        return False
    return hmac.compare_digest(signature.encode(), _signature(vault, token, int(until)).encode())


def _signature(vault: Vault, token: str, until: int) -> str:
    return vault.digest(f"test boot until {until} with {token}").hex()


def _certificate(options: Options) -> ssl.SSLContext | bool:
    """As the phone is told to trust: the CAs that the system knows stand for those that are built into it."""
    if options.transport_trust == "any":
        return False
    if options.transport_trust != "custom" or options.transport_ca is None:
        return True
    try:
        return ssl.create_default_context(cadata=options.transport_ca)
    except ssl.SSLError:
        raise Conflict("transport_ca holds no certificate that can be read") from None


def _phone(vendor: Vendor, model: Model, device: Device, told: str | None) -> VirtualPhone:
    """With the firmware that the phone told, where it is one of the model's series."""
    usual = virtual_phone(vendor, model, device.mac, expansion=device.expansion)
    if told is None or told.partition(".")[0] != usual.firmware.partition(".")[0]:
        return usual
    return virtual_phone(vendor, model, device.mac, told, expansion=device.expansion)


def _step(boot: Boot, exchange: Exchange) -> Step:
    size = exchange.bytes_sent if exchange.method in {"PUT", "POST"} else exchange.bytes_received
    faults = [
        problem.removeprefix(f"{exchange.file}: ")
        for problem in boot.problems
        if problem.startswith(f"{exchange.file}: ")
    ]
    return Step(
        method=exchange.method,
        file=exchange.file,
        status=exchange.status,
        bytes=size,
        milliseconds=round(exchange.milliseconds, 1),
        reason=exchange.reason if exchange.status >= 400 else "",
        effect="; ".join([_effect(boot, exchange), *faults]),
    )


def _effect(boot: Boot, exchange: Exchange) -> str:
    if exchange.status == 0:
        return "had no answer"
    if exchange.status == 404:
        return "is not there: the phone goes on without it"
    if exchange.status >= 300:
        return "was refused"
    if exchange.method == "HEAD":
        return "is there"
    if exchange.method != "GET":
        return "was taken, and thrown away after the test"
    return "was read and taken in" if exchange.file in boot.applied else "was read"


def _clock(phone: VirtualPhone, at: datetime) -> Clock:
    offset = phone.utc_offset(at)
    for days in range(1, 367):
        after = at + timedelta(days=days)
        if phone.utc_offset(after) != offset:
            change = _between(phone, offset, after - timedelta(days=1), after)
            return Clock(offset, change, phone.utc_offset(change))
    return Clock(offset)


def _between(phone: VirtualPhone, offset: int, before: datetime, after: datetime) -> datetime:
    """The first second at which the clock is no longer `offset` ahead."""
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        before, after = (middle, after) if phone.utc_offset(middle) == offset else (before, middle)
    return after
