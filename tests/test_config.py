"""The environment: defaults that work, and for each bad value its variable's name."""

from pathlib import Path

import pytest

from provisioning.config import Config, from_environment
from provisioning.errors import Invalid


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_needs_to_be_set() -> None:
    assert from_environment({}) == Config()


def test_an_empty_variable_is_as_good_as_none() -> None:
    assert from_environment({"PROVISIONING_BASE_URL": " "}) == Config()


def test_the_base_url_loses_its_last_slash() -> None:
    assert (
        from_environment({"PROVISIONING_BASE_URL": "https://p.example.com/"}).base_url
        == "https://p.example.com"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BASE_URL", "p.example.com"),
        ("BASE_URL", "https://p.example.com/a%20b"),
        ("BASE_URL", "https://p.example.com/?a"),
        ("LOG_LEVEL", "loud"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("TLS_CERT", "cert.pem"),
        ("PHONE_PORT", "8443"),
        ("PHONE_CAS", "nowhere"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=f"PROVISIONING_{name}"):
        from_environment({f"PROVISIONING_{name}": value})


PHONES = {"PHONE_PORT": "8443", "PHONE_CAS": ".", "TLS_CERT": "cert.pem", "TLS_KEY": "key.pem"}


@pytest.mark.parametrize(
    ("changes", "at_fault"),
    [
        ({"PHONE_PORT": "0"}, "PHONE_PORT"),
        ({"PHONE_PORT": "eight"}, "PHONE_PORT"),
        ({"TLS_CERT": "", "TLS_KEY": ""}, "PHONE_PORT"),
        ({"PHONE_CERT_HEADER": "Client-Cert"}, "PHONE_CERT_HEADER"),
        ({"PHONE_CERT_HEADER": "Client Cert", "TRUSTED_PROXIES": "127.0.0.1"}, "PHONE_CERT_HEADER"),
        ({"PHONE_URL": "phones.example.com"}, "PHONE_URL"),
    ],
)
def test_what_does_not_go_together_is_refused_by_its_name(changes: dict[str, str], at_fault: str) -> None:
    with pytest.raises(Invalid, match=f"PROVISIONING_{at_fault}"):
        from_environment({f"PROVISIONING_{name}": value for name, value in (PHONES | changes).items()})


def test_phones_are_told_the_port_at_which_they_show_certificates() -> None:
    environ = {f"PROVISIONING_{name}": value for name, value in PHONES.items()}
    environ["PROVISIONING_BASE_URL"] = "https://p.example.com"
    assert from_environment(environ).phones_url == "https://p.example.com:8443"
    environ["PROVISIONING_PHONE_URL"] = "https://phones.example.com/"
    assert from_environment(environ).phones_url == "https://phones.example.com"


def test_platform_options_come_from_the_file_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / "platform.toml").write_text('ntp_server = "ntp.example.com"\nsip_port = 5070\n')
    config = from_environment(
        {
            "PROVISIONING_OPTION_SIP_PORT": "5080",
            "PROVISIONING_OPTION_SIP_SERVER": "sip.example.com",
            "PROVISIONING_OPTION_LLDP": "false",
            "PROVISIONING_OPTION_CODECS": '["pcmu"]',
        }
    )
    assert config.platform_options == {
        "ntp_server": "ntp.example.com",
        "sip_port": 5080,
        "sip_server": "sip.example.com",
        "lldp": False,
        "codecs": ["pcmu"],
    }
