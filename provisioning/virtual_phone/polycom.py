"""A Polycom or Poly phone: which files it asks for, and what it keeps of them."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from xml.etree import ElementTree

from provisioning.phones.phone import Model
from provisioning.virtual_phone import (
    polycom_checks,
    polycom_clock,
    polycom_keys,
    polycom_lines,
    polycom_names,
)
from provisioning.virtual_phone.digit_map import Dialled
from provisioning.virtual_phone.http import Problems, Wire
from provisioning.virtual_phone.phone import HeldKey, HeldLine, Slot, VirtualPhone
from provisioning.virtual_phone.polycom_files import (
    Contact,
    config_files,
    contacts,
    folder,
    master_attributes,
    parameters,
    read_xml,
    taken,
)

SHARED_MASTER = "000000000000.cfg"
_LOG = b"0101000000.000|app1 |4|00|started\n"


class PolycomPhone(VirtualPhone):
    """Parameters come from the files at each boot; `device.*` is stored, and only where `.set` allows it."""

    def __init__(
        self, model: Model, mac: str, *, firmware: str | None = None, expansion: str | None = None
    ) -> None:
        super().__init__(model, mac, firmware=firmware, expansion=expansion)
        self._parameters: dict[str, str] = {}
        self._device: dict[str, str] = {}
        self._directory: list[Contact] | None = None
        self._digests: dict[str, str] = {}
        self._last_master: Mapping[str, str] = {}

    @staticmethod
    def usual_firmware(model: Model) -> str:
        return polycom_names.usual_firmware(model)

    @property
    def settings(self) -> tuple[tuple[str, str], ...]:
        return tuple((self._parameters | self._device).items())

    def lines(self) -> list[HeldLine]:
        return polycom_lines.lines(self._parameters)

    def keys(self) -> dict[Slot, HeldKey]:
        return polycom_keys.keys(self._parameters, self._directory or [], self.model, self.expansion)

    def admin_password(self) -> str:
        return self._device.get("device.auth.localAdminPassword", "456")

    def provisioning_url(self) -> str:
        name = self._device.get("device.prov.serverName", "")
        if not name:
            return self._booted_from
        kind = self._device.get("device.prov.serverType", self._booted_from.partition(":")[0])
        return name if "://" in name else f"{kind.lower()}://{name}"

    def utc_offset(self, at: datetime) -> int:
        return polycom_clock.utc_offset(self._parameters, at)

    def dials(self, number: str) -> Dialled:
        return polycom_lines.dials(self._parameters, number)

    def _inspect(self, problems: Problems) -> None:
        super()._inspect(problems)
        polycom_checks.inspect(
            self._parameters, self._directory or [], self.model, self.expansion, self.lines(), problems
        )

    async def _fetch(self, wire: Wire) -> bool:
        # An address that ends in a file's name is itself the master's.
        base, _, last = wire.base.rstrip("/").rpartition("/")
        masters = [f"{self.mac}.cfg", SHARED_MASTER]
        if last.endswith(".cfg"):
            wire.base, masters = f"{base}/", [last]
        # Where its logs go, the phone knows from the boot before.
        log = f"{folder(self._last_master, 'LOG_FILE')}{self.mac}-boot.log"
        await wire.put(log, _LOG, self._user_agent("Updater"))
        master = await self._master(wire, masters)
        if master is not None:
            await self._firmware(wire, master)
        had = master is not None and await self._configuration(wire, master)
        self._last_master = self._last_master if master is None else master
        await self._own_files(wire, self._last_master)
        if self._parameters.get("feature.logUpload.enabled") != "0":
            log = f"{folder(self._last_master, 'LOG_FILE')}{self.mac}-app.log"
            await wire.head(log, self._user_agent("Application"))
            await wire.put(log, _LOG, self._user_agent("Application"))
        return had

    def _user_agent(self, stage: str) -> str:
        return polycom_names.user_agent(self.model, self.firmware, stage)

    async def _get(self, wire: Wire, name: str) -> bytes | None:
        status, content = await wire.get(name, self._user_agent("Application"))
        if status != 200:
            return None
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if self._digests.get(name) != digest:
            self.applied = (*self.applied, wire.shown(name))
        self._digests[name] = digest
        return content

    async def _xml(self, wire: Wire, name: str) -> ElementTree.Element | None:
        content = await self._get(wire, name)
        return None if content is None else read_xml(wire.shown(name), content, wire.problems)

    async def _master(self, wire: Wire, names: Sequence[str]) -> Mapping[str, str] | None:
        """The attributes of the first master that can be had."""
        for name in names:
            if (content := await self._get(wire, name)) is not None:
                root = read_xml(name, content, wire.problems)
                if root is None or root.tag != "APPLICATION":
                    wire.problems.add(f"{name}: is no master file, the phone starts with its defaults")
                    return None
                return master_attributes(root, polycom_names.phone_model(self.model))
        return None

    async def _firmware(self, wire: Wire, master: Mapping[str, str]) -> None:
        """Part number first, even where the name already begins with it; then the plain name."""
        name = polycom_names.filled(master.get("APP_FILE_PATH", ""), self.model, self.mac)
        if name and await self._get(wire, f"{polycom_names.part_number(self.model)}.{name}") is None:
            await self._get(wire, name)

    async def _configuration(self, wire: Wire, master: Mapping[str, str]) -> bool:
        """The files of CONFIG_FILES: the leftmost wins, and the phone's own overrides beat them all."""
        listed = polycom_names.filled(master.get("CONFIG_FILES", ""), self.model, self.mac)
        names = config_files("master", listed, wire.problems)
        if not names:
            wire.problems.add("the master file names no CONFIG_FILES, the phone starts with its defaults")
        found: dict[str, str] = {}
        had = False
        for name in names:
            root = await self._xml(wire, name)
            if root is None:
                wire.problems.add(f"CONFIG_FILES names {wire.shown(name)}, which cannot be had")
                continue
            had = True
            found = parameters(wire.shown(name), root, wire.problems) | found
        overrides = await self._overrides(wire, master)
        if had:
            self._device |= {
                name: value
                for name, value in taken(found | overrides, wire.problems).items()
                if polycom_names.is_known(name, self.firmware)
            }
            self._parameters = {n: v for n, v in (found | overrides).items() if not n.startswith("device.")}
        return had

    async def _overrides(self, wire: Wire, master: Mapping[str, str]) -> dict[str, str]:
        """What was changed on the phone itself, before what was changed in its web page."""
        found: dict[str, str] = {}
        for kind in ("phone", "web"):
            name = f"{folder(master, 'OVERRIDES')}{self.mac}-{kind}.cfg"
            if (root := await self._xml(wire, name)) is not None:
                found = parameters(name, root, wire.problems) | found
        return found

    async def _own_files(self, wire: Wire, master: Mapping[str, str]) -> None:
        """Licences, calls, contacts; the shared directory only for a phone without a directory."""
        license, calls = folder(master, "LICENSE"), folder(master, "CALL_LISTS")
        for name in (f"{license}000000000000-license.cfg", f"{license}{self.mac}-license.cfg"):
            await self._get(wire, name)
        await self._get(wire, f"{calls}{self.mac}-calls.xml")
        for owner in (self.mac, "000000000000"):
            name = f"{folder(master, 'CONTACTS')}{owner}-directory.xml"
            if owner != self.mac and self._directory is not None:
                continue
            if (root := await self._xml(wire, name)) is not None:
                self._directory = contacts(name, root, wire.problems)
