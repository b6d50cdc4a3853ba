"""A Yealink: which files it asks for, and what it keeps of them."""

import re
from collections.abc import Mapping
from datetime import datetime

from provisioning.phones.phone import Model
from provisioning.virtual_phone import yealink_checks, yealink_clock, yealink_keys, yealink_lines
from provisioning.virtual_phone.digit_map import Dialled
from provisioning.virtual_phone.http import Problems, Wire
from provisioning.virtual_phone.phone import HeldKey, HeldLine, Slot, VirtualPhone
from provisioning.virtual_phone.yealink_files import CLEARING, FIRST_LINE, Pair, read_boot, read_settings
from provisioning.virtual_phone.yealink_memory import Memory

TRIES = 3
GLOBAL_BOOT_FILE = "y000000000000.boot"
_RESOURCES = ("firmware.url", "trusted_certificates.url", "ringtone.url", "local_contact.data.url")


class YealinkPhone(VirtualPhone):
    """`generation` is the second number of the firmware's version: 84 of 66.84.0.15."""

    def __init__(
        self, model: Model, mac: str, *, firmware: str | None = None, expansion: str | None = None
    ) -> None:
        super().__init__(model, mac, firmware=firmware, expansion=expansion)
        self.generation = int(self.firmware.split(".")[1])
        self._memory = Memory(self.generation)
        self._local: dict[str, str] = {}

    @staticmethod
    def usual_firmware(model: Model) -> str:
        """The newest generation that there is for the model; the first number tells its series."""
        return f"{model.facts.get('firmware_prefix', 66)}.{model.facts.get('generations', [86])[-1]}.0.15"

    @property
    def user_agent(self) -> str:
        token = str(self.model.facts["user_agent"][0])
        token = f"SIP-{token}" if re.match(r"T\d", token) else token
        mac = ":".join(self.mac[i : i + 2] for i in range(0, 12, 2))
        return f"Yealink {token} {self.firmware} {mac}"

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        return (*self._memory.pairs, *self._local.items())

    def lines(self) -> list[HeldLine]:
        return yealink_lines.lines(self._values(), self.generation)

    def keys(self) -> dict[Slot, HeldKey]:
        return yealink_keys.keys(self._values(), self.model, [line.index for line in self.lines()])

    def admin_password(self) -> str:
        return self._memory.password(self._named("security.user_password"), "admin") or "admin"

    def provisioning_url(self) -> str:
        return self._values().get(self._named("auto_provision.server.url")) or self._booted_from

    def utc_offset(self, at: datetime) -> int:
        return yealink_clock.utc_offset(self._values(), at)

    def dials(self, number: str) -> Dialled:
        return yealink_lines.dials(self._values(), self.generation, number)

    def _named(self, name: str) -> str:
        """A device-level setting's name: firmware before V81 knows it without `static.`."""
        return name if self.generation < 81 else f"static.{name}"

    def _values(self) -> Mapping[str, str]:
        return dict(self.settings)

    def _inspect(self, problems: Problems) -> None:
        super()._inspect(problems)
        yealink_checks.inspect(self._values(), self.model, self.expansion, self.lines(), problems)

    async def _fetch(self, wire: Wire) -> bool:
        if self.generation >= 81:
            for name in (f"{self.mac}.boot", GLOBAL_BOOT_FILE):
                status, content = await wire.get(name, self.user_agent, tries=TRIES)
                if status == 200:
                    return await self._fetch_included(wire, name, content)
        common = self.model.facts.get("common_cfg")
        names = [str(common)] if common else []
        return await self._take(wire, [*names, f"{self.mac}.cfg"])

    async def _fetch_included(self, wire: Wire, name: str, content: bytes) -> bool:
        boot = read_boot(name, content, self.model.name, wire.problems)
        had = await self._take(wire, boot.includes, {name: content}, overwrite=boot.overwrite)
        asked = {exchange.file: exchange.status for exchange in wire.exchanges}
        for target in map(wire.shown, boot.includes):
            if asked[target] != 200:
                wire.problems.add(f"{name}: includes {target}, which cannot be had")
        return had

    async def _take(
        self,
        wire: Wire,
        names: list[str] | tuple[str, ...],
        boot_file: Mapping[str, bytes] | None = None,
        *,
        overwrite: bool = False,
    ) -> bool:
        """Fetches the files and takes their settings in once all are there."""
        files: dict[str, list[Pair]] = {}
        contents: dict[str, bytes] = dict(boot_file or {})
        whole = True
        for name in names:
            status, content = await wire.get(name, self.user_agent, tries=TRIES)
            whole &= status in {200, 404}
            pairs = read_settings(wire.shown(name), content, wire.problems) if status == 200 else None
            if pairs is not None:
                files[name], contents[name] = pairs, content
                await self._fetch_resources(wire, dict(pairs))
        if not whole or not files:
            return False
        changed = self._memory.take(files, contents, overwrite=overwrite)
        self.applied = tuple(wire.shown(name) for name in changed)
        await self._exchange_own_files(wire)
        return True

    async def _fetch_resources(self, wire: Wire, pairs: Mapping[str, str]) -> None:
        """What a file names, as soon as it was read, but only from the server that this boot is about."""
        for name in _RESOURCES:
            target = pairs.get(name) or pairs.get(f"static.{name}")
            if target and target not in CLEARING and wire.ours(target):
                await wire.get(target, self.user_agent)

    async def _exchange_own_files(self, wire: Wire) -> None:
        """The files that the phone writes itself, where it was told to keep them on the server."""
        held = self._values()
        self._local = {}
        if held.get(self._named("auto_provision.custom.protect")) == "1":
            name = f"{self.mac}-local.cfg"
            status, content = await wire.get(name, self.user_agent, tries=TRIES)
            own = read_settings(name, content, wire.problems) if status == 200 else None
            # What was changed on the phone wins over the server; `static.` is never kept there.
            self._local = {n: v for n, v in own or [] if not n.startswith("static.")}
            if held.get(self._named("auto_provision.custom.sync")) == "1":
                written = [FIRST_LINE, *(f"{n} = {v}" for n, v in self._local.items()), ""]
                await wire.put(name, "\n".join(written).encode(), self.user_agent)
        if held.get(self._named("auto_provision.local_contact.backup.enable")) == "1":
            name = f"{self.mac}-contact.xml"
            status, content = await wire.get(name, self.user_agent, tries=TRIES)
            empty = b"<?xml version='1.0' encoding='utf-8'?>\n<root_contact/>\n"
            await wire.put(name, content if status == 200 else empty, self.user_agent)
