"""PROVISIONING_SMTP_URL and PROVISIONING_MAIL_FROM: what they mean, and what is no good."""

import pytest

from provisioning.config import Config, from_environment
from provisioning.errors import Invalid
from provisioning.relay import Relay


@pytest.mark.parametrize(
    ("url", "relays"),
    [
        ("", ()),
        ("smtp://mail.example.com", (Relay("mail.example.com", 25),)),
        ("smtp://a:b@mail.example.com", (Relay("mail.example.com", 587, False, "a", "b"),)),
        ("smtps://a:b@mail.example.com/", (Relay("mail.example.com", 465, True, "a", "b"),)),
        ("smtp://u%40x.example:p%2C%2F%3a%20@h:2525", (Relay("h", 2525, False, "u@x.example", "p,/: "),)),
        (
            "smtps://a:b@one.example:465, smtp://[::1]:2526",
            (Relay("one.example", 465, True, "a", "b"), Relay("::1", 2526)),
        ),
    ],
)
def test_relays_are_tried_in_the_order_of_the_variable(url: str, relays: tuple[Relay, ...]) -> None:
    assert from_environment({"PROVISIONING_SMTP_URL": url}).relays == relays


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com:25",
        "http://user:canary@mail.example.com",
        "smtp://user:canary@",
        "smtp://user:canary@mail.example.com:port",
        "smtp://user:canary@mail.example.com:70000",
        "smtp://user:canary@mail.example.com/path",
        "smtp://user:canary@mail.example.com?tls=1",
        "smtp://canary@mail.example.com",
        "smtp://:canary@mail.example.com",
        "smtp://ok.example,canary",
        "smtp://user:canary@[::1",
    ],
)
def test_a_url_that_is_no_good_is_named_and_not_repeated(url: str) -> None:
    with pytest.raises(Invalid, match="PROVISIONING_SMTP_URL") as error:
        from_environment({"PROVISIONING_SMTP_URL": url})
    assert "canary" not in str(error.value)


def test_no_password_is_in_what_is_printed_of_the_configuration() -> None:
    assert "canary" not in repr(from_environment({"PROVISIONING_SMTP_URL": "smtp://user:canary@h"}))


@pytest.mark.parametrize(
    ("relay", "sure"),
    [
        (Relay("mail.example.com", 25), False),
        (Relay("mail.example.com", 587, username="a", password="b"), True),
        (Relay("127.0.0.1", 25, username="a", password="b"), False),
        (Relay("localhost", 25, username="a", password="b"), False),
        (Relay("127.0.0.1", 465, tls=True), True),
    ],
)
def test_encryption_is_demanded_where_a_password_goes_over_a_network(relay: Relay, sure: bool) -> None:
    assert relay.sure is sure


@pytest.mark.parametrize(
    ("environ", "sender"),
    [
        ({}, "provisioning@[127.0.0.1]"),
        ({"PROVISIONING_BASE_URL": "https://p.example.com:8443/x"}, "provisioning@p.example.com"),
        ({"PROVISIONING_BASE_URL": "http://[::1]:80"}, "provisioning@[IPv6:::1]"),
        ({"PROVISIONING_MAIL_FROM": "alerts@example.com"}, "alerts@example.com"),
    ],
)
def test_mails_come_from_the_address_that_is_set_or_from_our_host(
    environ: dict[str, str], sender: str
) -> None:
    assert from_environment(environ).mail_sender == sender


@pytest.mark.parametrize("address", ["alerts", "Alerts <a@b.example>", "a@b.example\r\nBcc: x@y.example"])
def test_a_sender_that_is_no_address_is_refused_by_its_name(address: str) -> None:
    with pytest.raises(Invalid, match="PROVISIONING_MAIL_FROM"):
        from_environment({"PROVISIONING_MAIL_FROM": address})
    assert Config().relays == ()
