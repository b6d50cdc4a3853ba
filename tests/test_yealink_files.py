"""What a Yealink is served: each of its files, by model, firmware and the account's settings."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from datetime import date
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, get_args

import pytest

from button_templates.layout import TYPES, Button
from provisioning.errors import RenderError
from provisioning.phones.options import Codec, Language, Options, resolve
from provisioning.phones.phone import Line, Phone, Site
from provisioning.phones.vendor import load_vendors, split_mac

YEALINK = load_vendors()["yealink"]
DATA = Path(__file__).parent / "vendor_data"
MODELS = sorted(YEALINK.models)
TRUTH = {row["model"]: row for row in json.loads((DATA / "yealink_models.json").read_text())["models"]}
AGENTS = json.loads((DATA / "yealink_user_agents.json").read_text())
DICTIONARY = json.loads((DATA / "yealink_params.json").read_text())
PAIRED = frozenset(DICTIONARY["paired"])

TODAY = date(2026, 7, 1)
URL = "https://phones.example.com/p/ppt0123456789abcdefghjkmnpqrstvwxyz012345678/"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIUabc+/def==\n-----END CERTIFICATE-----\n"
# Every option that may be left unset.
ALL_SET: dict[str, Any] = {
    "sip_backup_server": "sip2.example.com",
    "outbound_proxy": "edge.example.com:5070",
    "vlan_id": 20,
    "park_code": "*68",
    "pickup_code": "*97",
    "voicemail_number": "*98",
    "intercom_prefix": "*80",
    "record_code": "*1",
    "dial_plan": "[2-8]xxxT|0T",
    "transport_trust": "custom",
    "transport_ca": CERTIFICATE,
}
TARGETS: dict[str, dict[str, Any]] = {
    "line": {"line": 1},
    "blf": {"extension": "4202"},
    "speed_dial": {"number": "+12075550100"},
    "park": {"slot": "701"},
    "shared_voicemail": {"mailbox": "4299"},
    "intercom": {"extension": "4203"},
    "multicast_page": {"address": "224.0.1.80", "port": 10000},
    "dtmf": {"digits": "123#"},
    "url": {"url": "https://example.com/door?open=1&by=2"},
}
CODES = {
    "none": "0", "conference": "1", "forward": "2", "transfer": "3", "dnd": "5", "park": "10",
    "record": "11", "dtmf": "11", "voicemail": "12", "speed_dial": "13", "intercom": "14", "line": "15",
    "blf": "16", "shared_voicemail": "16", "url": "17", "multicast_page": "24",
}  # fmt: skip


def line(index: int = 1, **fields: Any) -> Line:
    extension = f"42{index:02}"
    given = {"display_name": "Ann Lee", "sip_username": extension, "sip_password": "k3?yTq&1", **fields}
    return Line(index, extension, **given)


def phone(
    model: str,
    *,
    lines: Sequence[Line] = (line(),),
    buttons: Sequence[Button] = (),
    zone: str = "America/New_York",
    mac: str = "805ec0aabbcc",
    extension_length: int = 4,
    url: str = URL,
    **options: Any,
) -> Phone:
    return YEALINK.phone(
        mac=mac,
        model=YEALINK.models[model],
        lines=lines,
        template=buttons,
        extension_length=extension_length,
        options=resolve(Options(**{"sip_server": "sip.example.com", **options})),
        zone=zone,
        today=TODAY,
        admin_password="739204816355",
        url=url,
    )


def full_phone(model: str) -> Phone:
    """A phone with all that it can have: lines, keys, modules and options."""
    it = YEALINK.models[model]
    kinds = [t for t in TYPES if t != "none"]
    slots = list(YEALINK.face(it).slots(99))[: 2 * it.line_keys]
    modules = list(YEALINK.face(it).slots(YEALINK.face(it).modules))[it.line_keys :: 13]
    buttons = [
        Button.model_validate(
            {"module": m, "position": n, "type": kind, "label": "Up & down", "target": TARGETS.get(kind, {})}
        )
        for (m, n), kind in zip([*slots[: it.line_keys], *modules], kinds * 30, strict=False)
    ]
    return phone(model, lines=[line(n) for n in range(1, it.lines + 1)], buttons=buttons, **ALL_SET)


def served(it: Phone, suffix: str = ".cfg") -> str:
    return YEALINK.render(YEALINK.files[suffix], it).decode()


def pairs(text: str) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, _, value in (row.partition(" = ") for row in text.splitlines() if row and row[0] != "#")
    ]


def settings(it: Phone) -> dict[str, str]:
    return dict(pairs(served(it)))


@cache
def full_rows(model: str) -> tuple[tuple[str, str], ...]:
    return tuple(pairs(served(full_phone(model))))


@cache
def bare_rows(model: str) -> tuple[tuple[str, str], ...]:
    return tuple(pairs(served(phone(model, lines=[]))))


def generations(model: str) -> tuple[int, int]:
    first, _, last = TRUTH[model]["generations"].replace("V", "").partition("-")
    return int(first.replace("x", "0")), int((last or first).replace("x", "9"))


OLD_ONLY = [m for m in MODELS if generations(m)[1] < 81]
BOTH = [m for m in MODELS if generations(m)[0] < 81 <= generations(m)[1]]
NEW_ONLY = [m for m in MODELS if generations(m)[0] >= 81]


class TestModels:
    def test_every_model_that_is_no_dect_or_handset_is_there_as_the_reference_has_it(self) -> None:
        told = {
            m.name: (m.line_keys, m.lines, list(m.facts["generations"]), m.facts.get("common_cfg"))
            for m in YEALINK.models.values()
        }
        assert told == {
            name: (row["line_keys"] or 0, row["max_accounts"], list(generations(name)), row["common_cfg"])
            for name, row in TRUTH.items()
        }
        assert not [name for name in told if re.match(r"W|AX|CP930W", name)]

    @pytest.mark.parametrize("model", MODELS)
    def test_modules_have_the_keys_that_the_reference_gives_them(self, model: str) -> None:
        assert {
            e.name: (e.keys, e.modules, sorted(e.reserved)) for e in YEALINK.models[model].expansions
        } == {
            name: (e["keys"], e["max_modules"], e.get("reserved", []))
            for name, e in TRUTH[model]["expansion"].items()
        }

    def test_a_family_is_the_series_that_a_model_is_named_after(self) -> None:
        assert {m.family for m in YEALINK.models.values()} == {"T2", "T3", "T4", "T5", "T7", "T8", "CP", "VP"}
        assert YEALINK.models["T46S"].family == "T4"
        assert YEALINK.models["CP960"].family == "CP"

    def test_a_vendor_prefix_of_the_mac_tells_a_yealink(self) -> None:
        assert YEALINK.ouis == set(AGENTS["ouis"])

    def test_our_words_all_have_one_of_the_vendors(self) -> None:
        words = YEALINK.data["words"]
        assert set(words["language"]) == set(get_args(Language))
        assert set(words["codecs"]) == set(get_args(Codec))
        assert {t: str(b["type"]) for t, b in YEALINK.data["buttons"].items()} == CODES
        assert set(CODES) == set(TYPES)


class TestUserAgents:
    @pytest.mark.parametrize("sample", AGENTS["samples"], ids=lambda s: str(s["user_agent"]))
    def test_a_phone_is_told_by_its_user_agent(self, sample: dict[str, str]) -> None:
        claim = YEALINK.claim(sample["user_agent"])
        assert claim is not None
        assert (claim.mac, claim.firmware) == (sample.get("mac"), sample["firmware"])
        known = {"VP530P": "VP530", "T18": "T18P"}.get(sample["model"], sample["model"])
        assert claim.model == (known if known in TRUTH else None)

    @pytest.mark.parametrize("text", AGENTS["must_not_match"])
    def test_others_are_no_yealink(self, text: str) -> None:
        assert YEALINK.claim(text) is None

    @pytest.mark.parametrize("model", MODELS)
    def test_each_model_is_told_by_the_token_that_the_reference_has_for_it(self, model: str) -> None:
        for token in TRUTH[model]["user_agent_tokens"]:
            if token == "SIP-T58":  # what a T58A and a T58V both say
                continue
            claim = YEALINK.claim(f"Yealink {token.removeprefix('yealink ')} 1.84.0.15 80:5e:c0:aa:bb:cc")
            assert claim is not None
            assert claim.model == model

    def test_what_two_models_say_names_neither(self) -> None:
        claim = YEALINK.claim("Yealink SIP-T58 58.80.0.25 80:5e:c0:aa:bb:cc")
        assert claim is not None
        assert claim.model is None


class TestBootFile:
    def test_it_includes_the_phones_own_file_and_resets_what_that_leaves_out(self) -> None:
        assert served(phone("T46S"), ".boot") == (
            '#!version:1.0.0.1\ninclude:config "805ec0aabbcc.cfg"\noverwrite_mode = 1\n'
        )

    @pytest.mark.parametrize("model", MODELS)
    def test_it_is_there_for_models_that_may_run_v81_or_later(self, model: str) -> None:
        assert (YEALINK.file(".boot", YEALINK.models[model]) is not None) is (model not in OLD_ONLY)

    def test_there_is_no_boot_file_for_all_phones_beside_the_common_file_of_the_t28p(self) -> None:
        assert YEALINK.shared_file("y000000000000.boot") is None
        assert YEALINK.shared_file("y000000000000.cfg") is not None
        assert split_mac("y000000000000.cfg") is None
        assert split_mac("y000000000000.boot") is None


class TestSharedFiles:
    def test_any_common_file_is_the_same_and_holds_the_address_alone(self) -> None:
        site = Site(URL, resolve(Options(sip_server="sip.example.com", **ALL_SET)))
        for name in ("y000000000066.cfg", "y000000000999.cfg"):
            file = YEALINK.shared_file(name)
            assert file is not None
            assert YEALINK.render(file, site).decode() == (
                "#!version:1.0.0.1\n"
                f"auto_provision.server.url = {URL}\n"
                f"static.auto_provision.server.url = {URL}\n"
            )

    @pytest.mark.parametrize("model", MODELS)
    def test_a_model_asks_for_its_own_common_file_where_that_is_known(self, model: str) -> None:
        files = {name for name, *_ in YEALINK.file_names(phone(model))}
        boot = set() if model in OLD_ONLY else {"805ec0aabbcc.boot"}
        assert files == boot | {"805ec0aabbcc.cfg"} | ({TRUTH[model]["common_cfg"]} - {None})

    @pytest.mark.parametrize("name", ["y00000000066.cfg", "y000000000066.cfg.bak", "xy000000000066.cfg"])
    def test_other_names_are_no_common_file(self, name: str) -> None:
        assert YEALINK.shared_file(name) is None

    def test_the_accounts_own_ca_can_be_fetched_line_by_line_as_it_was_given(self) -> None:
        made = phone("T46S", transport_ca=CERTIFICATE * 2)
        file = YEALINK.file("-ca.crt", made.model)
        assert file is not None and file.exists_for(made)
        assert YEALINK.render(file, made).decode() == CERTIFICATE * 2
        assert not file.exists_for(phone("T46S"))

    def test_the_phone_may_write_the_files_that_it_reads_back_and_its_logs(self) -> None:
        uploads = {suffix for suffix, file in YEALINK.files.items() if file.upload}
        assert uploads == {"-local.cfg", "-contact.xml", "-calllog.xml", "-boot.log", "-sys.log"}


class TestWholeFiles:
    def test_a_t46s_with_two_lines_and_keys(self) -> None:
        buttons = [
            Button(position=2, type="blf", label="Bob & Co", target={"extension": "4205"}),
            Button(position=4, type="multicast_page", label="Page", target=TARGETS["multicast_page"]),
            Button(module=1, position=40, type="speed_dial", label="Door", target={"number": "4250"}),
        ]
        it = phone("T46S", lines=[line(1), line(2)], buttons=buttons, pickup_code="*97", vlan_id=20)
        assert served(it) == (DATA / "yealink-t46s.cfg").read_text()

    def test_a_t20p_which_knows_no_boot_file_is_told_what_to_forget(self) -> None:
        buttons = [Button(position=2, type="park", label="Park 1", target={"slot": "701"})]
        assert (
            served(phone("T20P", buttons=buttons, zone="Asia/Kolkata"))
            == (DATA / "yealink-t20p.cfg").read_text()
        )


@pytest.mark.parametrize("model", MODELS)
class TestEveryModel:
    def test_two_renders_are_equal(self, model: str) -> None:
        assert served(full_phone(model)) == served(full_phone(model))

    def test_the_first_line_is_the_version_and_lines_end_in_lf_without_a_bom(self, model: str) -> None:
        for suffix in (".cfg", ".boot"):
            body = YEALINK.render(YEALINK.files[suffix], full_phone(model))
            assert body.startswith(b"#!version:1.0.0.1\n")
            assert b"\r" not in body
            assert body.endswith(b"\n")

    def test_every_name_is_in_the_vendors_dictionary(self, model: str) -> None:
        known = _known()
        for name, _ in full_rows(model) + bare_rows(model):
            assert _general(name) in known

    def test_no_value_is_blank_and_no_name_is_there_twice_but_one_password_a_user(self, model: str) -> None:
        for rows in (full_rows(model), bare_rows(model)):
            assert [name for name, value in rows if not value.strip()] == []
            twice = {name for name, count in Counter(name for name, _ in rows).items() if count > 1}
            assert twice <= {"security.user_password", "static.security.user_password"}

    def test_device_settings_have_the_names_of_each_firmware_that_the_model_may_run(self, model: str) -> None:
        rows = full_rows(model)
        bare = [(name, value) for name, value in rows if name in PAIRED]
        static = [(name.removeprefix("static."), value) for name, value in rows if name[:7] == "static."]
        paired = [(name, value) for name, value in static if name in PAIRED]
        if model in OLD_ONLY:
            assert (len(bare) > 20, static) == (True, [])
        elif model in NEW_ONLY:
            assert (bare, len(paired) > 20) == ([], True)
        else:
            assert bare == paired

    def test_the_names_of_v70_are_there_for_models_that_ran_v72_or_older(self, model: str) -> None:
        told = dict(full_rows(model))
        oldest = generations(model)[0] <= 72
        assert ("account.1.sip_server_host" in told) is oldest
        assert ("account.1.codec.1.payload_type" in told) is oldest
        assert ("auto_provision.mode" in told) is oldest
        assert told["account.1.sip_server.1.address"] == "sip.example.com"

    def test_every_slot_of_the_phone_and_of_its_modules_is_said(self, model: str) -> None:
        it = full_phone(model)
        told = dict(full_rows(model))
        slots = {(key.module, key.position) for key in it.slots}
        assert {_slot(name) for name in told if name.endswith(".type") and _slot(name)} == slots
        assert told.get("linekey.1.type") == ("15" if it.model.line_keys else None)

    def test_a_phone_without_keys_is_told_that_its_slots_are_free(self, model: str) -> None:
        it = phone(model, lines=[])
        told = dict(bare_rows(model))
        said = [name.removesuffix(".type") for name in told if name.endswith(".type") and _slot(name)]
        assert {told[f"{slot}.type"] for slot in said} <= {"0"}
        modules = it.face.modules if model not in NEW_ONLY else 0
        assert len(said) == len(list(it.face.slots(modules)))

    def test_every_account_beyond_the_lines_is_off_and_without_credentials(self, model: str) -> None:
        it = phone(model, lines=[])
        told = dict(bare_rows(model))
        for n in range(1, it.model.lines + 1):
            assert told[f"account.{n}.enable"] == "0"
            for key in ("user_name", "auth_name", "password"):
                assert told[f"account.{n}.{key}"] == "%NULL%"

    def test_nothing_that_was_ever_told_stays_when_it_is_gone(self, model: str) -> None:
        """Without a boot file every name must be sent again; with one, those that it does not reset."""
        full, bare = {name for name, _ in full_rows(model)}, {name for name, _ in bare_rows(model)}
        if model in NEW_ONLY:
            assert {n for n in full ^ bare if n[:7] == "static."} == set()
        else:
            assert full == bare

    def test_no_programmable_key_is_set_so_none_in_a_hole(self, model: str) -> None:
        assert not [name for name, _ in full_rows(model) if "programablekey" in name]

    def test_a_file_holds_one_address_only(self, model: str) -> None:
        text = served(phone(model, url="https://new.example.com/p/next/"))
        assert "/p/" in text
        assert set(re.findall(r"https?://\S+", text)) == {"https://new.example.com/p/next/"}


class TestValues:
    def test_every_character_of_a_sip_password_arrives(self) -> None:
        password = "".join(map(chr, range(33, 127)))
        told = settings(phone("T46S", lines=[line(sip_password=password, display_name='Ann <&> "O\'Hara"')]))
        assert told["account.1.password"] == password
        assert told["account.1.display_name"] == 'Ann <&> "O\'Hara"'

    @pytest.mark.parametrize("char", ["\n", "\r", "\x00", "\x85", "\u2028", "\u2029"])
    @pytest.mark.parametrize("field", ["display_name", "sip_password", "sip_username", "label", "url"])
    def test_no_line_break_gets_into_a_file(self, field: str, char: str) -> None:
        text = f"Ann{char}static.auto_provision.server.url = http://evil.example"
        if field == "label":
            key = Button.model_construct(
                module=0, position=2, type="blf", label=text, target={"extension": "4202"}
            )
            it = phone("T46S", buttons=[key])
        elif field == "url":
            it = phone("T46S", url=URL + text)
        else:
            given: dict[str, Any] = {field: text}
            it = phone("T46S", lines=[line(**given)])
        with pytest.raises(RenderError, match="cannot carry"):
            served(it)

    @pytest.mark.parametrize("word", ["%NULL%", "%null%", "a%EMPTY%b"])
    def test_no_text_of_a_person_clears_a_setting(self, word: str) -> None:
        with pytest.raises(RenderError, match="clear a setting"):
            served(phone("T46S", lines=[line(display_name=word)]))

    def test_all_three_users_have_the_admin_password_after_their_names(self) -> None:
        rows = [name for name, _ in pairs(served(phone("T46S"))) if name.startswith("static.security.user")]
        assert (
            rows
            == [f"static.security.user_name.{user}" for user in ("admin", "user", "var")]
            + ["static.security.user_password"] * 3
        )
        passwords = [value for name, value in pairs(served(phone("T46S"))) if name.endswith("user_password")]
        assert passwords == ["admin:739204816355", "user:739204816355", "var:739204816355"]


class TestAddress:
    @pytest.mark.parametrize("url", [URL, "http://10.0.0.1:8080/x//p/a-b/?q=%24&r=1/"])
    def test_the_phone_is_told_its_address_byte_for_byte(self, url: str) -> None:
        assert settings(phone("T46S", url=url))["static.auto_provision.server.url"] == url
        assert settings(phone("T20P", url=url))["auto_provision.server.url"] == url

    def test_a_phone_that_has_an_address_takes_none_from_its_network(self) -> None:
        told = settings(phone("T46S"))
        for name in ("auto_provision.dhcp_option.enable", "auto_provision.pnp_enable", "zero_touch.enable"):
            assert told[f"static.{name}"] == "0"

    @pytest.mark.parametrize(
        ("minutes", "flexible", "days", "repeat"),
        [(1440, "1", "1", "0"), (4320, "1", "3", "0"), (10080, "1", "7", "0"), (60, "0", "1", "1")],
    )
    def test_new_firmware_checks_in_the_window_of_every_nth_day(
        self, minutes: int, flexible: str, days: str, repeat: str
    ) -> None:
        told = settings(phone("T46S", poll_minutes=minutes, poll_window="01:30-04:00"))
        assert told["static.auto_provision.flexible.enable"] == flexible
        assert told["static.auto_provision.flexible.interval"] == days
        assert told["static.auto_provision.flexible.begin_time"] == "01:30"
        assert told["static.auto_provision.flexible.end_time"] == "04:00"
        assert told["static.auto_provision.repeat.enable"] == repeat
        assert told["static.auto_provision.repeat.minutes"] == str(minutes)
        assert told["static.auto_provision.weekly.enable"] == "0"

    @pytest.mark.parametrize(
        ("minutes", "mode", "weekly", "weekdays"),
        [(1440, "7", "1", "0123456"), (10080, "7", "1", "6"), (60, "6", "0", "0123456")],
    )
    def test_old_firmware_checks_in_the_window_of_every_day_or_of_the_day_of_its_mac(
        self, minutes: int, mode: str, weekly: str, weekdays: str
    ) -> None:
        told = settings(phone("T20P", mac="001565000006", poll_minutes=minutes))
        day = weekdays if len(weekdays) > 1 else str(0x001565000006 % 7)
        assert told["auto_provision.mode"] == mode
        assert told["auto_provision.weekly.enable"] == weekly
        assert told["auto_provision.weekly.mask"] == told["auto_provision.weekly.dayofweek"] == day
        assert told["auto_provision.weekly.begin_time"] == "02:00"
        assert told["auto_provision.repeat.enable"] == ("0" if weekly == "1" else "1")

    def test_a_model_of_both_has_one_schedule_only(self) -> None:
        told = settings(phone("T46G"))
        assert told["static.auto_provision.weekly.enable"] == "1"
        assert told["static.auto_provision.flexible.enable"] == "0"

    def test_a_resync_restarts_a_phone_only_when_it_says_so(self) -> None:
        assert settings(phone("T46S"))["sip.notify_reboot_enable"] == "0"


class TestLines:
    def test_a_line_registers_at_the_server_with_the_backup_behind_it(self) -> None:
        told = settings(
            phone(
                "T28P",
                sip_backup_server="sip2.example.com:5070",
                sip_transport="tls",
                sip_port=5061,
                srtp="required",
                register_expires=600,
            )
        )
        assert told["account.1.sip_server.1.address"] == "sip.example.com"
        assert told["account.1.sip_server.1.port"] == "5061"
        assert told["account.1.sip_server.2.address"] == "sip2.example.com"
        assert told["account.1.sip_server.2.port"] == "5070"
        assert told["account.1.sip_server.2.transport_type"] == told["account.1.transport"] == "2"
        assert told["account.1.sip_server.1.expires"] == told["account.1.expires"] == "600"
        assert told["account.1.srtp_encryption"] == "2"
        assert told["account.1.sip_server_host"] == "sip.example.com"
        assert told["account.1.backup_sip_server_host"] == "sip2.example.com"
        assert told["account.1.outbound_proxy_enable"] == "0"

    def test_dns_decides_the_port_as_well(self) -> None:
        told = settings(phone("T46S", sip_transport="dns"))
        assert told["account.1.sip_server.1.transport_type"] == "3"
        assert told["account.1.sip_server.1.port"] == "0"

    def test_an_outbound_proxy_is_between(self) -> None:
        told = settings(phone("T46S", outbound_proxy="edge.example.com:5070"))
        assert told["account.1.sip_server.1.address"] == "sip.example.com"
        assert told["account.1.outbound_proxy_enable"] == "1"
        assert told["account.1.outbound_proxy.1.address"] == "edge.example.com"
        assert told["account.1.outbound_proxy.1.port"] == "5070"

    def test_a_domain_of_another_name_is_registered_at_and_the_servers_are_the_way_there(self) -> None:
        told = settings(phone("T46S", sip_domain="example.com", sip_backup_server="sip2.example.com"))
        assert told["account.1.sip_server.1.address"] == "example.com"
        assert "account.1.sip_server.2.address" not in told
        assert told["account.1.outbound_proxy.1.address"] == "sip.example.com"
        assert told["account.1.outbound_proxy.2.address"] == "sip2.example.com"

    def test_without_a_server_there_is_no_file(self) -> None:
        it = YEALINK.phone(
            mac="805ec0aabbcc",
            model=YEALINK.models["T46S"],
            lines=[line()],
            extension_length=4,
            options=resolve(),
            zone="UTC",
            today=TODAY,
            admin_password="739204816355",
            url=URL,
        )
        with pytest.raises(RenderError, match="not set"):
            served(it)

    def test_codecs_are_offered_in_their_order_and_the_others_are_off(self) -> None:
        told = settings(phone("T28P", codecs=["ilbc", "g722", "pcma"]))
        offered = {
            name.split(".")[3]: int(told[name.replace("enable", "priority")])
            for name, value in told.items()
            if re.fullmatch(r"account\.1\.codec\.[a-z]\w+\.enable", name) and value == "1"
        }
        assert sorted(offered, key=offered.__getitem__) == [
            "ilbc", "ilbc_13_33kbps", "ilbc_15_2kbps", "g722", "pcma",
        ]  # fmt: skip
        assert len(set(offered.values())) == 5
        assert told["account.1.codec.opus.enable"] == "0"
        numbered = {
            told[f"account.1.codec.{n}.payload_type"]: told[f"account.1.codec.{n}.priority"]
            for n in range(1, 8)
            if told.get(f"account.1.codec.{n}.enable") == "1"
        }
        assert numbered == {"iLBC": "1", "G722": "2", "PCMA": "3"}

    def test_voicemail_is_for_lines_that_have_it(self) -> None:
        it = phone("T46S", lines=[line(1), line(2, voicemail_enabled=False)], voicemail_number="*98")
        told = settings(it)
        assert (told["voice_mail.number.1"], told["account.1.subscribe_mwi"]) == ("*98", "1")
        assert (told.get("voice_mail.number.2"), told["account.2.subscribe_mwi"]) == (None, "0")

    def test_a_line_keeps_its_number_when_another_is_gone(self) -> None:
        told = settings(phone("T46S", lines=[line(2)]))
        assert (told["account.1.enable"], told["account.2.enable"]) == ("0", "1")


class TestDialPlan:
    @pytest.mark.parametrize("length", [3, 4, 5, 6])
    def test_every_extension_is_dialed_by_its_length_and_every_other_number_too(self, length: int) -> None:
        text = settings(phone("T46S", extension_length=length))["dialplan.digitmap.string"]
        first, second, *others = text.split("|")
        assert (first, second) == ("911", "933")
        patterns = [re.compile(_regex(pattern)) for pattern in others]
        extensions = [re.compile(_regex(p)) for p in others if "." not in p]
        assert len(extensions) == 4
        for digits in map("".join, product("0123456789", repeat=length)):
            emergency = digits.startswith(("911", "933"))
            assert any(p.fullmatch(digits) for p in extensions) is not emergency
            assert any(p.fullmatch(digits) for p in patterns) is not emergency
        assert not any(p.fullmatch(d) for p in extensions for d in ("12", "1234567"))
        for number in ("0", "12075550100", "01144207946000", "*97", "**701", "#1", "+442079460000"):
            assert any(p.fullmatch(number) for p in patterns)

    @pytest.mark.parametrize(
        ("length", "own"), [(3, "[0-8]xxT|9[024-9]xT|91[02-9]T"), (6, "[0-8]xxxxxT|9[024-9]xxxxT")]
    )
    def test_the_patterns_grow_with_the_length(self, length: int, own: str) -> None:
        told = settings(phone("T46S", extension_length=length))
        assert told["dialplan.digitmap.string"].startswith(f"911|933|{own}")

    def test_a_plan_of_ones_own_takes_the_place_of_all_but_the_emergency_numbers(self) -> None:
        told = settings(phone("T46G", dial_plan="[1-8]XXXT|0T|T"))
        assert told["dialplan.digitmap.string"] == "911|933|[1-8]xxxT|0T|T"
        rules = [told[f"dialplan.dialnow.rule.{n}"] for n in range(1, 6)]
        # What is open or one digit long waits for the send key: a rule has no timer of its own.
        assert rules == ["911", "933", "[1-8]xxx", "%NULL%", "%NULL%"]

    @pytest.mark.parametrize("length", [3, 6])
    def test_old_firmware_has_rules_with_the_emergency_numbers_first_and_hardly_waits(
        self, length: int
    ) -> None:
        told = settings(phone("T20P", extension_length=length))
        rules = [told[f"dialplan.dialnow.rule.{n}"] for n in range(1, 21)]
        assert rules == ["911", "933", "x" * length, *["%NULL%"] * 17]
        assert told["phone_setting.dialnow_delay"] == "1"
        assert "dialplan.digitmap.string" not in told

    def test_more_alternatives_than_there_are_rules_do_not_push_out_the_emergency_numbers(self) -> None:
        told = settings(phone("T20P", dial_plan="|".join(f"{n}x" for n in range(10, 40))))
        assert told["dialplan.dialnow.rule.1"] == "911"
        assert told["dialplan.dialnow.rule.20"] == "27x"
        assert "dialplan.dialnow.rule.21" not in told

    def test_emergency_numbers_go_to_the_server_and_from_a_locked_phone(self) -> None:
        told = settings(phone("T46S", sip_backup_server="sip2.example.com", sip_transport="tcp"))
        emergency = {n: v for n, v in told.items() if n.startswith("dialplan.emergency.")}
        assert emergency == {
            "dialplan.emergency.enable": "1",
            "dialplan.emergency.1.value": "911",
            "dialplan.emergency.1.server_priority": "1,2",
            "dialplan.emergency.2.value": "933",
            "dialplan.emergency.2.server_priority": "1,2",
            "dialplan.emergency.server.1.address": "sip.example.com",
            "dialplan.emergency.server.1.port": "5060",
            "dialplan.emergency.server.1.transport_type": "1",
            "dialplan.emergency.server.2.address": "sip2.example.com",
            "dialplan.emergency.server.2.port": "5060",
            "dialplan.emergency.server.2.transport_type": "1",
        }
        assert told["phone_setting.emergency.number"] == "911,933"

    def test_emergency_calls_take_the_outbound_proxy_where_there_is_one(self) -> None:
        told = settings(phone("T46S", outbound_proxy="edge.example.com"))
        assert told["dialplan.emergency.server.1.address"] == "edge.example.com"


class TestKeys:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("line", {"type": "15", "line": "1", "label": "L"}),
            ("blf", {"type": "16", "line": "1", "value": "4202", "extension": "*97", "pickup_value": "*97"}),
            ("speed_dial", {"type": "13", "line": "1", "value": "+12075550100"}),
            ("park", {"type": "10", "line": "1", "value": "701"}),
            ("voicemail", {"type": "12", "line": "1", "value": "*98"}),
            (
                "shared_voicemail",
                {"type": "16", "line": "1", "value": "4299", "extension": "4299", "pickup_value": "4299"},
            ),
            ("dnd", {"type": "5"}),
            ("forward", {"type": "2"}),
            ("transfer", {"type": "3", "line": "1"}),
            ("conference", {"type": "1", "line": "1"}),
            ("intercom", {"type": "14", "line": "1", "value": "*804203"}),
            ("multicast_page", {"type": "24", "value": "224.0.1.80:10000"}),
            ("record", {"type": "11", "line": "1", "value": "*1"}),
            ("dtmf", {"type": "11", "line": "1", "value": "123#"}),
            ("url", {"type": "17", "value": "https://example.com/door?open=1&by=2"}),
        ],
    )
    @pytest.mark.parametrize("prefix", ["linekey.3.", "expansion_module.1.key.3."])
    def test_a_key_of_each_kind(self, prefix: str, kind: str, expected: dict[str, str]) -> None:
        module = int(prefix.startswith("exp"))
        button = Button.model_validate(
            {"module": module, "position": 3, "type": kind, "label": "L", "target": TARGETS.get(kind, {})}
        )
        told = settings(phone("T46S", buttons=[button], **ALL_SET))
        fields = {n.removeprefix(prefix): v for n, v in told.items() if n.startswith(prefix)}
        assert fields == {"label": "L", **expected}

    @pytest.mark.parametrize("kind", ["forward", "transfer"])
    def test_forward_and_transfer_may_have_a_number(self, kind: str) -> None:
        button = Button.model_validate({"position": 2, "type": kind, "target": {"number": "4250"}})
        assert settings(phone("T46S", buttons=[button]))["linekey.2.value"] == "4250"
        bare = Button.model_validate({"position": 2, "type": kind, "target": {"number": None}})
        assert "linekey.2.value" not in settings(phone("T46S", buttons=[bare]))

    def test_blf_keys_of_t32g_and_t38g_count_lines_from_0_and_line_keys_do_not(self) -> None:
        buttons = [
            Button(position=1, type="line", target={"line": 1}),
            Button(position=2, type="blf", target={"extension": "4202"}),
            Button(position=3, type="speed_dial", target={"number": "4203"}),
        ]
        for model, first in (("T38G", "0"), ("T32G", "0"), ("T28P", "1")):
            told = settings(phone(model, buttons=buttons))
            assert [told[f"linekey.{n}.line"] for n in (1, 2, 3)] == ["1", first, "1"]

    def test_a_line_key_works_on_its_own_account(self) -> None:
        told = settings(phone("T46S", lines=[line(1), line(2)]))
        assert (told["linekey.2.type"], told["linekey.2.line"]) == ("15", "2")

    def test_keys_beyond_the_model_are_reported_and_not_sent(self) -> None:
        buttons = [
            Button(position=16, type="dnd"),
            Button(module=1, position=1, type="dnd"),
            Button(position=15, type="dnd"),
        ]
        it = phone("T42S", buttons=buttons)
        assert [w.split(":")[0] for w in it.warnings] == ["key 0/16 (dnd)", "key 1/1 (dnd)"]
        assert [n for n, v in settings(it).items() if n.endswith(".type") and v == "5"] == ["linekey.15.type"]

    def test_key_21_of_an_exp20_belongs_to_the_module(self) -> None:
        buttons = [Button(module=1, position=n, type="dnd") for n in (20, 21, 22)]
        it = phone("T27G", buttons=buttons)
        assert len(it.warnings) == 1
        told = settings(it)
        assert told["expansion_module.1.key.20.type"] == told["expansion_module.1.key.22.type"] == "5"
        assert "expansion_module.1.key.21.type" not in told

    @pytest.mark.parametrize("model", ["T46S", "T46G", "T28P"])
    def test_a_key_that_was_removed_is_free(self, model: str) -> None:
        button = Button(position=3, type="blf", label="Bob", target={"extension": "4202"})
        before = settings(phone(model, buttons=[button], pickup_code="*97"))
        after = settings(phone(model, pickup_code="*97"))
        assert (before["linekey.3.type"], after["linekey.3.type"]) == ("16", "0")
        rest = {after.get(f"linekey.3.{f}") for f in ("line", "value", "label", "extension", "pickup_value")}
        assert rest == ({None} if model in NEW_ONLY else {"%NULL%"})

    def test_a_phone_listens_to_the_groups_that_its_keys_page_once_each(self) -> None:
        targets = [("224.0.1.80", 10000), ("224.0.1.81", 10000), ("224.0.1.80", 10000)]
        buttons = [
            Button(position=n, type="multicast_page", label=f"P{n}", target={"address": a, "port": p})
            for n, (a, p) in enumerate(targets, 2)
        ]
        told = settings(phone("T46S", buttons=buttons))
        assert {n: v for n, v in told.items() if n.startswith("multicast.")} == {
            "multicast.listen_address.1.ip_address": "224.0.1.80:10000",
            "multicast.listen_address.1.label": "P2",
            "multicast.listen_address.2.ip_address": "224.0.1.81:10000",
            "multicast.listen_address.2.label": "P3",
        }


class TestClock:
    @pytest.mark.parametrize(
        ("zone", "offset", "start", "end", "saving"),
        [
            ("America/New_York", "-5", "3/2/7/2", "11/1/7/2", "60"),
            ("Australia/Sydney", "+10", "10/1/7/2", "4/1/7/3", "60"),
            ("Australia/Lord_Howe", "+10:30", "10/1/7/2", "4/1/7/2", "30"),
            ("Europe/Bucharest", "+2", "3/5/7/3", "10/5/7/4", "60"),
            ("America/St_Johns", "-3:30", "3/2/7/2", "11/1/7/2", "60"),
        ],
    )
    def test_daylight_time_is_told_by_its_rules(
        self, zone: str, offset: str, start: str, end: str, saving: str
    ) -> None:
        told = settings(phone("T46S", zone=zone))
        assert told["local_time.time_zone"] == offset
        assert (told["local_time.summer_time"], told["local_time.dst_time_type"]) == ("1", "1")
        assert (told["local_time.start_time"], told["local_time.end_time"]) == (start, end)
        assert told["local_time.offset_time"] == saving

    @pytest.mark.parametrize(
        ("zone", "offset"),
        [
            ("Asia/Kolkata", "+5:30"),
            ("America/Phoenix", "-7"),
            ("UTC", "0"),
            ("Asia/Kathmandu", "+5:45"),
            ("Africa/Casablanca", "+1"),
            ("Pacific/Marquesas", "-9:30"),
            # Changes at a quarter to three, which no hour can tell: today's offset, and a warning.
            ("Pacific/Chatham", "+12:45"),
        ],
    )
    def test_without_rules_daylight_time_is_off_and_forgotten(self, zone: str, offset: str) -> None:
        told = settings(phone("T46S", zone=zone))
        assert (told["local_time.time_zone"], told["local_time.summer_time"]) == (offset, "0")
        assert "local_time.start_time" not in told
        old = settings(phone("T20P", zone=zone))
        for key in ("dst_time_type", "start_time", "end_time", "offset_time"):
            assert old[f"local_time.{key}"] == "%NULL%"

    @pytest.mark.parametrize(
        ("options", "name", "value"),
        [
            ({"ntp_server": "ntp.example.com"}, "local_time.ntp_server1", "ntp.example.com"),
            ({"time_format": "12h"}, "local_time.time_format", "0"),
            ({"time_format": "24h"}, "local_time.time_format", "1"),
            ({"date_format": "ymd"}, "local_time.date_format", "2"),
            ({"date_format": "dmy"}, "local_time.date_format", "3"),
            ({"date_format": "mdy"}, "local_time.date_format", "4"),
        ],
    )
    def test_its_server_and_its_forms(self, options: dict[str, Any], name: str, value: str) -> None:
        assert settings(phone("T46S", **options))[name] == value


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"vlan_id": 20}, {"static.network.vlan.internet_port_enable": "1"}),
            ({"vlan_id": 20}, {"static.network.vlan.internet_port_vid": "20"}),
            ({}, {"static.network.vlan.internet_port_enable": "0"}),
            ({}, {"static.network.vlan.internet_port_vid": "%NULL%"}),
            ({"lldp": False}, {"static.network.lldp.enable": "0"}),
            ({"dscp_sip": 0}, {"static.network.qos.signaltos": "0"}),
            ({"dscp_rtp": 34}, {"static.network.qos.rtptos": "34", "static.network.qos.audiotos": "34"}),
            ({"web_ui": "off"}, {"static.wui.http_enable": "0", "static.wui.https_enable": "0"}),
            ({"web_ui": "https"}, {"static.wui.http_enable": "0", "static.wui.https_enable": "1"}),
            ({"web_ui": "http"}, {"static.wui.http_enable": "1", "static.wui.https_enable": "0"}),
            ({"language": "fr-CA"}, {"static.lang.gui": "French", "static.lang.wui": "French"}),
            ({"backlight_seconds": 0}, {"phone_setting.backlight_time": "0"}),
            ({"backlight_seconds": 1}, {"phone_setting.backlight_time": "15"}),
            ({"backlight_seconds": 61}, {"phone_setting.backlight_time": "120"}),
            ({"backlight_seconds": 1800}, {"phone_setting.backlight_time": "1800"}),
            ({"ring_type": 3}, {"phone_setting.ring_type": "Ring3.wav"}),
            ({"call_waiting": False}, {"call_waiting.enable": "0"}),
            ({"park_code": "*68"}, {"features.call_park.enable": "1"}),
            ({"park_code": "*68"}, {"features.call_park.park_code": "*68"}),
            ({}, {"features.call_park.enable": "0", "features.pickup.direct_pickup_enable": "0"}),
            ({"pickup_code": "*8#"}, {"account.1.direct_pickup_code": "*8#"}),
            ({"pickup_code": "*8#"}, {"features.pickup.direct_pickup_code": "*8#"}),
        ],
    )
    def test_an_option_is_told_in_the_vendors_words(
        self, options: dict[str, Any], expected: dict[str, str]
    ) -> None:
        told = settings(phone("T46S", **options))
        assert {name: told.get(name) for name in expected} == expected

    @pytest.mark.parametrize(("web_ui", "old"), [("off", "0"), ("https", "3"), ("http", "2")])
    def test_old_firmware_has_one_word_for_its_web_page(self, web_ui: str, old: str) -> None:
        assert settings(phone("T20P", web_ui=web_ui))["network.web_server_type"] == old

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"transport_trust": "any"}, ("0", "2", "0", "%NULL%")),
            ({"transport_trust": "public"}, ("1", "0", "1", "%NULL%")),
            (
                {"transport_trust": "custom", "transport_ca": CERTIFICATE},
                ("1", "1", "1", f"{URL}805ec0aabbcc-ca.crt"),
            ),
            # Trust in a CA that nobody gave would shut the phone out for good.
            ({"transport_trust": "custom"}, ("1", "0", "1", "%NULL%")),
        ],
    )
    def test_whom_a_phone_trusts(self, options: dict[str, Any], expected: tuple[str, ...]) -> None:
        told = settings(phone("T46S", **options))
        assert expected == (
            told["static.security.trust_certificates"],
            told["static.security.ca_cert"],
            told["static.security.cn_validation"],
            told["static.trusted_certificates.url"],
        )

    def test_what_people_change_on_the_phone_does_not_win(self) -> None:
        assert settings(phone("T46S"))["static.auto_provision.custom.protect"] == "0"

    @pytest.mark.parametrize("model", ["T46S", "T46G", "T20P"])
    def test_an_option_that_is_unset_is_forgotten(self, model: str) -> None:
        before, after = settings(phone(model, **ALL_SET)), settings(phone(model))
        gone = {n for n, v in before.items() if v != "%NULL%" and after.get(n) in {None, "%NULL%"}}
        assert {
            "features.call_park.park_code",
            "features.pickup.direct_pickup_code",
            "account.1.direct_pickup_code",
            "account.1.sip_server.2.address",
            "account.1.outbound_proxy.1.address",
            "voice_mail.number.1",
        } <= gone
        assert {after.get(n) for n in gone if n[:7] != "static."} == (
            {None} if model in NEW_ONLY else {"%NULL%"}
        )


def _general(name: str) -> str:
    """A name with its indexes, or the dictionary's marks for them, made alike."""
    return ".".join("#" if part.isdigit() or part[0] == "{" else part for part in name.split("."))


@cache
def _known() -> frozenset[str]:
    listed = [name for group in ("paired", "static", "other") for name in DICTIONARY[group]]
    return frozenset(map(_general, [*listed, *(f"static.{name}" for name in PAIRED)]))


def _slot(name: str) -> tuple[int, int] | None:
    if match := re.fullmatch(r"linekey\.(\d+)\.type|expansion_module\.(\d+)\.key\.(\d+)\.type", name):
        return (0, int(match[1])) if match[1] else (int(match[2]), int(match[3]))
    return None


def _regex(pattern: str) -> str:
    """A pattern of a digit map as a regular expression; it begins with its codes and ends with its timer."""
    body = pattern.removesuffix("T")
    digits = body.lstrip("*#+")
    code = re.escape(body[: len(body) - len(digits)])
    return code + digits.replace("x.", "[0-9]*").replace("x", "[0-9]")
