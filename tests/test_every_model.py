"""Every model of both vendors boots over HTTP and then holds exactly what the account says."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from provisioning.phones.phone import Model
from provisioning.phones.vendor import Vendor
from provisioning.virtual_phone import HeldKey, VirtualPhone, virtual_phone
from tests.conftest import House

DATA = Path(__file__).parent / "vendor_data"
# What the issue leaves out: DECT bases and what hangs on them, Wi-Fi handsets.
NO_DESK_PHONES = ("W", "AX", "CP930W")
# A password that uses every printable ASCII character, and a name that XML and HTML would choke on.
PASSWORD = "".join(map(chr, range(33, 80))) + " " + "".join(map(chr, range(80, 127)))
NAME = 'O\'Brien & "Söhne" <x>'
ADMIN = "739204816355"


@dataclass(frozen=True)
class Known:
    """A model as the vendor's documents know it, independent of our templates' data."""

    vendor: str
    name: str
    keys: int
    lines: int
    module: tuple[int, int] | None
    reserved: tuple[int, ...] = ()


def known() -> Iterator[Known]:
    for model in json.loads((DATA / "yealink_models.json").read_text())["models"]:
        if not model["model"].startswith(NO_DESK_PHONES):
            module = next(iter(model["expansion"].values()), None)
            yield Known(
                "yealink",
                model["model"],
                model["line_keys"] or 0,
                model["max_accounts"],
                (module["keys"], module["max_modules"]) if module else None,
                tuple(module.get("reserved", ())) if module else (),
            )
    for name, model in json.loads((DATA / "polycom_models.json").read_text()).items():
        module = next(iter(model["expansions"].values()), None)
        yield Known("polycom", name, model["line_keys"], model["lines"], tuple(module) if module else None)


MODELS = {model.name: model for model in known()}


def buttons(model: Known) -> Mapping[tuple[int, int], tuple[str, Mapping[str, Any]]]:
    """A layout with gaps: the phone's first and last keys, the first and last of its modules."""
    made: dict[tuple[int, int], tuple[str, Mapping[str, Any]]] = {}
    if model.keys >= 2:
        made[0, 2] = "blf", {"extension": "4202"}
    if model.keys >= 4:
        made[0, 4] = "speed_dial", {"number": "+12075550100"}
    if model.keys >= 6:
        made[0, model.keys] = "park", {"slot": "701"}
    if model.module:
        keys, modules = model.module
        made[1, 1] = "blf", {"extension": "4203"}
        made[modules, keys] = "speed_dial", {"number": "5551234"}
    return made


def account(models: Iterator[tuple[str, Known]]) -> str:
    devices = "".join(
        f"""
[[devices]]
mac = "{mac}"
vendor = "{model.vendor}"
model = "{model.name}"
location = "Portland"
lines = ["4201"]
button_overrides = [{", ".join(_inline(slot, *button) for slot, button in buttons(model).items())}]
"""
        for mac, model in models
    )
    return f"""
[account]
name = "Acme"
email = "ann@acme.example"
admin_password = "{ADMIN}"

[options]
sip_server = "sip.acme.example"
sip_backup_server = "sip2.acme.example:5070"
srtp = "required"
sip_transport = "tls"
sip_port = 5061
voicemail_number = "*98"

[[locations]]
name = "Portland"
timezone = "America/Los_Angeles"

[[extensions]]
number = "4201"
display_name = {json.dumps(NAME)}
sip_password = {json.dumps(PASSWORD)}
{devices}"""


def _inline(slot: tuple[int, int], type: str, target: Mapping[str, Any]) -> str:
    (name, value), *_ = target.items()
    label = f"{type} {slot[1]}"
    return (
        f'{{ module = {slot[0]}, position = {slot[1]}, type = "{type}", label = "{label}",'
        f' target = {{ {name} = "{value}" }} }}'
    )


def expected_keys(model: Known) -> dict[tuple[int, int], HeldKey]:
    made = {
        slot: HeldKey(type, f"{type} {slot[1]}", str(*target.values()), 1)
        for slot, (type, target) in buttons(model).items()
    }
    if model.keys:
        made[0, 1] = HeldKey("line", "4201", "", 1)
    return dict(sorted(made.items()))


def told_by_label(keys: Mapping[tuple[int, int], HeldKey]) -> dict[tuple[int, int], HeldKey]:
    """A Yealink shows the account's label on a line key that has none of its own."""
    return {slot: HeldKey(k.type, k.label or "4201", k.value, k.line) for slot, k in sorted(keys.items())}


def told(phone: VirtualPhone, vendor: Vendor) -> list[str]:
    """What is not as the account says, in a phone that has booted."""
    model = MODELS[phone.model.name]
    wrong: list[str] = []
    (line,) = phone.lines()
    said = (line.index, line.label, line.display_name, line.user, line.auth_user, line.password)
    if said != (1, "4201", NAME, "4201", "4201", PASSWORD):
        wrong.append(f"line {said[:3]}")
    if line.servers != (("sip.acme.example", 5061), ("sip2.acme.example", 5070)):
        wrong.append(f"servers {line.servers}")
    if (line.transport, line.srtp) != ("tls", "required"):
        wrong.append(f"transport {line.transport} {line.srtp}")
    if phone.model.facts.get("own_order"):
        keys = [key for _, key in sorted(told_by_label(phone.keys()).items())]
        if sorted(map(repr, keys)) != sorted(map(repr, expected_keys(model).values())):
            wrong.append(f"keys {keys}")
    elif told_by_label(phone.keys()) != expected_keys(model):
        wrong.append(f"keys {phone.keys()}")
    if phone.admin_password() != ADMIN:
        wrong.append("admin password")
    # Firmware before digit maps sends an extension as soon as it is whole.
    for number, ways in (("911", {"at once"}), ("933", {"at once"}), ("4202", {"after timeout", "at once"})):
        if phone.dials(number) not in ways:
            wrong.append(f"dials {number} {phone.dials(number)}")
    for at in (datetime(2027, month, 15, tzinfo=UTC) for month in range(1, 13)):
        offset = at.astimezone(ZoneInfo("America/Los_Angeles")).utcoffset()
        if offset is None or phone.utc_offset(at) != offset.total_seconds():
            wrong.append(f"clock {at}")
    return wrong


def test_our_models_are_those_of_the_documents(vendors: dict[str, Vendor]) -> None:
    ours = {
        (vendor.name, m.name, m.line_keys, m.lines)
        for vendor in vendors.values()
        for m in vendor.models.values()
    }
    assert ours == {(m.vendor, m.name, m.keys, m.lines) for m in MODELS.values()}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("vendor_name", ["yealink", "polycom"])
async def test_every_model_boots_and_holds_exactly_what_the_account_says(
    house: House, vendors: dict[str, Vendor], vendor_name: str
) -> None:
    vendor = vendors[vendor_name]
    macs = {
        f"{vendor.ouis and sorted(vendor.ouis)[0]}{i:06x}": m for i, m in enumerate(vendor.models.values(), 1)
    }
    loaded = await house.load(account((mac, MODELS[model.name]) for mac, model in macs.items()))
    wrong: dict[str, list[str]] = {}

    async def boots_twice(mac: str, model: Model) -> None:
        phone = virtual_phone(vendor, model, mac)
        boot = await phone.boot(str(loaded.provisioning_url))
        faults = [*boot.problems, *([] if boot.came_up else ["did not come up"])]
        if boot.came_up:
            faults += told(phone, vendor)
            again = await phone.boot(str(loaded.provisioning_url))
            faults += [
                f"{name} was not the same twice" for name in again.applied if name.endswith((".cfg", ".boot"))
            ]
        if faults:
            wrong[model.name] = faults

    await asyncio.gather(*(boots_twice(mac, model) for mac, model in macs.items()))
    assert wrong == {}
    assert {row.verdict for row in await house.boot_log()} <= {
        "served",
        "stored",
        "file_unknown",
        "file_absent",
    }
