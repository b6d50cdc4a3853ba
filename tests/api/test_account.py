"""The account's own settings over the API."""

import pytest

from tests.api.conftest import Account


async def test_it_works(account: Account) -> None:
    answer = await account.admin.get("/account")
    assert answer.status == 200
    assert answer.json == {
        "id": account.id,
        "name": "Harbour Lane Dental",
        "email": "office@harbourlane.example",
        "timezone": "America/New_York",
        "billing_address": {
            "street": "12 Harbour Lane",
            "unit": "",
            "city": "Portland",
            "region": "ME",
            "postal_code": "04101",
            "country": "US",
        },
    }


async def test_a_change_names_only_what_it_changes(account: Account) -> None:
    answer = await account.admin.patch("/account", {"name": "Harbour Dental", "billing_address": None})
    assert answer.status == 200
    assert answer.json["name"] == "Harbour Dental"
    assert answer.json["billing_address"] is None
    assert answer.json["timezone"] == "America/New_York"
    assert (await account.admin.get("/account")).json == answer.json


async def test_telephony_has_its_defaults_and_the_extension_length_reaches_the_next_file(
    account: Account,
) -> None:
    telephony = await account.viewer.get("/account/telephony")
    numbers = (await account.viewer.get("/phone-numbers")).json["data"]
    assert telephony.json == {
        "extension_length": 4,
        "default_outbound_number_id": numbers[-1]["id"],
        "hold_music_clip_id": None,
        "transcription_enabled": True,
        "recording_enabled": True,
        "parking_timeout_minutes": 5,
        "inbound_fax_limit": None,
        "outbound_fax_limit": None,
    }
    await account.admin.patch("/account/telephony", {"extension_length": 5})
    async with account.house.http.get(f"{account.url}64167f102005-account.cfg") as answer:
        assert b'dialplan.digitmap="911|933|[0-9]xxxxT|' in await answer.read()


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/account", {"name": ""}, ["name"]),
        ("/account", {"name": None}, ["name"]),
        ("/account", {"email": "no email", "timezone": "Mars/Olympus"}, ["email", "timezone"]),
        (
            "/account",
            {"billing_address": {"street": "1"}},
            ["billing_address.city", "billing_address.region"],
        ),
        ("/account", {"id": "acc_1"}, ["id"]),
        ("/account/telephony", {"extension_length": 7}, ["extension_length"]),
        ("/account/telephony", {"extension_length": "4"}, ["extension_length"]),
        ("/account/telephony", {"parking_timeout_minutes": 0}, ["parking_timeout_minutes"]),
        ("/account/telephony", {"inbound_fax_limit": -1}, ["inbound_fax_limit"]),
        ("/account/telephony", {"default_outbound_number_id": "num_1"}, ["default_outbound_number_id"]),
        ("/account/telephony", {"hold_music_clip_id": "clip_1"}, ["hold_music_clip_id"]),
        ("/account/device-options", {"sip_port": 0}, ["sip_port"]),
        ("/account/device-options", {"sip_server": None, "sip_domain": None}, [""]),
    ],
)
async def test_bad_input_is_refused_by_its_field_and_changes_nothing(
    account: Account, path: str, body: object, fields: list[str]
) -> None:
    before = await account.admin.get(path)
    answer = await account.admin.patch(path, body)
    assert answer.status == 422
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.fields[: len(fields)] == fields
    assert (await account.admin.get(path)).json == before.json


async def test_device_options_are_set_and_inherited_again(account: Account) -> None:
    set_ = await account.admin.patch("/account/device-options", {"language": "fr", "lldp": False})
    assert (set_.json["language"], set_.json["lldp"]) == ("fr", False)
    reset = await account.admin.patch("/account/device-options", {"language": None})
    assert (reset.json["language"], reset.json["lldp"]) == (None, False)


async def test_emergency_recipients_are_replaced(account: Account) -> None:
    answer = await account.admin.put(
        "/account/emergency-recipients", {"emails": ["a@b.example", "c@d.example"]}
    )
    assert answer.json["emails"] == ["a@b.example", "c@d.example"]
    assert (await account.viewer.get("/account/emergency-recipients")).json == answer.json
    refused = await account.admin.put("/account/emergency-recipients", {"emails": ["a@b.example", "nobody"]})
    assert (refused.status, refused.fields) == (422, ["emails[1]"])


class TestProvisioning:
    async def test_it_shows_token_url_and_admin_password(self, account: Account) -> None:
        answer = await account.technician.get("/account/provisioning")
        told = answer.json
        assert told["provisioning_url"] == account.url == f"{account.house.url}/p/{told['token']}/"
        assert (told["admin_password"], told["generation"]) == ("739204816355", 1)
        assert told["devices"] == {"total": 8, "current": 0, "stale": 0, "silent": 8}
        assert answer.headers["ETag"] == '"1"'

    async def test_a_viewer_sees_no_secret(self, account: Account) -> None:
        told = (await account.viewer.get("/account/provisioning")).json
        assert (told["token"], told["provisioning_url"], told["admin_password"]) == (None, None, None)

    async def test_generate_is_a_conflict_once_there_is_a_token(self, account: Account) -> None:
        assert (await account.admin.post("/account/provisioning/generate")).status == 409

    async def test_from_the_answer_of_rotate_on_the_old_url_is_refused(self, account: Account) -> None:
        answer = await account.admin.post("/account/provisioning/rotate", {"reason": "a phone was lost"})
        assert (answer.status, answer.json["generation"]) == (200, 2)
        async with account.house.http.get(f"{account.url}805ec0102001.cfg") as old:
            assert old.status == 404
        async with account.house.http.get(f"{answer.json['provisioning_url']}805ec0102001.cfg") as new:
            assert new.status == 200

    async def test_the_admin_password_stays_unless_asked(self, account: Account) -> None:
        kept = (await account.admin.post("/account/provisioning/rotate")).json
        changed = (
            await account.admin.post("/account/provisioning/rotate", {"rotate_admin_password": True})
        ).json
        assert kept["admin_password"] == "739204816355" != changed["admin_password"]
        assert len(changed["admin_password"]) == 12 and changed["admin_password"].isdigit()

    async def test_a_rotation_of_what_was_rotated_meanwhile_is_stale(self, account: Account) -> None:
        first = await account.admin.post("/account/provisioning/rotate", {}, {"If-Match": '"1"'})
        second = await account.admin.post("/account/provisioning/rotate", {}, {"If-Match": '"1"'})
        assert (first.status, second.status) == (200, 412)

    async def test_the_admin_password_can_be_chosen_or_made(self, account: Account) -> None:
        chosen = await account.admin.put("/account/provisioning/admin-password", {"admin_password": "246810"})
        assert chosen.json == {"admin_password": "246810"}
        made = await account.admin.put("/account/provisioning/admin-password", {})
        assert len(made.json["admin_password"]) == 12
        refused = await account.admin.put("/account/provisioning/admin-password", {"admin_password": "abc"})
        assert (refused.status, refused.fields) == (422, ["admin_password"])

    async def test_devices_are_counted_by_the_url_that_they_last_fetched_with(self, account: Account) -> None:
        await account.house.http.get(f"{account.url}805ec0102001.cfg")
        await account.house.log.flush()
        assert (await account.admin.get("/account/provisioning")).json["devices"]["current"] == 1
        await account.admin.post("/account/provisioning/rotate")
        told = (await account.admin.get("/account/provisioning")).json["devices"]
        assert told == {"total": 8, "current": 0, "stale": 1, "silent": 7}
