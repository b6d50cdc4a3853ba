"""Phone options: typed, checked, and the nearest layer wins."""

import pytest

from provisioning.errors import Invalid
from provisioning.fields import check
from provisioning.phones.options import DEFAULTS, Options, resolve


def test_the_nearest_layer_wins_and_absent_inherits() -> None:
    platform = Options(ntp_server="a.example.com", sip_port=5070, language="de")
    account = Options(sip_port=5080, lldp=False)
    device = Options(language="fr")
    resolved = resolve(platform, account, device)
    assert (resolved.ntp_server, resolved.sip_port, resolved.language) == ("a.example.com", 5080, "fr")
    assert resolved.lldp is False
    assert resolved.register_expires == DEFAULTS.register_expires


def test_a_server_alone_is_the_domain_and_a_domain_alone_is_the_server() -> None:
    assert resolve(Options(sip_server="sip.example.com")).sip_domain == "sip.example.com"
    assert resolve(Options(sip_domain="example.com")).sip_server == "example.com"


@pytest.mark.parametrize(("transport", "port"), [("udp", 5060), ("tcp", 5060), ("dns", 5060), ("tls", 5061)])
def test_the_port_follows_the_transport_where_none_is_set(transport: str, port: int) -> None:
    assert resolve(check(Options, {"sip_transport": transport})).sip_port == port


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sip_server", "sip example.com"),
        ("sip_server", "300.1.1.1"),
        ("sip_server", "a.example.com\nx = y"),
        ("sip_port", 0),
        ("sip_port", "5060"),
        ("sip_transport", "sctp"),
        ("sip_backup_server", "b.example.com:99999"),
        ("codecs", []),
        ("codecs", ["pcmu", "pcmu"]),
        ("codecs", ["mp3"]),
        ("timezone", "Mars/Olympus"),
        ("timezone", "/etc/passwd"),
        ("vlan_id", 4095),
        ("dscp_sip", 64),
        ("poll_window", "25:00-26:00"),
        ("poll_window", "02:00-02:00"),
        ("park_code", "*68;x"),
        ("dial_plan", "xxxx|"),
        ("dial_plan", "xxxx\nT"),
        ("dial_plan", "[2-9]xxxT|0T"),
        ("dial_plan", "x.T"),
        ("dial_plan", "0T|9xxT|93xxT"),
        ("dial_plan", "9[13]x.T"),
        ("dial_plan", "911x"),
        ("transport_ca", "no certificate"),
        ("lldp", 1),
        ("unknown_option", True),
    ],
)
def test_a_value_that_no_phone_can_use_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(Invalid, match=f"^{name}"):
        check(Options, {name: value})


@pytest.mark.parametrize("plan", ["[2-8]xxxT|9[024-9]xxT|0T|011x.T", "911", "xxx", "91[02-9]x.T", "*x.T"])
def test_a_dial_plan_that_holds_back_no_emergency_number_is_taken(plan: str) -> None:
    assert check(Options, {"dial_plan": plan}).dial_plan == plan


def test_a_refusal_does_not_repeat_the_value() -> None:
    with pytest.raises(Invalid) as refused:
        check(Options, {"sip_server": "s3cret value"})
    assert "s3cret" not in str(refused.value)
