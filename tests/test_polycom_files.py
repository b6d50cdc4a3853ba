"""What Polycom phones are served, checked against lists that were made apart from our own data."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest

from button_templates.layout import TYPES, Button
from provisioning.errors import Invalid, RenderError
from provisioning.fields import check, zones
from provisioning.phones.clock import Change, clock
from provisioning.phones.options import Options, resolve
from provisioning.phones.phone import Line, Phone, Site
from provisioning.phones.vendor import Vendor, absorbed, shipped_templates

DATA = Path(__file__).parent / "vendor_data"
PARAMS = json.loads((DATA / "polycom_params.json").read_text())
MODELS = json.loads((DATA / "polycom_models.json").read_text())
USER_AGENTS = json.loads((DATA / "polycom_user_agents.json").read_text())
ERA = {name: era for era in ("ucs4+", "3.x-only", "unknown") for name in PARAMS[era]}

POLYCOM = Vendor("polycom", [shipped_templates() / "phones"])
AGAIN = Vendor("polycom", [shipped_templates() / "phones"])
URL = "https://provisioning.example.com/p/pptsecret/"
TODAY = date(2026, 5, 1)
HOSTILE = 'O\'Brien & "Söhne" <x>'
ALL_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\nAAAA\n-----END CERTIFICATE-----\n"

LEAST = Options(sip_server="sip.example.com")
EVERYTHING = Options(
    sip_server="sip.example.com", sip_domain="example.com", sip_transport="tls", sip_port=5061,
    sip_backup_server="sip2.example.com:5062", register_expires=600, srtp="required",
    codecs=["opus", "pcma", "ilbc", "g729"], time_format="24h", date_format="dmy", language="de",
    vlan_id=20, lldp=False, dscp_sip=24, dscp_rtp=40, backlight_seconds=0, web_ui="off", poll_minutes=90,
    park_code="*68", pickup_code="*97", voicemail_number="*98", intercom_prefix="*80", record_code="*1",
    ring_type=5, call_waiting=False, transport_trust="custom", transport_ca=PEM,
)  # fmt: skip
BY_PROXY = Options(sip_server="sip.example.com", outbound_proxy="sbc.example.com:5080", sip_transport="dns")
TARGETS: dict[str, dict[str, Any]] = {
    "line": {"line": 1},
    "blf": {"extension": "4202"},
    "speed_dial": {"number": "+12075550177"},
    "park": {"slot": "701"},
    "shared_voicemail": {"mailbox": "8000"},
    "transfer": {"number": "4209"},
    "intercom": {"extension": "4203"},
    "multicast_page": {"address": "224.0.1.116", "port": 5001},
    "dtmf": {"digits": "12#"},
    "url": {"url": "https://example.com/"},
}


def key(position: int, type: str, label: str = "", module: int = 0, **target: Any) -> Button:
    target = target or TARGETS.get(type, {})
    return check(Button, {"module": module, "position": position, "type": type, "label": label,
                          "target": target})  # fmt: skip


def line(index: int, **changes: Any) -> Line:
    number = str(4200 + index)
    return Line(**{"index": index, "extension": number, "display_name": f"Person {index}",
                   "sip_username": number, "sip_password": f"secret{index}", **changes})  # fmt: skip


def phone(
    model: str = "VVX 450",
    buttons: Sequence[Button] = (),
    options: Options = LEAST,
    **changes: Any,
) -> Phone:
    settings = {
        "mac": "64167f102005", "lines": [line(1)], "extension_length": 4, "zone": "America/New_York",
        "today": TODAY, "admin_password": "739204816355", "url": URL, **changes,
    }  # fmt: skip
    return POLYCOM.phone(model=POLYCOM.models[model], template=buttons, options=resolve(options), **settings)


def full(model: str, options: Options) -> Phone:
    """A phone with all its lines, and a key of each kind after the other on it and on all its modules."""
    face = POLYCOM.face(POLYCOM.models[model])
    slots = list(face.slots(face.modules))
    kinds = islice(cycle(TYPES), len(slots))
    buttons = [key(p, kind, module=m) for (m, p), kind in zip(slots, kinds, strict=True)]
    lines = [line(n) for n in range(1, POLYCOM.models[model].lines + 1)]
    return phone(model, buttons, options, lines=lines)


def served(it: Phone, suffix: str = "-account.cfg") -> str:
    return POLYCOM.render(POLYCOM.files[suffix], it).decode()


def settings(it: Phone) -> dict[str, str]:
    """The attributes of the account file; none may be there twice."""
    pairs = [pair for element in ElementTree.fromstring(served(it)).iter() for pair in element.items()]
    assert [name for name, count in Counter(name for name, _ in pairs).items() if count > 1] == []
    return dict(pairs)


def directory(it: Phone) -> list[dict[str, str]]:
    items = ElementTree.fromstring(served(it, "-directory.xml")).findall("item_list/item")
    return [{child.tag: child.text or "" for child in item} for item in items]


def general(name: str) -> str:
    """`reg.2.server.1.port` as the dictionary writes it: `reg.{n}.server.{n}.port`."""
    return re.sub(r"(?<=\.)\d+(?=\.|$)", "{n}", name)


def only_3x(model: str) -> bool:
    return re.fullmatch(r"UCS [123]\.\d \(last\)", MODELS[model]["software"]) is not None


class Busy(NamedTuple):
    """A phone that is full, and what it was told."""

    phone: Phone
    sent: Mapping[str, str]
    entries: Sequence[Mapping[str, str]]


@cache
def busy(model: str) -> tuple[Busy, ...]:
    """One model under few options, under many, and behind a proxy."""
    phones = [full(model, options) for options in (LEAST, EVERYTHING, BY_PROXY)]
    return tuple(Busy(it, settings(it), directory(it)) for it in phones)


every_model = pytest.mark.parametrize("model", sorted(MODELS))


# ------------------------------------------------------------------ models and user agents


def test_every_listed_model_is_known_with_its_keys_lines_and_modules() -> None:
    ours = {
        name: (
            m.line_keys,
            m.lines,
            m.facts["phone_model"],
            {e.name: [e.keys, e.modules] for e in m.expansions},
        )
        for name, m in POLYCOM.models.items()
    }
    listed = {
        name: (m["line_keys"], m["lines"], m["phone_model"], m["expansions"]) for name, m in MODELS.items()
    }
    assert ours == listed
    assert len(ours) == 61


@every_model
def test_the_era_and_the_paging_of_a_model_follow_from_its_software_and_pages(model: str) -> None:
    facts = POLYCOM.models[model].facts
    assert facts["era"] == ("3.x" if only_3x(model) else "ucs4")
    assert facts.get("pagination", False) == (MODELS[model]["pages"] > 1)
    assert facts.get("own_order", False) == (only_3x(model) and MODELS[model]["line_keys"] > 0)


@every_model
def test_a_model_is_recognised_by_its_own_user_agent(model: str) -> None:
    claim = POLYCOM.claim(f"FileTransport {MODELS[model]['user_agent']}-UA/5.9.7.4477 Type/Application")
    assert claim is not None
    assert claim.model == model


@pytest.mark.parametrize("sample", USER_AGENTS["samples"], ids=lambda sample: sample["model"])
def test_recorded_user_agents_are_understood_and_an_updater_tells_no_firmware(
    sample: Mapping[str, str],
) -> None:
    claim = POLYCOM.claim(sample["user_agent"])
    assert claim is not None
    assert claim.model is not None
    assert claim.firmware == (None if sample.get("stage") == "Updater" else sample["fw"])
    serial = sample.get("serial", "")
    assert claim.mac == (serial if len(serial) == 12 else None)


@pytest.mark.parametrize("user_agent", USER_AGENTS["must_not_match"])
def test_others_are_not_taken_for_a_polycom(user_agent: str) -> None:
    assert POLYCOM.claim(user_agent) is None


def test_the_address_ranges_are_those_listed() -> None:
    assert frozenset(USER_AGENTS["ouis"]) == POLYCOM.ouis


# ------------------------------------------------------------------ whole files


def test_a_vvx_450_gets_this_file() -> None:
    buttons = [
        key(1, "line", "Front"), key(2, "line", line=2), key(3, "park", "Park 1"), key(4, "blf", "Ann & Bo"),
        key(5, "speed_dial", "Taxi"), key(6, "voicemail"), key(7, "dnd"), key(9, "record"),
    ]  # fmt: skip
    it = phone(
        buttons=buttons, options=WORKED, lines=[line(1), line(2, voicemail_enabled=False)],
        contacts=[{"fn": "Mum", "ct": "5550199", "sd": "12", "rt": "3"}],
    )  # fmt: skip
    assert served(it) == VVX_450
    assert served(it, "-directory.xml") == VVX_450_DIRECTORY
    assert it.warnings == ()


def test_a_soundpoint_330_whose_software_ends_at_3_3_gets_this_file() -> None:
    options = Options(sip_server="sip.example.com", pickup_code="*97", park_code="*68", web_ui="http")
    it = phone("SoundPoint IP 330", [key(2, "blf")], options, zone="Asia/Kolkata", mac="0004f2102007")
    assert served(it) == SOUNDPOINT_330


def test_the_master_names_one_file_so_that_no_other_can_win_over_it() -> None:
    assert served(phone(), ".cfg") == (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<APPLICATION CONFIG_FILES="64167f102005-account.cfg" />\n'
    )


def test_the_shared_master_sends_any_phone_to_its_own_file_and_holds_no_secret() -> None:
    file = POLYCOM.shared_file("000000000000.cfg")
    assert file is not None
    text = POLYCOM.render(file, Site(URL, resolve(LEAST))).decode()
    assert text == (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        '<APPLICATION CONFIG_FILES="[PHONE_MAC_ADDRESS]-account.cfg" />\n'
    )
    assert "[PHONE_MAC_ADDRESS]" in USER_AGENTS["substitutions"]
    assert set(ElementTree.fromstring(text).attrib) <= set(USER_AGENTS["master_attributes"])


@pytest.mark.parametrize(
    "name", ["000000000000-directory.xml", "000000000000-license.cfg", "sip.ld", "3111-44500-001.sip.ld"]
)
def test_there_is_no_shared_directory_no_licence_and_no_firmware(name: str) -> None:
    assert POLYCOM.shared_file(name) is None


def test_what_a_phone_may_write_is_its_overrides_logs_calls_and_directory() -> None:
    assert {suffix: file.upload for suffix, file in POLYCOM.files.items() if file.upload} == {
        "-phone.cfg": "replace", "-web.cfg": "replace", "-calls.xml": "replace",
        "-boot.log": "append", "-app.log": "append", "-directory.xml": "absorb",
    }  # fmt: skip
    assert "-license.cfg" not in POLYCOM.files


def test_old_overrides_are_never_made_by_us_so_that_forgetting_the_upload_clears_them() -> None:
    assert [POLYCOM.files[suffix].template for suffix in ("-phone.cfg", "-web.cfg", "-calls.xml")] == [
        None
    ] * 3


# ------------------------------------------------------------------ rules for every model


@every_model
def test_every_file_is_xml_under_its_declaration(model: str) -> None:
    for it in busy(model):
        for suffix, file in POLYCOM.files.items():
            if file.template:
                text = served(it.phone, suffix)
                assert text.startswith('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<')
                assert file.content_type == "application/xml"
                ElementTree.fromstring(text)


@every_model
def test_every_parameter_is_in_the_dictionary_and_none_is_blank(model: str) -> None:
    for it in busy(model):
        assert {name for name in it.sent if general(name) not in ERA} == set()
        assert {name for name, value in it.sent.items() if not value} == set()


@every_model
def test_parameters_of_software_3_go_only_to_phones_that_end_there(model: str) -> None:
    for it in busy(model):
        if only_3x(model):
            assert not any(name.startswith(("lineKey.", "np.", "up.Pagination")) for name in it.sent)
        else:
            assert {name for name in it.sent if ERA[general(name)] == "3.x-only"} == set()


@every_model
def test_each_device_value_has_its_set_and_the_gate_is_open(model: str) -> None:
    for it in busy(model):
        values = {n for n in it.sent if n.startswith("device.") and not n.endswith(".set")}
        assert {general(name) for name in values} <= set(PARAMS["needs_set"])
        gates = {"device.set", *(f"{name}.set" for name in values)}
        assert {n: v for n, v in it.sent.items() if n.endswith(".set")} == dict.fromkeys(gates, "1")


@every_model
def test_each_alternative_of_the_digit_map_has_its_timeout(model: str) -> None:
    for it in busy(model):
        plan, timeouts = it.sent["dialplan.digitmap"], it.sent["dialplan.digitmap.timeOut"]
        assert plan.count("|") == timeouts.count("|")
        assert (plan[:8], timeouts[:4]) == ("911|933|", "0|0|")


@every_model
def test_the_keys_keep_the_rules_of_their_categories(model: str) -> None:
    for phone, sent, entries in busy(model):
        names = [n for n in sent if re.fullmatch(r"lineKey\.\d+\.category", n)]
        if not POLYCOM.models[model].line_keys or POLYCOM.models[model].facts.get("own_order"):
            assert names == []
            continue
        assert names == [f"lineKey.{k.number}.category" for k in phone.slots if k.module <= phone.modules]
        for name in names:
            category, index = sent[name], sent.get(name.replace("category", "index"))
            if category == "Line":
                assert f"reg.{index}.address" in sent
            elif category == "BLF":
                assert index == "0"
            elif category == "SpeedDial":
                assert index in {entry["sd"] for entry in entries}
            else:
                assert (category, index) == ("Unassigned", None)


@every_model
def test_watched_extensions_are_listed_in_the_order_of_their_keys(model: str) -> None:
    for phone, sent, _ in busy(model):
        watched = [k for k in phone.slots if k.type in {"blf", "park", "shared_voicemail"}]
        told = [v for n, v in sent.items() if re.fullmatch(r"attendant\.resourceList\.\d+\.address", n)]
        assert told == [next(iter(k.target.values())) for k in watched]
        assert sent.get("attendant.reg") == ("1" if watched else None)


@every_model
def test_line_keys_counts_the_keys_of_a_line(model: str) -> None:
    for phone, sent, _ in busy(model):
        counted = Counter(k.line for k in phone.slots if k.type == "line")
        lines = [each.index for each in phone.lines]
        assert {n: int(sent.get(f"reg.{n}.lineKeys", 0)) for n in lines} == {n: counted[n] for n in lines}


@every_model
def test_every_macro_is_named_once_found_in_the_directory_and_short(model: str) -> None:
    for it in busy(model):
        names = [value for name, value in it.sent.items() if name.endswith(".mname")]
        called = {entry["ct"][1:] for entry in it.entries if entry["ct"].startswith("!")}
        pressed = {"park"} if it.phone.options.park_code else set()
        assert sorted(names) == sorted(called | pressed)
        assert all(len(v) <= 100 for n, v in it.sent.items() if n.endswith(".action.string"))
        switch = "feature.18.enabled" if only_3x(model) else "feature.enhancedFeatureKeys.enabled"
        assert (it.sent.get(switch), it.sent.get("efk.version")) == (("1", "2") if names else (None, None))


@every_model
def test_the_directory_names_each_number_once(model: str) -> None:
    for it in busy(model):
        assert max(Counter(entry["ct"] for entry in it.entries).values(), default=1) == 1
        assert max(Counter(entry["sd"] for entry in it.entries).values(), default=1) == 1


@every_model
def test_what_a_phone_cannot_hold_is_reported_and_not_sent(model: str) -> None:
    for it in busy(model):
        warned = [warning for warning in it.phone.warnings if "orders its keys itself" not in warning]
        assert len(warned) == len(it.phone.refused)
        refused = {"multicast_page", "url"} & {k.type for k in it.phone.refused}
        assert len(refused) == 2 or len(it.phone.slots) < len(TYPES)
        assert not {"224.0.1.116", "https://example.com/"} & set(it.sent.values())


@every_model
def test_the_same_account_gives_the_same_bytes(model: str) -> None:
    it, other = busy(model)[1].phone, full(model, EVERYTHING)
    for file in POLYCOM.files.values():
        if file.template:
            assert POLYCOM.render(file, it) == AGAIN.render(file, other)


# ------------------------------------------------------------------ text that people type


def test_hostile_names_and_passwords_are_read_back_as_they_were_typed() -> None:
    it = phone(
        buttons=[key(1, "line", "A & <B>"), key(2, "blf", "<&>'"), key(3, "speed_dial", "R&D <'>"),
                 key(4, "intercom", "a&b")],
        options=EVERYTHING,
        lines=[line(1, display_name=HOSTILE, sip_password=ALL_PRINTABLE)],
        contacts=[{"fn": HOSTILE, "ct": "77", "jt": "a\tb"}],
    )  # fmt: skip
    sent = settings(it)
    assert sent["reg.1.displayName"] == HOSTILE
    assert sent["reg.1.auth.password"] == ALL_PRINTABLE
    assert sent["reg.1.label"] == "A & <B>"
    assert sent["attendant.resourceList.1.label"] == "<&>'"
    assert sent["efk.efklist.1.label"] == "a&b"
    assert directory(it)[0]["lb"] == "R&D <'>"
    assert directory(it)[2]["fn"] == HOSTILE


def test_a_certificate_keeps_its_lines() -> None:
    assert settings(phone(options=EVERYTHING))["device.sec.TLS.customCaCert1"] == PEM


@pytest.mark.parametrize("name", ["a\x00b", "a\x1bb", "a\x85b", "a\ud800b", "a\ufffeb"])
def test_a_character_that_xml_forbids_makes_no_file_rather_than_a_broken_one(name: str) -> None:
    with pytest.raises(RenderError):
        served(phone(lines=[line(1, display_name=name)]))


def test_a_contact_of_the_phone_with_such_a_character_is_kept_without_it() -> None:
    body = (
        "<directory><item_list><item><fn>a\u2028b\x85</fn><ct>77</ct></item></item_list></directory>".encode()
    )
    assert directory(phone(contacts=absorbed("item", body))) == [{"fn": "ab", "ct": "77"}]


@pytest.mark.parametrize("number", ["!park", "^Transfer", "*68$Tinvite$", ""])
def test_a_number_that_would_start_a_macro_is_refused_where_people_type_it(number: str) -> None:
    with pytest.raises(Invalid):
        key(1, "speed_dial", number=number)


# ------------------------------------------------------------------ the phone and its server


@pytest.mark.parametrize(("url", "type"), [(URL, "HTTPS"), ("http://10.0.0.1:8080/p/ppt0/", "HTTP")])
def test_the_server_is_the_url_in_use_byte_for_byte(url: str, type: str) -> None:
    sent = settings(phone(url=url))
    assert sent["device.prov.serverName"] == url
    assert sent["device.prov.serverType"] == type


def test_neither_local_password_stays_at_the_factorys() -> None:
    sent = settings(phone())
    assert sent["device.auth.localAdminPassword"] == "739204816355"
    assert sent["device.auth.localUserPassword"] == "739204816355"


def test_a_vlan_that_nobody_set_is_left_as_it_is_on_the_phone() -> None:
    assert "device.net.vlanId" not in settings(phone())
    assert settings(phone(options=EVERYTHING))["device.net.vlanId"] == "20"


@pytest.mark.parametrize(
    ("trust", "checked", "certificate"), [("any", "0", False), ("public", "1", False), ("custom", "1", True)]
)
def test_trust_is_the_name_check_and_the_accounts_own_certificate(
    trust: Any, checked: str, certificate: bool
) -> None:
    sent = settings(phone(options=Options(sip_server="s.example", transport_trust=trust, transport_ca=PEM)))
    assert sent["device.sec.TLS.prov.strictCertCommonNameValidation"] == checked
    assert sent["sec.TLS.SIP.strictCertCommonNameValidation"] == checked
    assert ("device.sec.TLS.customCaCert1" in sent) == certificate


@pytest.mark.parametrize(
    ("minutes", "mode", "seconds"),
    [(60, "rel", 3601), (90, "rel", 5400), (1440, "random", 86400), (1500, "random", 86400)],
)
def test_polling_is_spread_over_the_window_in_whole_days_or_runs_from_each_phones_start(
    minutes: int, mode: str, seconds: int
) -> None:
    options = Options(sip_server="s.example", poll_minutes=minutes, poll_window="01:30-04:45")
    sent = {n: v for n, v in settings(phone(options=options)).items() if n.startswith("prov.polling.")}
    expected = {"enabled": "1", "mode": mode, "period": str(seconds)}
    if mode == "random":
        expected |= {"time": "01:30", "timeRandomEnd": "04:45"}
    assert sent == {f"prov.polling.{name}": value for name, value in expected.items()}


def test_a_resync_restarts_a_phone_only_when_a_file_changed() -> None:
    assert settings(phone())["voIpProt.SIP.specialEvent.checkSync.alwaysReboot"] == "0"


@pytest.mark.parametrize(
    ("web_ui", "told"), [("off", ["0", "0", None]), ("https", ["1", "1", "1"]), ("http", ["1", "1", "0"])]
)
def test_the_web_page_is_off_secure_or_open(web_ui: Any, told: list[str | None]) -> None:
    sent = settings(phone(options=Options(sip_server="s.example", web_ui=web_ui)))
    names = ["httpd.enabled", "httpd.cfg.enabled", "httpd.cfg.secureTunnelRequired"]
    assert [sent.get(name) for name in names] == told


# ------------------------------------------------------------------ lines and calls


@pytest.mark.parametrize(
    ("transport", "word"), [("udp", "UDPOnly"), ("tcp", "TCPOnly"), ("tls", "TLS"), ("dns", "DNSnaptr")]
)
def test_a_transport_is_a_word(transport: Any, word: str) -> None:
    options = Options(
        sip_server="a.example", sip_backup_server="b.example", outbound_proxy="c.example",
        sip_transport=transport,
    )  # fmt: skip
    sent = settings(phone(options=options))
    assert {v for n, v in sent.items() if n.endswith(".transport")} == {word}
    assert {n for n in sent if n.startswith("reg.1.") and n.endswith(".transport")} == {
        "reg.1.server.1.transport", "reg.1.server.2.transport", "reg.1.outboundProxy.transport"
    }  # fmt: skip


def test_the_dns_names_the_port_where_it_finds_the_server() -> None:
    options = Options(sip_server="a.example", sip_backup_server="b.example:5070", sip_transport="dns")
    sent = settings(phone(options=options))
    assert "reg.1.server.1.port" not in sent
    assert sent["reg.1.server.2.port"] == "5070"


@pytest.mark.parametrize("srtp", ["off", "optional", "required"])
def test_srtp_is_off_offered_or_required(srtp: Any) -> None:
    sent = settings(phone(options=Options(sip_server="s.example", srtp=srtp)))
    told = [sent[f"sec.srtp.{name}"] for name in ("enable", "offer", "require")]
    assert told == {"off": ["0", "0", "0"], "optional": ["1", "1", "0"], "required": ["1", "1", "1"]}[srtp]


def test_codecs_have_the_accounts_order_and_all_others_are_off() -> None:
    sent = settings(phone(options=EVERYTHING))
    prefix = "voice.codecPref."
    told = {n.removeprefix(prefix): v for n, v in sent.items() if n.startswith(prefix)}
    assert [n for n, v in sorted(told.items(), key=lambda x: x[1]) if v != "0"] == [
        "Opus", "G711_A", "iLBC.13_33kbps", "G729_AB"
    ]  # fmt: skip
    assert told["G722"] == told["G7221.32kbps"] == "0"


def test_voicemail_is_one_touch_away_and_off_for_a_line_without_it() -> None:
    sent = settings(phone(options=EVERYTHING, lines=[line(1), line(2, voicemail_enabled=False)]))
    assert sent["msg.mwi.1.subscribe"] == "4201@example.com"
    assert (sent["msg.mwi.1.callBackMode"], sent["msg.mwi.1.callBack"]) == ("contact", "*98")
    assert {n: v for n, v in sent.items() if n.startswith("msg.mwi.2.")} == {
        "msg.mwi.2.callBackMode": "disabled"
    }


def test_the_first_ring_is_not_silence() -> None:
    assert settings(phone())["np.normal.ringing.calls.tonePattern"] == "ringer2"
    assert settings(phone(options=EVERYTHING))["np.normal.ringing.calls.tonePattern"] == "ringer6"


# ------------------------------------------------------------------ dialling


def dials(plan: str, number: str) -> bool:
    """Whether an alternative takes the number: `x` a digit, `.` any more of the last, `T` then a wait."""
    alternatives = [re.sub(r"([*#])", r"\\\1", a).replace("T", "") for a in plan.split("|")]
    return any(
        re.fullmatch(re.sub(r"(\[.*?\]|x)\.", r"\1*", a).replace("x", r"\d"), number) for a in alternatives
    )


@pytest.mark.parametrize("length", [3, 4, 5, 6])
@pytest.mark.parametrize("first", "0123456789")
def test_an_extension_of_any_first_digit_can_be_dialled(length: int, first: str) -> None:
    plan = settings(phone(extension_length=length))["dialplan.digitmap"]
    assert dials(plan, first + "2" * (length - 1))
    assert [a for a in plan.split("|") if re.fullmatch(r"\[0-9\]x*T", a)] == [
        "[0-9]" + "x" * (length - 1) + "T"
    ]


@pytest.mark.parametrize(
    "number", ["911", "933", "0", "12075550177", "2075550177", "0114420", "*98", "**4201"]
)
def test_numbers_and_codes_of_the_public_network_can_be_dialled(number: str) -> None:
    assert dials(settings(phone())["dialplan.digitmap"], number)


def test_emergency_numbers_go_at_once_even_before_an_extension_that_begins_with_them() -> None:
    alternatives = settings(phone(extension_length=5))["dialplan.digitmap"].split("|")
    assert alternatives[:2] == ["911", "933"]


def test_a_dial_plan_of_the_accounts_own_replaces_all_but_the_emergency_numbers() -> None:
    sent = settings(phone(options=Options(sip_server="s.example", dial_plan="0[1-9]x.T|7xx")))
    assert sent["dialplan.digitmap"] == "911|933|0[1-9]x.T|7xx"
    assert sent["dialplan.digitmap.timeOut"] == "0|0|3|3"


def test_emergency_calls_go_to_both_servers_by_their_transport() -> None:
    options = EVERYTHING.model_copy(update={"sip_transport": "udp", "sip_port": 5060})
    sent = {n: v for n, v in settings(phone(options=options)).items() if n.startswith("dialplan.routing.")}
    assert sent == {
        "dialplan.routing.server.1.address": "sip.example.com",
        "dialplan.routing.server.1.port": "5060",
        "dialplan.routing.server.1.transport": "UDPOnly",
        "dialplan.routing.server.2.address": "sip2.example.com",
        "dialplan.routing.server.2.port": "5062",
        "dialplan.routing.server.2.transport": "UDPOnly",
        "dialplan.routing.emergency.1.value": "911",
        "dialplan.routing.emergency.1.server.1": "1",
        "dialplan.routing.emergency.1.server.2": "2",
        "dialplan.routing.emergency.2.value": "933",
        "dialplan.routing.emergency.2.server.1": "1",
        "dialplan.routing.emergency.2.server.2": "2",
    }


def test_emergency_calls_take_the_proxy_that_all_calls_take() -> None:
    sent = settings(phone(options=BY_PROXY))
    assert sent["dialplan.routing.server.1.address"] == "sbc.example.com"
    assert "dialplan.routing.server.2.address" not in sent


@pytest.mark.parametrize("model", ["VVX 450", "SoundPoint IP 330"])
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_over_a_transport_that_such_servers_may_not_know_emergency_calls_go_like_any_other(
    model: str, transport: str
) -> None:
    options = EVERYTHING.model_copy(update={"sip_transport": transport})
    assert not any(n.startswith("dialplan.routing.") for n in settings(phone(model, (), options)))


# ------------------------------------------------------------------ keys


def test_a_key_of_each_kind() -> None:
    buttons = [
        key(1, "line"), key(2, "line", line=1), key(3, "blf"), key(4, "speed_dial", "Taxi"), key(5, "park"),
        key(6, "voicemail"), key(7, "shared_voicemail"), key(8, "dnd"), key(9, "forward"),
        key(10, "transfer", number="4209"), key(11, "conference"), key(12, "intercom"),
        key(1, "record", module=1), key(2, "dtmf", module=1), key(4, "none", module=1),
        key(5, "multicast_page", module=1), key(6, "url", module=1),
        Button(module=1, position=7, type="transfer"),
    ]  # fmt: skip
    it = phone(buttons=buttons, options=EVERYTHING)
    sent = settings(it)
    shown = {
        number: (sent[f"lineKey.{number}.category"], sent.get(f"lineKey.{number}.index"))
        for number in range(1, 20)
    }
    assert shown == {
        1: ("Line", "1"), 2: ("Line", "1"), 3: ("BLF", "0"), 4: ("SpeedDial", "4"), 5: ("BLF", "0"),
        6: ("SpeedDial", "6"), 7: ("BLF", "0"), 8: ("SpeedDial", "8"), 9: ("SpeedDial", "9"),
        10: ("SpeedDial", "10"), 11: ("SpeedDial", "11"), 12: ("SpeedDial", "12"),
        13: ("SpeedDial", "13"), 14: ("SpeedDial", "14"), 15: ("Unassigned", None), 16: ("Unassigned", None),
        17: ("Unassigned", None), 18: ("Unassigned", None), 19: ("SpeedDial", "19"),
    }  # fmt: skip
    assert sent["reg.1.lineKeys"] == "2"
    resources = [(sent[f"attendant.resourceList.{i}.address"], sent[f"attendant.resourceList.{i}.type"])
                 for i in (1, 2, 3)]  # fmt: skip
    assert resources == [("4202", "normal"), ("701", "automata"), ("8000", "normal")]
    macros = {sent[f"efk.efklist.{i}.mname"]: sent[f"efk.efklist.{i}.action.string"] for i in range(1, 10)}
    assert macros == {
        "key8": "$FDoNotDisturb$", "key9": "$FForward$", "key10": "4209$Trefer$", "key11": "$FConference$",
        "key12": "*804203$Tinvite$", "key13": "*1$Tdtmf$", "key14": "12#$Tdtmf$", "key19": "$FTransfer$",
        "park": "*68$Trefer$",
    }  # fmt: skip
    assert [(e["ct"], e["sd"], e["lb"]) for e in directory(it)][:2] == [("+12075550177", "4", "Taxi"),
                                                                      ("*98", "6", "Voicemail")]  # fmt: skip
    assert [k.type for k in it.refused] == ["multicast_page", "url"]
    assert (sent["softkey.1.action"], sent["softkey.1.use.active"]) == ("!park", "1")


def test_two_keys_for_one_number_share_its_entry() -> None:
    it = phone(buttons=[key(3, "speed_dial", "Taxi"), key(7, "speed_dial", "Cab")])
    sent = settings(it)
    assert (sent["lineKey.3.index"], sent["lineKey.7.index"]) == ("3", "3")
    assert directory(it) == [{"fn": "Taxi", "ct": "+12075550177", "sd": "3", "lb": "Taxi"}]


def test_keys_that_need_an_option_which_is_not_set_are_reported() -> None:
    it = phone(buttons=[key(2, "voicemail"), key(3, "record"), key(4, "intercom")])
    assert [k.reason for k in it.refused] == [
        f"needs the phone option {name}, which is not set"
        for name in ("voicemail_number", "record_code", "intercom_prefix")
    ]
    assert directory(it) == []


def test_more_keys_than_the_model_has_are_reported_and_the_others_keep_their_numbers() -> None:
    it = phone("VVX 250", [key(4, "blf"), key(5, "blf"), key(1, "blf", module=1)])
    assert [(k.module, k.position) for k in it.refused] == [(0, 5), (1, 1)]
    sent = settings(it)
    assert [sent[f"lineKey.{n}.category"] for n in (1, 2, 3, 4)] == [
        "Line",
        "Unassigned",
        "Unassigned",
        "BLF",
    ]
    assert "lineKey.5.category" not in sent


def test_the_keys_of_three_modules_are_numbered_on_from_the_phones_own() -> None:
    sent = settings(phone("VVX 600", [key(84, "blf", module=3)]))
    assert sent["lineKey.268.category"] == "BLF"
    assert "lineKey.269.category" not in sent


def test_keys_of_modules_that_the_layout_does_not_use_are_not_named() -> None:
    sent = settings(phone("VVX 600"))
    assert "lineKey.16.category" in sent
    assert "lineKey.17.category" not in sent


def test_a_line_shows_what_its_first_labelled_key_says_or_else_its_extension() -> None:
    sent = settings(phone(buttons=[key(1, "line"), key(2, "line", "Desk")], lines=[line(1), line(2)]))
    assert (sent["reg.1.label"], sent["reg.2.label"]) == ("Desk", "4202")


def test_pages_are_switched_on_where_the_keys_are_counted_over_all_of_them() -> None:
    assert settings(phone("Edge E350"))["up.Pagination.enabled"] == "1"
    assert "up.Pagination.enabled" not in settings(phone("VVX 450"))


def test_a_label_of_the_directory_is_cut_to_40_bytes_between_characters() -> None:
    it = phone(buttons=[key(2, "speed_dial", "ö" * 19 + "a" + "ö" * 5)])
    assert directory(it)[0]["lb"] == "ö" * 19 + "a"


# ------------------------------------------------------------------ the directory that phone and server share


def test_what_the_phone_added_stays_beside_our_entries() -> None:
    contacts = [
        {"ct": "", "fn": "nobody"},
        {"fn": "no number"},
        {"ct": "+12075550177", "fn": "our own, come back"},
        {"ct": "!key2", "fn": "our macro, come back"},
        {"ct": "^Transfer", "fn": "an action"},
        {"ct": "501", "fn": "Key's number", "sd": "7", "ad": "0"},
        {"ct": "501", "fn": "twice"},
        {"ct": "502", "fn": "Favourite", "sd": "1000", "rt": "4"},
        {"ct": "503", "fn": "Odd", "sd": "1e999", "weird tag": "x", "<b>": "y"},
    ]
    it = phone(buttons=[key(3, "speed_dial", "Taxi")], contacts=contacts)
    assert directory(it) == [
        {"fn": "Taxi", "ct": "+12075550177", "sd": "3", "lb": "Taxi"},
        {"fn": "Key's number", "ct": "501", "ad": "0"},
        {"fn": "Favourite", "ct": "502", "sd": "1000", "rt": "4"},
        {"fn": "Odd", "ct": "503", "sd": "1e999"},
    ]


def test_what_a_phone_read_and_sends_back_changes_nothing() -> None:
    it = phone(buttons=[key(3, "speed_dial", "Taxi"), key(4, "dnd")], contacts=[{"ct": "501", "fn": "A & B"}])
    text = served(it, "-directory.xml")
    back = phone(
        buttons=[key(3, "speed_dial", "Taxi"), key(4, "dnd")], contacts=absorbed("item", text.encode())
    )
    assert served(back, "-directory.xml") == text


# ------------------------------------------------------------------ the clock


def told_clock(zone: str) -> dict[str, str]:
    prefix = "tcpIpApp.sntp."
    sent = settings(phone(zone=zone))
    return {
        n.removeprefix(prefix).removeprefix("daylightSavings."): v for n, v in sent.items() if prefix in n
    }


@pytest.mark.parametrize(
    "zone", ["America/Phoenix", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Casablanca"]
)
def test_a_phone_without_a_yearly_rule_is_told_so_and_not_left_with_the_us_rule(zone: str) -> None:
    sent = told_clock(zone)
    assert sent["enable"] == "0"
    assert not any(name.startswith(("start.", "stop.")) for name in sent)


@pytest.mark.parametrize(
    ("zone", "offset", "start", "stop"),
    [
        ("America/New_York", -18000, "3/8/1/0/2", "11/1/1/0/2"),
        ("Australia/Sydney", 36000, "10/1/1/0/2", "4/1/1/0/3"),
        ("Europe/Paris", 3600, "3/-/1/1/2", "10/-/1/1/3"),
        ("Europe/Dublin", 0, "3/-/1/1/1", "10/-/1/1/2"),
    ],
)
def test_the_rules_of_known_zones(zone: str, offset: int, start: str, stop: str) -> None:
    sent = told_clock(zone)
    parts = ("month", "date", "dayOfWeek", "dayOfWeek.lastInMonth", "time")
    assert sent["gmtOffset"] == str(offset)
    assert (sent["enable"], sent["fixedDayEnable"]) == ("1", "0")
    assert "/".join(sent.get(f"start.{part}", "-") for part in parts) == start
    assert "/".join(sent.get(f"stop.{part}", "-") for part in parts) == stop


def read_back(sent: Mapping[str, str], name: str) -> Change:
    last = sent[f"{name}.dayOfWeek.lastInMonth"] == "1"
    week = 5 if last else {"1": 1, "8": 2, "15": 3, "22": 4}[sent[f"{name}.date"]]
    sunday_first = int(sent[f"{name}.dayOfWeek"])
    weekday = {1: 7, 2: 1, 3: 2, 4: 3, 5: 4, 6: 5, 7: 6}[sunday_first]
    return Change(int(sent[f"{name}.month"]), week, weekday, int(sent[f"{name}.time"]))


def test_the_clock_of_every_zone_is_written_as_it_is_and_overrides_dhcp() -> None:
    rules = 0
    for zone in sorted(zones()):
        clocked = clock(zone, TODAY, savings=frozenset([3600]))
        sent = told_clock(zone)
        assert (sent["gmtOffset"], sent["gmtOffset.overrideDHCP"]) == (str(clocked.base), "1"), zone
        assert sent["enable"] == ("1" if clocked.saving else "0"), zone
        if clocked.saving:
            rules += 1
            assert (read_back(sent, "start"), read_back(sent, "stop")) == (clocked.start, clocked.end), zone
    assert rules > 100


@pytest.mark.parametrize(("format", "told"), [("ymd", "Md,D"), ("dmy", "D,dM"), ("mdy", "D,Md")])
def test_the_date_is_written_in_the_order_asked_for(format: Any, told: str) -> None:
    sent = settings(phone(options=Options(sip_server="s.example", date_format=format, time_format="24h")))
    assert sent["lcl.datetime.date.format"] == told
    assert sent["lcl.datetime.time.24HourClock"] == "1"


def test_a_language_that_the_phone_does_not_have_is_left_to_the_phone() -> None:
    assert settings(phone(options=EVERYTHING))["lcl.ml.lang"] == "German_Germany"
    assert "lcl.ml.lang" not in settings(phone(options=Options(sip_server="s.example", language="tr")))


@pytest.mark.parametrize(("seconds", "told"), [(1, "5"), (30, "30"), (1800, "60"), (0, None)])
def test_the_light_goes_out_in_time_or_never(seconds: int, told: str | None) -> None:
    sent = settings(phone(options=Options(sip_server="s.example", backlight_seconds=seconds)))
    assert sent.get("up.backlight.timeout") == told
    assert sent.get("up.backlight.idleIntensity") == ("3" if told is None else None)


# ------------------------------------------------------------------ the data


def test_there_is_a_reading_of_every_button_type_and_nothing_else() -> None:
    data = tomllib.loads((shipped_templates() / "phones" / "polycom" / "vendor.toml").read_text())
    assert set(data["buttons"]) == set(TYPES)
    assert {name for name, b in data["buttons"].items() if "refused" in b} == {"multicast_page", "url"}
    assert data["buttons"]["line"]["most"] == 48


WORKED = Options(
    sip_server="sip.example.com", sip_domain="example.com", sip_transport="tls", sip_port=5061,
    sip_backup_server="sip2.example.com:5061", srtp="optional", vlan_id=20, park_code="*68",
    pickup_code="*97", voicemail_number="*98", record_code="*1",
)  # fmt: skip

VVX_450 = """\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<account>
  <device
    device.set="1"
    device.auth.localAdminPassword="739204816355"
    device.auth.localAdminPassword.set="1"
    device.auth.localUserPassword="739204816355"
    device.auth.localUserPassword.set="1"
    device.prov.serverName="https://provisioning.example.com/p/pptsecret/"
    device.prov.serverName.set="1"
    device.prov.serverType="HTTPS"
    device.prov.serverType.set="1"
    device.sntp.serverName="pool.ntp.org"
    device.sntp.serverName.set="1"
    device.sec.TLS.prov.strictCertCommonNameValidation="1"
    device.sec.TLS.prov.strictCertCommonNameValidation.set="1"
    device.net.lldpEnabled="1"
    device.net.lldpEnabled.set="1"
    device.net.vlanId="20"
    device.net.vlanId.set="1"
  />
  <lines
    reg.1.address="4201@example.com"
    reg.1.auth.userId="4201"
    reg.1.auth.password="secret1"
    reg.1.displayName="Person 1"
    reg.1.label="Front"
    reg.1.lineKeys="1"
    reg.1.server.1.address="sip.example.com"
    reg.1.server.1.port="5061"
    reg.1.server.1.transport="TLS"
    reg.1.server.1.expires="3600"
    reg.1.server.2.address="sip2.example.com"
    reg.1.server.2.port="5061"
    reg.1.server.2.transport="TLS"
    reg.1.server.2.expires="3600"
    reg.2.address="4202@example.com"
    reg.2.auth.userId="4202"
    reg.2.auth.password="secret2"
    reg.2.displayName="Person 2"
    reg.2.label="4202"
    reg.2.lineKeys="1"
    reg.2.server.1.address="sip.example.com"
    reg.2.server.1.port="5061"
    reg.2.server.1.transport="TLS"
    reg.2.server.1.expires="3600"
    reg.2.server.2.address="sip2.example.com"
    reg.2.server.2.port="5061"
    reg.2.server.2.transport="TLS"
    reg.2.server.2.expires="3600"
    sec.srtp.enable="1"
    sec.srtp.offer="1"
    sec.srtp.require="0"
    sec.TLS.SIP.strictCertCommonNameValidation="1"
  />
  <calls
    msg.mwi.1.subscribe="4201@example.com"
    msg.mwi.1.callBackMode="contact"
    msg.mwi.1.callBack="*98"
    msg.mwi.2.callBackMode="disabled"
    msg.bypassInstantMessage="1"
    up.oneTouchVoiceMail="1"
    feature.directedCallPickup.enabled="1"
    call.directedCallPickupMethod="legacy"
    call.directedCallPickupString="*97"
    call.callWaiting.enable="1"
    np.normal.ringing.calls.tonePattern="ringer2"
    voice.codecPref.G722="1"
    voice.codecPref.G711_Mu="2"
    voice.codecPref.G711_A="3"
    voice.codecPref.G729_AB="0"
    voice.codecPref.Opus="0"
    voice.codecPref.iLBC.13_33kbps="0"
    voice.codecPref.iLBC.15_2kbps="0"
    voice.codecPref.G7221.32kbps="0"
    voice.codecPref.G7221_C.48kbps="0"
    voice.codecPref.Siren14.48kbps="0"
    voice.codecPref.Siren22.64kbps="0"
    voice.codecPref.SILK.8ksps="0"
    voice.codecPref.SILK.12ksps="0"
    voice.codecPref.SILK.16ksps="0"
    voice.codecPref.SILK.24ksps="0"
  />
  <dialPlan
    dialplan.digitmap="911|933|[0-9]xxxT|0T|011xxx.T|[0-1][2-9]xxxxxxxxx|[2-9]xxxxxxxxx|*x.T|**x.T|#x.T"
    dialplan.digitmap.timeOut="0|0|3|3|3|3|3|3|3|3"
    dialplan.impossibleMatchHandling="2"
  />
  <keys
    lineKey.reassignment.enabled="1"
    lineKey.1.category="Line"
    lineKey.1.index="1"
    lineKey.2.category="Line"
    lineKey.2.index="2"
    lineKey.3.category="BLF"
    lineKey.3.index="0"
    lineKey.4.category="BLF"
    lineKey.4.index="0"
    lineKey.5.category="SpeedDial"
    lineKey.5.index="5"
    lineKey.6.category="SpeedDial"
    lineKey.6.index="6"
    lineKey.7.category="SpeedDial"
    lineKey.7.index="7"
    lineKey.8.category="Unassigned"
    lineKey.9.category="SpeedDial"
    lineKey.9.index="9"
    lineKey.10.category="Unassigned"
    lineKey.11.category="Unassigned"
    lineKey.12.category="Unassigned"
    attendant.reg="1"
    attendant.resourceList.1.address="701"
    attendant.resourceList.1.label="Park 1"
    attendant.resourceList.1.type="automata"
    attendant.resourceList.2.address="4202"
    attendant.resourceList.2.label="Ann &amp; Bo"
    attendant.resourceList.2.type="normal"
  />
  <macros
    efk.efklist.1.mname="key7"
    efk.efklist.1.status="1"
    efk.efklist.1.label="DND"
    efk.efklist.1.action.string="$FDoNotDisturb$"
    efk.efklist.2.mname="key9"
    efk.efklist.2.status="1"
    efk.efklist.2.label="Record"
    efk.efklist.2.action.string="*1$Tdtmf$"
    efk.efklist.3.mname="park"
    efk.efklist.3.status="1"
    efk.efklist.3.label="Park"
    efk.efklist.3.action.string="*68$Trefer$"
    softkey.1.label="Park"
    softkey.1.action="!park"
    softkey.1.enable="1"
    softkey.1.use.active="1"
    feature.enhancedFeatureKeys.enabled="1"
    efk.version="2"
  />
  <clock
    tcpIpApp.sntp.address="pool.ntp.org"
    tcpIpApp.sntp.address.overrideDHCP="1"
    tcpIpApp.sntp.gmtOffset="-18000"
    tcpIpApp.sntp.gmtOffset.overrideDHCP="1"
    tcpIpApp.sntp.daylightSavings.enable="1"
    tcpIpApp.sntp.daylightSavings.fixedDayEnable="0"
    tcpIpApp.sntp.daylightSavings.start.month="3"
    tcpIpApp.sntp.daylightSavings.start.dayOfWeek.lastInMonth="0"
    tcpIpApp.sntp.daylightSavings.start.date="8"
    tcpIpApp.sntp.daylightSavings.start.dayOfWeek="1"
    tcpIpApp.sntp.daylightSavings.start.time="2"
    tcpIpApp.sntp.daylightSavings.stop.month="11"
    tcpIpApp.sntp.daylightSavings.stop.dayOfWeek.lastInMonth="0"
    tcpIpApp.sntp.daylightSavings.stop.date="1"
    tcpIpApp.sntp.daylightSavings.stop.dayOfWeek="1"
    tcpIpApp.sntp.daylightSavings.stop.time="2"
    lcl.datetime.time.24HourClock="0"
    lcl.datetime.date.format="D,Md"
  />
  <comfort
    lcl.ml.lang="English_United_States"
    up.backlight.timeout="60"
    httpd.enabled="1"
    httpd.cfg.enabled="1"
    httpd.cfg.secureTunnelEnabled="1"
    httpd.cfg.secureTunnelRequired="1"
    qos.ip.callControl.dscp="26"
    qos.ip.rtp.dscp="46"
  />
  <server
    prov.polling.enabled="1"
    prov.polling.mode="random"
    prov.polling.period="86400"
    prov.polling.time="02:00"
    prov.polling.timeRandomEnd="05:00"
    voIpProt.SIP.specialEvent.checkSync.alwaysReboot="0"
    prov.autoConfigUpload.enabled="1"
    feature.logUpload.enabled="1"
    log.render.file.upload.append="1"
    log.render.file.upload.append.sizeLimit="512"
    log.render.file.upload.append.limitMode="delete"
  />
</account>
"""

VVX_450_DIRECTORY = """\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<directory>
  <item_list>
    <item><fn>Taxi</fn><ct>+12075550177</ct><sd>5</sd><lb>Taxi</lb></item>
    <item><fn>Voicemail</fn><ct>*98</ct><sd>6</sd><lb>Voicemail</lb></item>
    <item><fn>DND</fn><ct>!key7</ct><sd>7</sd><lb>DND</lb></item>
    <item><fn>Record</fn><ct>!key9</ct><sd>9</sd><lb>Record</lb></item>
    <item><fn>Mum</fn><ct>5550199</ct><rt>3</rt></item>
  </item_list>
</directory>
"""

SOUNDPOINT_330 = """\
<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<account>
  <device
    device.set="1"
    device.auth.localAdminPassword="739204816355"
    device.auth.localAdminPassword.set="1"
    device.auth.localUserPassword="739204816355"
    device.auth.localUserPassword.set="1"
    device.prov.serverName="https://provisioning.example.com/p/pptsecret/"
    device.prov.serverName.set="1"
    device.prov.serverType="HTTPS"
    device.prov.serverType.set="1"
    device.sntp.serverName="pool.ntp.org"
    device.sntp.serverName.set="1"
    device.sec.TLS.prov.strictCertCommonNameValidation="1"
    device.sec.TLS.prov.strictCertCommonNameValidation.set="1"
    device.net.lldpEnabled="1"
    device.net.lldpEnabled.set="1"
  />
  <lines
    reg.1.address="4201"
    reg.1.auth.userId="4201"
    reg.1.auth.password="secret1"
    reg.1.displayName="Person 1"
    reg.1.label="4201"
    reg.1.lineKeys="1"
    reg.1.server.1.address="sip.example.com"
    reg.1.server.1.port="5060"
    reg.1.server.1.transport="UDPOnly"
    reg.1.server.1.expires="3600"
    reg.1.ringType="2"
    sec.srtp.enable="0"
    sec.srtp.offer="0"
    sec.srtp.require="0"
    sec.TLS.SIP.strictCertCommonNameValidation="1"
  />
  <calls
    msg.mwi.1.subscribe="4201"
    msg.mwi.1.callBackMode="registration"
    msg.bypassInstantMessage="1"
    up.oneTouchVoiceMail="1"
    feature.12.name="directed-call-pickup"
    feature.12.enabled="1"
    call.directedCallPickupMethod="legacy"
    call.directedCallPickupString="*97"
    call.callWaiting.enable="1"
    voice.codecPref.G711Mu="2"
    voice.codecPref.G711A="3"
    voice.codecPref.G729AB="0"
  />
  <dialPlan
    dialplan.digitmap="911|933|[0-9]xxxT|0T|011xxx.T|[0-1][2-9]xxxxxxxxx|[2-9]xxxxxxxxx|*x.T|**x.T|#x.T"
    dialplan.digitmap.timeOut="0|0|3|3|3|3|3|3|3|3"
    dialplan.impossibleMatchHandling="2"
    dialplan.routing.server.1.address="sip.example.com"
    dialplan.routing.server.1.port="5060"
    dialplan.routing.server.1.transport="UDPOnly"
    dialplan.routing.emergency.1.value="911"
    dialplan.routing.emergency.1.server.1="1"
    dialplan.routing.emergency.2.value="933"
    dialplan.routing.emergency.2.server.1="1"
  />
  <keys
    attendant.reg="1"
    attendant.resourceList.1.address="4202"
    attendant.resourceList.1.type="normal"
  />
  <macros
    efk.efklist.1.mname="park"
    efk.efklist.1.status="1"
    efk.efklist.1.label="Park"
    efk.efklist.1.action.string="*68$Trefer$"
    softkey.1.label="Park"
    softkey.1.action="!park"
    softkey.1.enable="1"
    softkey.1.use.active="1"
    feature.18.name="enhanced-feature-keys"
    feature.18.enabled="1"
    efk.version="2"
  />
  <clock
    tcpIpApp.sntp.address="pool.ntp.org"
    tcpIpApp.sntp.address.overrideDHCP="1"
    tcpIpApp.sntp.gmtOffset="19800"
    tcpIpApp.sntp.gmtOffset.overrideDHCP="1"
    tcpIpApp.sntp.daylightSavings.enable="0"
    lcl.datetime.time.24HourClock="0"
    lcl.datetime.date.format="D,Md"
  />
  <comfort
    lcl.ml.lang="English_United_States"
    httpd.enabled="1"
    httpd.cfg.enabled="1"
    httpd.cfg.secureTunnelEnabled="1"
    httpd.cfg.secureTunnelRequired="0"
    qos.ip.callControl.dscp="26"
    qos.ip.rtp.dscp="46"
  />
  <server
    prov.polling.enabled="1"
    prov.polling.mode="random"
    prov.polling.period="86400"
    prov.polling.time="02:00"
    prov.polling.timeRandomEnd="05:00"
    voIpProt.SIP.specialEvent.checkSync.alwaysReboot="0"
    prov.autoConfigUpload.enabled="1"
    feature.logUpload.enabled="1"
    log.render.file.upload.append="1"
    log.render.file.upload.append.sizeLimit="512"
    log.render.file.upload.append.limitMode="delete"
  />
</account>
"""
