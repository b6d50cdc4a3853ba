"""What all virtual phones share: a boot, and the lines, keys and settings that a phone holds after it."""

import asyncio
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import aiohttp

from provisioning.phones.options import EMERGENCY_NUMBERS
from provisioning.phones.phone import Expansion, Model
from provisioning.virtual_phone.digit_map import Dialled
from provisioning.virtual_phone.http import Exchange, Problems, Way, Wire

Transport = Literal["udp", "tcp", "tls", "dns"]
Srtp = Literal["off", "optional", "required"]
Slot = tuple[int, int]

_KEY = re.compile(r"/ppk[0-9a-z]+/?\Z")
_SECRET = re.compile(r"password|passwd|pin$|server\.url|servername|encryption\.key|aes_key", re.IGNORECASE)


class Maker(Protocol):
    """As much of a vendor as a virtual phone needs."""

    @property
    def name(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot. `applied` are the files that were not the same as in the boot before. `moves` is whether the
    phone asks at another address next."""

    exchanges: tuple[Exchange, ...]
    problems: tuple[str, ...]
    came_up: bool
    applied: tuple[str, ...] = ()
    moves: bool = False


@dataclass(frozen=True, slots=True)
class HeldLine:
    """A line that the phone holds; it registers when it knows who, where and the password."""

    index: int
    label: str
    display_name: str
    user: str
    auth_user: str
    password: str = field(repr=False)
    servers: tuple[tuple[str, int], ...]
    transport: Transport
    srtp: Srtp

    @property
    def registers(self) -> bool:
        return bool(self.user and self.password and self.servers)


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that the phone shows. `type` is ours where it can be told, else the vendor's own word."""

    type: str
    label: str
    value: str
    line: int


class VirtualPhone(ABC):
    """A phone of one vendor with its memory: what one boot leaves behind, the next one finds."""

    def __init__(
        self, model: Model, mac: str, *, firmware: str | None = None, expansion: str | None = None
    ) -> None:
        self.model = model
        self.mac = mac
        self.firmware = firmware or self.usual_firmware(model)
        self.expansion: Expansion | None = next(
            (e for e in model.expansions if expansion in (None, e.name)), None
        )
        self.applied: tuple[str, ...] = ()
        self._booted_from = ""

    async def poll(self, *, staged_url: str | None = None) -> Boot:
        """Asks again, at the address that it was told last: what a phone does by itself."""
        return await self.boot(self.provisioning_url(), staged_url=staged_url)

    async def boot(
        self,
        url: str,
        *,
        staged_url: str | None = None,
        connector: aiohttp.BaseConnector | None = None,
        way: Way | None = None,
        seconds: float | None = None,
    ) -> Boot:
        """Boots from the provisioning URL. `connector` and `way` are other ways to its server, or other trust
        in it. After `seconds` the boot is broken off, and has not come up.

        A phone that is told another address asks there next. To send it away is a mistake, unless it is to
        `staged_url`, which is to be in force soon, or to an address of its own beneath, or back from there.
        Where it finds nothing, it goes on with what it holds.
        """
        problems = Problems()
        self._booted_from, self.applied = url, ()
        async with aiohttp.ClientSession(
            connector=connector or aiohttp.TCPConnector(force_close=True),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=30),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            wire, had = Wire(session, url, problems, way), False
            try:
                async with asyncio.timeout(seconds):
                    had = await self._fetch(wire)
            except TimeoutError:
                problems.add(f"the boot took more than {seconds:g} seconds and was broken off")
        if had:
            self._inspect(problems)
        told = self.provisioning_url()
        moves = not _same_address(told, url)
        known = [url, *([staged_url] if staged_url else [])]
        astray = moves and not any(_leads_on(told, address) for address in known)
        if astray:
            problems.add("the address that the phone was told is not the one that it booted from")
        came_up = had and not astray and any(line.registers for line in self.lines())
        return Boot(tuple(wire.exchanges), problems.all(), came_up, self.applied, moves)

    def masked_settings(self) -> tuple[tuple[str, str], ...]:
        """The settings for people: passwords and the address with its token are not shown."""
        return tuple((name, "***" if _SECRET.search(name) else value) for name, value in self.settings)

    def _inspect(self, problems: Problems) -> None:
        for number in EMERGENCY_NUMBERS:
            if self.dials(number) != "at once":
                problems.add(f"{number} is not dialled at once")

    @staticmethod
    @abstractmethod
    def usual_firmware(model: Model) -> str: ...

    @abstractmethod
    async def _fetch(self, wire: Wire) -> bool:
        """Asks for all files and takes them in; whether there was any configuration."""

    @property
    @abstractmethod
    def settings(self) -> tuple[tuple[str, str], ...]:
        """What the phone holds now, in the order in which it was told; a name may be there more than once."""

    @abstractmethod
    def lines(self) -> list[HeldLine]: ...

    @abstractmethod
    def keys(self) -> dict[Slot, HeldKey]:
        """The keys by module and position; free slots are left out."""

    @abstractmethod
    def admin_password(self) -> str: ...

    @abstractmethod
    def provisioning_url(self) -> str:
        """Where the phone will boot from next."""

    @abstractmethod
    def utc_offset(self, at: datetime) -> int:
        """What the phone's clock is ahead of UTC at `at`, in seconds, by what it was told alone."""

    @abstractmethod
    def dials(self, number: str) -> Dialled:
        """What the digit map makes of `number` as it is typed."""


def _leads_on(told: str, known: str) -> bool:
    """Whether it is the known address, or the phone's own beneath it, or the one above the phone's own."""
    return any(
        _same_address(a, b) for a, b in ((told, known), (_shared(told), known), (told, _shared(known)))
    )


def _shared(address: str) -> str:
    """The address without the key of one phone, where it ends in one."""
    return _KEY.sub("/", address)


def _same_address(told: str, used: str) -> bool:
    # A last slash is no other place: at worst the phone stores the address once more.
    return told.rstrip("/") == used.rstrip("/")
