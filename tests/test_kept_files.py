"""Files that are served from memory are what would be made anew, whatever was changed before."""

import asyncio
from typing import Any

import pytest

import tokens
from button_templates.library import TemplateForm
from provisioning import devices, gathering
from provisioning.accounts import General, Telephony
from provisioning.devices import DeviceForm
from provisioning.extensions import ExtensionForm
from provisioning.kept_files import KeptFile, KeptFiles
from provisioning.locations import LocationForm
from provisioning.phones.options import Options
from tests.api.conftest import Account, stocked
from tests.certificates import self_signed
from tests.conftest import House, Stock

ADDRESS = {
    "street": "1 New Street",
    "unit": "",
    "city": "Bath",
    "region": "ME",
    "postal_code": "04530",
    "country": "US",
}
GENERAL = {"name": "New", "email": "n@b.example", "timezone": "Europe/Berlin", "billing_address": ADDRESS}
TELEPHONY = {
    "transcription_enabled": False,
    "recording_enabled": False,
    "parking_timeout_minutes": 9,
    "inbound_fax_limit": 1,
    "outbound_fax_limit": 1,
    "default_outbound_number_id": None,
    "hold_music_clip_id": None,
    "extension_length": 5,
}
LOCATION = {
    "name": "Moved",
    "address": ADDRESS,
    "callback_number": "+12075550111",
    "emergency_recipients": ["x@b.example"],
    "timezone": "Asia/Tokyo",
}
EXTENSION = {
    "number": "4298",
    "display_name": "Somebody",
    "sip_username": "somebody",
    "sip_password": "another-password-1",
    "voicemail_enabled": False,
    "outbound_number_id": None,
}
TEMPLATE = {
    "name": "Other",
    "description": "Another",
    "buttons": [{"position": 2, "type": "blf", "label": "Neu", "target": {"extension": "4203"}}],
}
DEVICE: dict[str, Any] = {
    "name": "Renamed",
    "vendor": "yealink",
    "expansion": None,
    "button_overrides": [{"position": 3, "type": "dnd", "label": "Ruhe"}],
    "outbound_number_id": None,
    "location_id": None,
    "button_template_id": None,
    "lines": ["4206"],
    "model": "T53W",
    "mac": "805ec0aabbcc",
}
OPTIONS: dict[str, Any] = {
    "sip_server": "sip2.example.com", "sip_domain": "other.example.com", "sip_port": 5099,
    "sip_transport": "tcp",
    "sip_backup_server": "sip3.example.com", "outbound_proxy": "proxy.example.com:5080",
    "register_expires": 99,
    "srtp": "optional", "codecs": ["pcma"], "ntp_server": "ntp.example.com",
    "timezone": "Asia/Tokyo", "time_format": "24h", "date_format": "ymd", "language": "fr", "vlan_id": 7,
    "lldp": False, "dscp_sip": 1,
    "dscp_rtp": 2, "backlight_seconds": 60,
    "web_ui": "off", "poll_minutes": 120, "poll_window": "01:00-02:00",
    "park_code": "*11", "pickup_code": "*12", "voicemail_number": "*13", "intercom_prefix": "*14",
    "record_code": "*15", "dial_plan": "[2-9]xx", "ring_type": 3, "call_waiting": False,
    "transport_trust": "public",
}  # fmt: skip


PHONES = {"T54W", "T53W", "VVX 450"}  # before and after, and a Polycom


@pytest.fixture
def database_url(stock: Stock) -> str:
    return stock.url


@pytest.fixture
def account(house: House, stock: Stock) -> Account:
    return stocked(house, stock)


async def served(account: Account) -> dict[str, bytes]:
    """Every file of two phones as it is served, which is as it is made anew in this moment."""
    house = account.house
    async with house.database.read() as session:
        token = await tokens.current(session, house.vault, account.id)
        assert token
        found: dict[str, bytes] = {}
        for device in await devices.list_all(session, account.id):
            if device.model not in PHONES:
                continue
            phone = await gathering.gather(session, house.vault, house.rendering, device, token.text)
            found |= await gathering.files(session, house.rendering, device, phone)
    url = devices.provisioning_url(house.url, token.text)
    for name, content in found.items():
        async with house.http.get(url + name) as answer:
            assert (name, await answer.read()) == (name, content)
    return found


async def changes(account: Account) -> list[tuple[str, dict[str, Any]]]:
    """A change of each field that there is."""
    desk = (await account.admin.get("/devices?q=805ec0102001")).json["data"][0]
    first = (await account.admin.get("/extensions")).json["data"][-1]["id"]
    template, location, here = desk["button_template_id"], desk["location_id"], f"/devices/{desk['id']}"
    of: dict[str, tuple[Any, dict[str, Any]]] = {
        f"/locations/{location}": (LocationForm, LOCATION),
        f"/extensions/{first}": (ExtensionForm, EXTENSION),
        f"/button-templates/{template}": (TemplateForm, TEMPLATE),
        "/account/telephony": (Telephony, TELEPHONY),
        "/account/device-options": (Options, OPTIONS),
        f"{here}/options": (Options, {**OPTIONS, "sip_server": "sip9.example.com", "language": "de"}),
        "/account": (General, GENERAL),
        here: (DeviceForm, DEVICE),
    }
    for form, values in of.values():
        assert {*form.model_fields} - {"options", "transport_ca"} == {*values}, form
    return [(path, {field: values[field]}) for path, (_, values) in of.items() for field in values]


async def test_after_a_change_of_any_field_phones_are_served_what_is_made_anew(account: Account) -> None:
    before = await served(account)
    altering = set()
    for path, change in await changes(account):
        answer = await account.admin.patch(path, change)
        assert answer.status == 200, (path, change, answer.text)
        after = await served(account)
        if after != before:
            altering.add(f"{path.split('/')[1]}.{next(iter(change))}")
        before = after
    # So that it is no test of nothing: these reach phones, and some others do not.
    assert {
        "account.timezone",
        "account.extension_length",
        "locations.timezone",
        "extensions.sip_password",
    } <= altering
    assert {"button-templates.buttons", "devices.lines", "devices.model", "account.language"} <= altering
    assert not {"account.recording_enabled", "locations.address"} & altering


async def test_a_rotation_and_a_new_password_are_in_the_next_file(account: Account) -> None:
    before = await served(account)
    await account.admin.post("/account/provisioning/rotate", {})
    rotated = await served(account)
    answer = await account.admin.put("/account/provisioning/admin-password", {"admin_password": "77001122"})
    assert answer.status == 200, answer.text
    assert before != rotated != await served(account)


async def test_a_certificate_of_its_own_is_in_the_next_file(account: Account, tmp_path: Any) -> None:
    before = await served(account)
    change = {"transport_trust": "custom", "transport_ca": self_signed(tmp_path)[0].read_text()}
    answer = await account.admin.patch("/account/device-options", change)
    assert answer.status == 200, answer.text
    assert await served(account) != before


async def test_what_comes_and_goes_is_in_the_next_file_or_refused_in_it(account: Account) -> None:
    made = (await account.admin.post("/devices", {"mac": "805ec0aabb01", "model": "T54W"})).json
    assert "805ec0aabb01.cfg" in await served(account)
    await account.admin.delete(f"/devices/{made['id']}")
    async with account.house.http.get(f"{account.url}805ec0aabb01.cfg") as answer:
        assert answer.status == 404
    await served(account)


async def test_a_file_is_made_once_and_then_served_from_memory(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served(account)
    made: list[object] = []
    assemble = gathering.assemble

    def counted(*inputs: Any) -> Any:
        made.append(1)
        return assemble(*inputs)

    monkeypatch.setattr(gathering, "assemble", counted)
    async with account.house.http.get(f"{account.url}805ec0102001.cfg") as answer:
        assert answer.status == 200
    assert made == []
    await account.admin.patch("/account/device-options", {"ring_type": 5})
    async with account.house.http.get(f"{account.url}805ec0102001.cfg") as answer:
        assert answer.status == 200
    assert made == [1]


async def test_what_phones_share_is_read_once_for_all_that_come_at_the_same_time(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a rotation every phone comes for files that were never made."""
    read: list[object] = []
    share = gathering.share

    async def counted(*inputs: Any) -> Any:
        read.append(1)
        return await share(*inputs)

    monkeypatch.setattr(gathering, "share", counted)
    house, admin = account.house, account.admin
    for revision in (1, 2):
        await admin.patch("/account/device-options", {"ring_type": revision})
        files = [f"{mac}{end}" for mac in ("805ec0102001", "001565102002") for end in (".boot", ".cfg")]
        files += ["64167f102005-account.cfg", "64167f102005.cfg", "64167f102005-directory.xml"]
        statuses = await asyncio.gather(*(house.http.get(account.url + name) for name in files * 3))
        assert {answer.status for answer in statuses} == {200}
        assert len(read) == revision
    await served(account)


def test_memory_is_bounded_and_the_longest_unused_goes_first() -> None:
    kept = KeptFiles(most=30)
    files = {name: KeptFile(b"x" * 10, "text/plain", "", None) for name in "abcd"}
    for name in "abc":
        kept.put(name, files[name])
    assert kept.get("a") is files["a"]
    kept.put("d", files["d"])
    assert [kept.get(name) is not None for name in "abcd"] == [True, False, True, True]
