"""Locations, extensions, button templates, devices, users and API keys over the API."""

import re
from datetime import UTC, datetime
from typing import Final

import pytest

from provisioning import boot_log
from tests.api.conftest import Account

OFFICE = {"name": "Boston", "timezone": "America/New_York", "callback_number": "+16175550100"}


class TestLocations:
    async def test_a_location_is_made_read_changed_listed_and_removed(self, account: Account) -> None:
        made = await account.admin.post("/locations", OFFICE)
        assert made.status == 201
        assert re.fullmatch(r"loc_[0-9a-z]{26}", made.json["id"])
        path = f"/locations/{made.json['id']}"
        assert (await account.viewer.get(path)).json == made.json
        changed = await account.admin.patch(path, {"name": "Boston, MA"})
        assert changed.json == made.json | {"name": "Boston, MA"}
        names = [row["name"] for row in (await account.viewer.get("/locations")).json["data"]]
        assert names[0] == "Boston, MA" and set(names) == {"Boston, MA", "Sydney", "Portland"}
        assert (await account.admin.delete(path)).status == 204
        assert (await account.viewer.get(path)).status == 404

    async def test_its_entries_say_how_it_was_made_what_changed_and_what_was_removed(
        self, account: Account
    ) -> None:
        path = f"/locations/{(await account.admin.post('/locations', OFFICE)).json['id']}"
        await account.admin.patch(path, {"name": "Boston, MA"})
        await account.admin.delete(path)
        made, changed, removed = [entry.detail["changed"] for entry in await account.entries()]
        assert made["name"] == {"old": None, "new": "Boston"}
        assert made["callback_number"] == {"old": None, "new": "+16175550100"}
        assert changed == {"name": {"old": "Boston", "new": "Boston, MA"}}
        assert removed["name"] == {"old": "Boston, MA", "new": None}

    async def test_a_location_with_a_device_is_kept(self, account: Account) -> None:
        rows = (await account.viewer.get("/locations")).json["data"]
        answer = await account.admin.delete(f"/locations/{rows[0]['id']}")
        assert (answer.status, answer.json["detail"]) == (409, "a device is at this location")

    async def test_a_name_that_is_taken_is_refused(self, account: Account) -> None:
        answer = await account.admin.post("/locations", {"name": "Sydney"})
        assert (answer.status, answer.fields) == (422, ["name"])

    async def test_a_list_goes_on_where_its_cursor_says(self, account: Account) -> None:
        for number in range(5):
            await account.admin.post("/locations", {"name": f"Site {number}"})
        names: list[str] = []
        path = "/locations?limit=3"
        while path:
            page = (await account.viewer.get(path)).json
            names += [row["name"] for row in page["data"]]
            path = f"/locations?limit=3&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        assert len(names) == len(set(names)) == 7

    @pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=%00", "page=2"])
    async def test_a_list_that_cannot_be_is_refused(self, account: Account, query: str) -> None:
        assert (await account.viewer.get(f"/locations?{query}")).status == 422


class TestExtensions:
    async def test_an_extension_is_made_with_a_password_that_reveal_alone_shows(
        self, account: Account
    ) -> None:
        made = await account.admin.post("/extensions", {"number": "4210", "display_name": "Bo"})
        assert made.json == {
            "id": made.json["id"],
            "number": "4210",
            "display_name": "Bo",
            "sip_username": "4210",
            "outbound_number_id": None,
            "voicemail_enabled": True,
        }
        path = f"/extensions/{made.json['id']}"
        shown = (await account.technician.post(f"{path}/reveal")).json
        assert len(shown["sip_password"]) == 24
        await account.admin.patch(path, {"sip_password": "another-password"})
        assert (await account.admin.post(f"{path}/reveal")).json["sip_password"] == "another-password"
        assert (await account.viewer.post(f"{path}/reveal")).status == 403
        assert (await account.admin.delete(path)).status == 204

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"number": "421"}, "number"),
            ({"number": "9110"}, "number"),
            ({"number": "4201"}, "number"),
            ({"number": "4211", "sip_username": "4202"}, "sip_username"),
            ({"number": "4211", "sip_password": "short"}, "sip_password"),
            ({"number": "4211", "display_name": "a\nb"}, "display_name"),
            ({"number": "4211", "outbound_number_id": "num_1"}, "outbound_number_id"),
        ],
    )
    async def test_an_extension_that_cannot_be_is_refused_by_field(
        self, account: Account, body: dict[str, object], field: str
    ) -> None:
        answer = await account.admin.post("/extensions", {"display_name": "Bo", **body})
        assert (answer.status, answer.fields) == (422, [field])

    async def test_a_number_may_change_and_an_older_length_may_stay(self, account: Account) -> None:
        (row, *_) = (await account.admin.get("/extensions")).json["data"]
        await account.admin.patch("/account/telephony", {"extension_length": 5})
        path = f"/extensions/{row['id']}"
        assert (await account.admin.patch(path, {"display_name": "Old length"})).status == 200
        assert (await account.admin.patch(path, {"number": "4309"})).fields == ["number"]
        assert (await account.admin.patch(path, {"number": "43090"})).json["number"] == "43090"

    async def test_an_extension_of_a_device_is_kept(self, account: Account) -> None:
        rows = (await account.admin.get("/extensions")).json["data"]
        used = next(row for row in rows if row["number"] == "4201")
        assert (await account.admin.delete(f"/extensions/{used['id']}")).status == 409


class TestButtonTemplates:
    BODY: Final = {
        "name": "Lobby",
        "buttons": [
            {"position": 1, "type": "line", "target": {"line": 1}},
            {"position": 3, "type": "blf", "label": "Ann", "target": {"extension": "4202"}},
            {"position": 5, "type": "url", "label": "Door", "target": {"url": "http://door.example/open"}},
        ],
    }

    async def test_a_template_is_made_and_its_buttons_keep_their_gaps(self, account: Account) -> None:
        made = await account.technician.post("/button-templates", self.BODY)
        assert made.status == 201
        slots = [(b["position"], b["type"], b["label"]) for b in made.json["buttons"]]
        assert slots == [(1, "line", ""), (3, "blf", "Ann"), (5, "url", "Door")]

    async def test_a_move_shifts_the_ones_between_and_keeps_the_places(self, account: Account) -> None:
        made = (await account.technician.post("/button-templates", self.BODY)).json
        path = f"/button-templates/{made['id']}/move"
        moved = (await account.technician.post(path, {"module": 0, "from": 5, "to": 1})).json
        assert [(b["position"], b["type"]) for b in moved["buttons"]] == [(1, "url"), (3, "line"), (5, "blf")]
        refused = await account.technician.post(path, {"module": 0, "from": 2, "to": 1})
        assert (refused.status, refused.fields) == (422, ["from"])

    async def test_fit_says_for_each_model_what_does_not_fit_and_why(self, account: Account) -> None:
        made = (await account.technician.post("/button-templates", self.BODY)).json
        fit = (await account.viewer.get(f"/button-templates/{made['id']}/fit")).json["data"]
        models = {row["model"]: row for row in fit}
        assert len(models) == 132
        assert models["T54W"]["misfits"] == []
        assert [m["reason"] for m in models["T23G"]["misfits"]] == ["T23G has 3 line keys, this is key 5"]
        assert [m["type"] for m in models["VVX 450"]["misfits"]] == ["url"]

    async def test_fit_tells_each_type_of_modules_apart(self, account: Account) -> None:
        button = {"module": 1, "position": 41, "type": "blf", "target": {"extension": "4201"}}
        made = (
            await account.technician.post("/button-templates", {"name": "Wide", "buttons": [button]})
        ).json
        fit = (await account.viewer.get(f"/button-templates/{made['id']}/fit")).json["data"]
        vvx = next(row for row in fit if row["model"] == "VVX 411")
        assert (vvx["expansion"], vvx["fits"], vvx["misfits"]) == ("VVX Color EM", 1, [])
        reason = "VVX Paper EM has 40 keys, this is key 41"
        misfit = {"module": 1, "position": 41, "type": "blf", "reason": reason}
        assert vvx["other_modules"] == [{"expansion": "VVX Paper EM", "fits": 0, "misfits": [misfit]}]

    async def test_fit_says_where_a_phone_that_orders_its_keys_itself_shows_them(
        self, account: Account
    ) -> None:
        buttons = [
            {"position": 1, "type": "speed_dial", "target": {"number": "5550100"}},
            {"position": 2, "type": "line", "target": {"line": 1}},
        ]
        made = (await account.technician.post("/button-templates", {"name": "Own", "buttons": buttons})).json
        fit = (await account.viewer.get(f"/button-templates/{made['id']}/fit")).json["data"]
        moved = {row["model"]: row["moved"] for row in fit}
        assert moved["SoundPoint IP 600"] == [
            {"module": 0, "position": 2, "shown_as": 1},
            {"module": 0, "position": 1, "shown_as": 2},
        ]
        assert moved["VVX 450"] == moved["T54W"] == []

    async def test_a_change_is_in_the_next_file_of_each_device_bound_to_it(self, account: Account) -> None:
        rows = (await account.viewer.get("/button-templates")).json["data"]
        desk = next(row for row in rows if row["name"] == "Desk")
        buttons = [
            *desk["buttons"][:1],
            {"position": 2, "type": "blf", "label": "Neu", "target": {"extension": "4205"}},
        ]
        assert (
            await account.admin.patch(f"/button-templates/{desk['id']}", {"buttons": buttons})
        ).status == 200
        for name in ("001565102003.cfg", "0004f2102007-account.cfg"):
            async with account.house.http.get(account.url + name) as answer:
                assert b"Neu" in await answer.read()

    async def test_a_template_with_devices_is_kept(self, account: Account) -> None:
        (row, *_) = (await account.viewer.get("/button-templates")).json["data"]
        assert (await account.admin.delete(f"/button-templates/{row['id']}")).status == 409


class TestDevices:
    async def test_its_boots_are_listed_by_time_whatever_server_wrote_them_first(
        self, account: Account
    ) -> None:
        (device, *_) = (await account.viewer.get("/devices")).json["data"]
        async with account.house.database.write() as session:
            for minute in (4, 0, 2, 1, 3, 3):
                session.add(
                    boot_log.Row(
                        time=datetime(2026, 11, 24, 9, minute, tzinfo=UTC),
                        account_id=account.id,
                        mac=device["mac"],
                        method="GET",
                        file=f"at-{minute}",
                        status=404,
                        verdict="file_unknown",
                        reason="",
                        ip="192.0.2.1",
                        user_agent="",
                        bytes=0,
                    )
                )
        listed, path = [], f"/devices/{device['id']}/boots?limit=2"
        cursor = ""
        while cursor is not None:
            page = (await account.viewer.get(path + (cursor and f"&cursor={cursor}"))).json
            listed += [row["file"] for row in page["data"]]
            cursor = page["next_cursor"]
        assert listed == ["at-4", "at-3", "at-3", "at-2", "at-1", "at-0"]

    async def test_a_device_is_made_boots_and_is_removed(self, account: Account) -> None:
        (line, *_) = (await account.admin.get("/extensions")).json["data"]
        made = await account.technician.post(
            "/devices", {"mac": "80-5E-C0-AA-BB-CC", "model": "T46S", "name": "New", "lines": [line["id"]]}
        )
        assert made.status == 201
        assert (made.json["mac"], made.json["vendor"], made.json["status"]) == (
            "805ec0aabbcc",
            "yealink",
            "pending",
        )
        headers = {"User-Agent": "Yealink SIP-T46S 66.86.0.15 80:5e:c0:aa:bb:cc"}
        async with account.house.http.get(f"{account.url}805ec0aabbcc.cfg", headers=headers) as answer:
            assert answer.status == 200
        await account.house.log.flush()
        path = f"/devices/{made.json['id']}"
        seen = (await account.viewer.get(path)).json
        assert (seen["status"], seen["firmware"]) == ("provisioned", "66.86.0.15")
        assert (seen["last_fetch_ip"], seen["last_fetch_generation"]) == ("127.0.0.1", 1)
        boots = (await account.viewer.get(f"{path}/boots")).json["data"]
        assert [(row["file"], row["verdict"]) for row in boots] == [("805ec0aabbcc.cfg", "served")]
        assert (await account.technician.delete(path)).status == 204
        async with account.house.http.get(f"{account.url}805ec0aabbcc.cfg") as answer:
            assert answer.status == 404

    async def test_a_phone_that_asks_with_the_old_url_is_stale(self, account: Account) -> None:
        rows = (await account.viewer.get("/devices")).json["data"]
        phone = next(row for row in rows if row["mac"] == "805ec0102001")
        await account.house.http.get(f"{account.url}805ec0102001.cfg")
        await account.admin.post("/account/provisioning/rotate")
        await account.house.http.get(f"{account.url}805ec0102001.cfg")
        await account.house.log.flush()
        assert (await account.viewer.get(f"/devices/{phone['id']}")).json["status"] == "stale"
        stale = [e for e in await account.entries() if e.event == "phone.fetch"]
        assert [(e.outcome, e.actor) for e in stale] == [("denied", "phone/805ec0102001")]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"mac": "80:5e:c0:aa:bb:c"}, "mac"),
            ({"mac": "80:5e:c0:10:20:01"}, "mac"),
            ({"mac": "02:00:00:00:00:01"}, "vendor"),
            ({"vendor": "cisco"}, "vendor"),
            ({"model": "T99"}, "model"),
            ({"expansion": "EXP99"}, "expansion"),
            ({"location_id": "loc_00000000000000000000000000"}, "location_id"),
            ({"button_template_id": "btn_1"}, "button_template_id"),
            ({"lines": ["ext_1"]}, "lines[0]"),
            ({"options": {"sip_port": 0}}, "options.sip_port"),
            ({"button_overrides": [{"position": 1, "type": "dnd"}] * 2}, "button_overrides"),
        ],
    )
    async def test_a_device_that_cannot_be_is_refused_by_field(
        self, account: Account, body: dict[str, object], field: str
    ) -> None:
        answer = await account.admin.post("/devices", {"mac": "80:5e:c0:aa:bb:cc", "model": "T46S", **body})
        assert (answer.status, answer.fields) == (422, [field])

    async def test_a_device_whose_file_could_not_be_made_is_refused(self, account: Account) -> None:
        rows = (await account.viewer.get("/devices")).json["data"]
        answer = await account.admin.patch(
            f"/devices/{rows[0]['id']}", {"options": {"transport_trust": "custom"}}
        )
        assert answer.status == 422
        assert "transport_ca is not set" in answer.json["detail"]

    async def test_the_keys_say_where_they_come_from_and_why_one_does_not_fit(self, account: Account) -> None:
        rows = (await account.viewer.get("/devices")).json["data"]
        phone = next(row for row in rows if row["model"] == "VVX 450")
        override = [{"position": 12, "type": "url", "target": {"url": "http://a.example/"}}]
        await account.technician.patch(f"/devices/{phone['id']}", {"button_overrides": override})
        keys = (await account.viewer.get(f"/devices/{phone['id']}/buttons")).json["data"]
        assert keys[0] == {
            "module": 0,
            "position": 1,
            "type": "line",
            "label": "",
            "target": {"line": 1},
            "source": "template",
            "supported": True,
            "reason": None,
        }
        misfit = next(key for key in keys if key["position"] == 12)
        assert (misfit["source"], misfit["supported"]) == ("override", False)
        assert misfit["reason"]

    async def test_files_are_shown_as_served_with_secrets_masked_unless_revealed(
        self, account: Account
    ) -> None:
        rows = (await account.viewer.get("/devices")).json["data"]
        phone = next(row for row in rows if row["mac"] == "805ec0102001")
        path = f"/devices/{phone['id']}/files"
        masked = (await account.viewer.get(path)).json["data"]
        assert {row["name"] for row in masked} == {
            "805ec0102001.boot",
            "805ec0102001.cfg",
            "y000000000096.cfg",
        }
        text = "".join(row["content"] for row in masked)
        assert "account.1.password = ********" in text
        token = account.url.split("/")[-2]
        assert not any(secret in text for secret in (token, "Kq7vTz2mWx94LpRd", "739204816355"))
        shown = await account.technician.get(f"{path}/805ec0102001.cfg?reveal=true")
        async with account.house.http.get(f"{account.url}805ec0102001.cfg") as served:
            assert shown.json["content"] == await served.text()
        assert (await account.viewer.get(f"{path}?reveal=true")).status == 403
        assert (await account.viewer.get(f"{path}/other.cfg")).status == 404
        told = [
            (e.event, e.outcome) for e in await account.entries() if e.resource == f"device/{phone['id']}"
        ]
        assert ("device.reveal", "success") in told and ("device.reveal", "denied") in told

    async def test_devices_go_out_as_csv_and_come_back(self, account: Account) -> None:
        out = await account.viewer.get("/devices/export")
        assert out.headers["Content-Type"] == "text/csv; charset=utf-8"
        lines = out.text.splitlines()
        assert lines[0] == "mac,vendor,model,expansion,name,location,lines,button_template,outbound_number"
        assert lines[1] == '805ec0102001,yealink,T54W,,"Front desk, Portland",Portland,4201 4202,Reception,'
        assert lines[8] == "64167f102008,polycom,Trio 8800,,Conference room,Portland,4207,,+12125550102"
        csv = {"Content-Type": "text/csv"}
        again = await account.technician.post("/devices/import", out.text, csv)
        assert again.json == {"created": 0, "updated": 8}
        assert (await account.viewer.get("/devices/export")).text == out.text
        more = "mac,model,lines\r\n24:9a:d8:00:00:01,T23G,4205\r\n805ec0102001,T57W,4201\r\n"
        assert (await account.technician.post("/devices/import", more, csv)).json == {
            "created": 1,
            "updated": 1,
        }
        assert (
            '805ec0102001,yealink,T57W,,"Front desk, Portland",Portland,4201,Reception,'
            in (await account.viewer.get("/devices/export")).text
        )

    async def test_a_csv_with_a_fault_changes_nothing_and_names_each_line_and_column(
        self, account: Account
    ) -> None:
        before = (await account.viewer.get("/devices/export")).text
        bad = (
            "mac,model,location,lines\n"
            "249ad8000001,T46S,Portland,4205\n"
            "249ad800000,T46S,Portland,4205\n"
            "249ad8000002,T99,Portland,4205\n"
            "249ad8000003,T46S,Moon,4205\n"
            "249ad8000004,T46S,Portland,4999\n"
            "249ad8000001,T46S,Portland,4205\n"
        )
        answer = await account.technician.post("/devices/import", bad, {"Content-Type": "text/csv"})
        assert answer.status == 422
        assert answer.fields == [
            "line 3: mac",
            "line 4: model",
            "line 5: location",
            "line 6: lines",
            "line 7: mac",
        ]
        assert (await account.viewer.get("/devices/export")).text == before

    async def test_five_thousand_rows_come_in_in_one_go(self, account: Account) -> None:
        rows = "".join(f"249ad8{number:06x},T46S,Phone {number},Portland,4205\n" for number in range(5000))
        text = "mac,model,name,location,lines\n" + rows
        answer = await account.technician.post("/devices/import", text, {"Content-Type": "text/csv"})
        assert answer.json == {"created": 5000, "updated": 0}
        async with account.house.http.get(f"{account.url}249ad8000fff.cfg") as served:
            assert served.status == 200
        refused = await account.technician.post(
            "/devices/import", text + rows[:40], {"Content-Type": "text/csv"}
        )
        assert refused.fields == ["line 5002"]

    async def test_the_models_say_what_they_can_hold(self, account: Account) -> None:
        models = (await account.viewer.get("/phone-models")).json["data"]
        assert len(models) == 132
        vvx = next(model for model in models if model["model"] == "VVX 450")
        assert (vvx["vendor"], vvx["line_keys"], vvx["lines"]) == ("polycom", 12, 12)
        assert vvx["expansion_modules"] == [{"name": "VVX EM50", "keys": 90, "modules": 1}]
        assert "blf" in vvx["button_types"] and "url" not in vvx["button_types"]


class TestUsers:
    BODY: Final = {
        "email": "Bo@example.com",
        "name": "Bo",
        "role": "technician",
        "password": "a long password",
    }

    async def test_a_user_is_made_changed_and_removed_and_no_password_is_shown(
        self, account: Account
    ) -> None:
        made = await account.admin.post("/users", self.BODY)
        assert made.status == 201
        assert set(made.json) == {"id", "email", "name", "role", "created_at"}
        path = f"/users/{made.json['id']}"
        assert (await account.admin.patch(path, {"role": "viewer"})).json["role"] == "viewer"
        assert (await account.admin.delete(path)).status == 204

    async def test_the_last_admin_stays(self, account: Account) -> None:
        (row,) = (await account.admin.get("/users")).json["data"]
        assert (await account.admin.delete(f"/users/{row['id']}")).status == 409
        assert (await account.admin.patch(f"/users/{row['id']}", {"role": "viewer"})).status == 409

    async def test_an_email_that_is_taken_and_a_short_password_are_refused(self, account: Account) -> None:
        taken = await account.admin.post("/users", self.BODY | {"email": "OFFICE@harbourlane.example"})
        assert (taken.status, taken.fields) == (422, ["email"])
        short = await account.admin.post("/users", self.BODY | {"password": "short"})
        assert (short.status, short.fields) == (422, ["password"])

    async def test_only_admins_see_users_and_keys(self, account: Account) -> None:
        for client in (account.technician, account.viewer, account.switch):
            assert (await client.get("/users")).status == 403
            assert (await client.get("/api-keys")).status == 403


class TestApiKeys:
    async def test_a_key_is_shown_once_works_and_is_refused_once_removed(self, account: Account) -> None:
        made = await account.admin.post("/api-keys", {"name": "monitor", "role": "viewer"})
        assert made.status == 201 and made.json["key"].startswith("ppk_")
        headers = {"Authorization": f"Bearer {made.json['key']}"}
        assert (await account.nobody.get("/account", headers)).status == 200
        listed = (await account.admin.get("/api-keys")).json["data"][0]
        assert "key" not in listed and listed["last_used_at"] is not None
        assert (await account.admin.delete(f"/api-keys/{made.json['id']}")).status == 204
        assert (await account.nobody.get("/account", headers)).status == 401
