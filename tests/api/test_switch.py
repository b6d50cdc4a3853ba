"""What the switch reads: call settings, caller ID and the credentials of its phones."""

import asyncio
import hashlib
from typing import Final

import pytest

from provisioning.api.operation import OPERATIONS
from tests.api.conftest import Account, form, make_account
from tests.api.test_every_operation import call, resources

PASSWORD: Final = "Kq7vTz2mWx94LpRd"  # of the sample's extension 4201


class TestCallSettings:
    PATH: Final = "/switch/call-settings"

    async def test_the_switch_sees_how_calls_are_handled(self, account: Account) -> None:
        answer = await account.switch.get(self.PATH)
        assert answer.status == 200
        assert answer.json == {
            "parking_timeout_minutes": 5,
            "parking_timeout_seconds": 300,
            "recording_enabled": True,
            "transcription_enabled": True,
            "extension_length": 4,
            "hold_music_clip_id": None,
            "hold_music_url": None,
            "park_code": "*68",
            "pickup_code": "*97",
            "voicemail_number": "*98",
            "intercom_prefix": "*80",
            "record_code": "*1",
        }

    @pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '"other" ,W/{}', "*"])
    async def test_who_has_them_is_told_that_nothing_changed(self, account: Account, form: str) -> None:
        etag = (await account.switch.get(self.PATH)).headers["ETag"]
        again = await account.switch.get(self.PATH, {"If-None-Match": form.format(etag)})
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", etag)
        ends = [(entry.event, entry.outcome) for entry in await account.entries()]
        assert ends == [("switch.call_settings", "success")] * 2

    async def test_a_change_is_seen(self, account: Account) -> None:
        etag = (await account.switch.get(self.PATH)).headers["ETag"]
        await account.admin.patch("/account/telephony", {"parking_timeout_minutes": 9})
        again = await account.switch.get(self.PATH, {"If-None-Match": etag})
        assert (again.status, again.json["parking_timeout_seconds"]) == (200, 540)
        assert again.headers["ETag"] != etag


class TestHoldMusic:
    async def test_the_switch_fetches_it_where_the_call_settings_say(self, account: Account) -> None:
        sound = b"RIFF\x04\0\0\0WAVE"
        clip = (await account.admin.post("/audio-clips", form(name="Music", file=sound))).json["id"]
        await account.admin.patch("/account/telephony", {"hold_music_clip_id": clip})
        url = (await account.switch.get(TestCallSettings.PATH)).json["hold_music_url"]
        path = url.removeprefix(f"{account.house.url}/api/v1")
        answer = await account.switch.get(path)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "audio/wav")
        assert answer.text.encode() == sound
        assert (await account.switch.get(path, {"Range": "bytes=0-3"})).text == "RIFF"

    async def test_another_clip_is_not_for_the_switch(self, account: Account) -> None:
        sound = b"RIFF\x04\0\0\0WAVE"
        clip = (await account.admin.post("/audio-clips", form(name="Music", file=sound))).json["id"]
        assert (await account.switch.get(f"/switch/audio-clips/{clip}")).status == 404
        assert (await account.switch.get(f"/audio-clips/{clip}")).status == 403


async def test_what_changes_without_a_new_etag_is_never_called_unchanged(account: Account) -> None:
    """The ETag of provisioning is its generation, that of a device leaves out when it was last seen."""
    (device, *_) = (await account.admin.get("/devices")).json["data"]
    for path in ("/account/provisioning", f"/devices/{device['id']}"):
        etag = (await account.admin.get(path)).headers["ETag"]
        assert (await account.admin.get(path, {"If-None-Match": etag})).status == 200


class TestCallerId:
    async def test_a_phone_without_a_number_shows_the_accounts(self, account: Account) -> None:
        path, shown = "/switch/caller-id?sip_username=4203", {"display_name": "Jörg Søndergaard"}
        answer = await account.switch.get(path)
        assert answer.status == 200
        assert answer.json == shown | {"sip_username": "4203", "number": "+12125550100"}
        await account.admin.patch("/account/telephony", {"default_outbound_number_id": None})
        assert (await account.switch.get(path)).json == shown | {"sip_username": "4203", "number": None}

    @pytest.mark.parametrize("name", ["9999", "", "%00", "%ff", "a%20b", "4201'--", "x" * 300])
    async def test_an_unknown_phone_is_not_found(self, account: Account, name: str) -> None:
        assert (await account.switch.get(f"/switch/caller-id?sip_username={name}")).status == 404

    async def test_the_phone_must_be_named(self, account: Account) -> None:
        answer = await account.switch.get("/switch/caller-id")
        assert (answer.status, answer.fields) == (422, ["sip_username"])


class TestDirectory:
    async def test_for_a_realm_it_gives_the_digest_and_no_password(self, account: Account) -> None:
        answer = await account.switch.get("/switch/directory/4201?realm=sip.harbourlane.example")
        assert answer.status == 200
        assert answer.json == {
            "sip_username": "4201",
            "number": "4201",
            "display_name": "Front Desk",
            "voicemail_enabled": True,
            "password": None,
            "ha1": hashlib.md5(f"4201:sip.harbourlane.example:{PASSWORD}".encode()).hexdigest(),
        }

    async def test_without_a_realm_it_gives_the_password(self, account: Account) -> None:
        told = (await account.switch.get("/switch/directory/4201")).json
        assert (told["password"], told["ha1"]) == (PASSWORD, None)

    async def test_the_entry_names_the_extension_and_no_secret(self, account: Account) -> None:
        await account.switch.get("/switch/directory/4201?realm=a")
        rows = (await account.admin.get("/extensions")).json["data"]
        front_desk = next(row for row in rows if row["number"] == "4201")
        entry = next(e for e in await account.entries() if e.event == "switch.directory")
        assert (entry.resource, entry.detail) == (f"extension/{front_desk['id']}", {})

    @pytest.mark.parametrize("name", ["a", "Ann.O-Brien_2+x~", "+", "~", "...", "-_.+~", "x" * 64])
    async def test_every_name_that_an_extension_may_have_works(self, account: Account, name: str) -> None:
        made = await account.admin.post(
            "/extensions", {"number": "4277", "display_name": "Odd", "sip_username": name}
        )
        assert made.status == 201, made.text
        for path in (name, name.replace("+", "%2B").replace("~", "%7E")):
            answer = await account.switch.get(f"/switch/directory/{path}")
            assert (answer.status, answer.json["sip_username"]) == (200, name)

    @pytest.mark.parametrize("name", [".", ".."])
    async def test_dots_alone_work_where_the_client_leaves_them_in_the_path(
        self, account: Account, name: str
    ) -> None:
        await account.admin.post(
            "/extensions", {"number": "4277", "display_name": "Odd", "sip_username": name}
        )
        port = int(account.house.url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"GET /api/v1/switch/directory/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {account.switch.key}\r\n\r\n"
        )
        writer.write(head.encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.close()
        await writer.wait_closed()

    @pytest.mark.parametrize("name", ["9999", "%00", "%ff", "%F0%9F%93%9E", "a%20b", "a%2Fb", "x" * 300])
    async def test_an_unknown_name_is_not_found(self, account: Account, name: str) -> None:
        assert (await account.switch.get(f"/switch/directory/{name}")).status == 404

    @pytest.mark.parametrize("realm", ["", "%00", "a%22b", "a%5Cb", "%C3%A9", "x" * 256])
    async def test_a_realm_that_no_challenge_can_hold_is_refused(self, account: Account, realm: str) -> None:
        answer = await account.switch.get(f"/switch/directory/4201?realm={realm}")
        assert (answer.status, answer.fields) == (422, ["realm"])

    async def test_another_accounts_phones_are_unknown(self, account: Account, sample: str) -> None:
        text = sample.replace("office@", "other@").replace('number = "4201"', 'number = "4999"')
        other = await make_account(account.house, text.replace("*1", "*2").replace("4201", "4999"))
        assert (await other.switch.get("/switch/directory/4999")).status == 200
        assert (await account.switch.get("/switch/directory/4999")).status == 404
        assert (await account.switch.get("/switch/caller-id?sip_username=4999")).status == 404


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_the_switch_may_call_its_own_operations_and_nothing_else(account: Account) -> None:
    ids = await resources(account)
    for operation in OPERATIONS:
        answer = await call(account.switch, operation, ids)
        if operation.path.startswith("/switch/"):
            assert answer.status < 300, answer.text
        else:
            assert answer.status == 403, operation.path
