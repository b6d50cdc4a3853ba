"""What the mail says, from its subject on a locked phone to its headers."""

import email.utils
import html
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from provisioning.accounts import EmergencyRecipients
from provisioning.emergency import EmergencyCall
from provisioning.emergency_report import EmergencyReport
from provisioning.letter import Letters, subject
from provisioning.outbox import Mail
from provisioning.scene import Phone, Place, Scene
from tests.api.conftest import Account, make_account
from tests.conftest import StartHouse
from tests.emergency.conftest import DESK, QUICK, SAFETY, at, calls, report
from tests.mail_relay import MailRelay, Received

AT = "2026-11-24T14:15:02Z"

TEXT = """\
911 WAS DIALED. This is not a test.

Dialed:        911
Time:          Tuesday, November 24, 2026, 09:15:02 EST (UTC-05:00, America/New_York)
               2026-11-24 14:15:02 UTC
Reported:      {reported} UTC, by our clock
Caller:        Ann O'Brien (4202)
Caller number: +12075550142

Location:      Portland
Address:       12 Harbour Lane
               Floor 2
               Portland, ME 04101
               US
Call back:     +12075550100
Phone:         Front desk, Portland
               Yealink T54W, MAC address 80:5e:c0:10:20:01

Account:       Harbour Lane Dental
Call id:       call-1
"""

UNCLEAR = """\
THIS IS A TEST. 933, the test number for emergency calls, was dialed. Nobody called 911.

Dialed:        933
Time:          Tuesday, November 24, 2026, 09:15:02 EST (UTC-05:00, America/New_York)
               2026-11-24 14:15:02 UTC
Caller:        Ann (4202)
Caller number: the switch told none
Please note:   One.
               Two.

Location:      Portland
Address:       no address is set
Call back:     no number is known
Local time:    Tuesday, November 24, 2026, 09:15:02 EST (UTC-05:00, America/New_York)
Phone:         without a name
               Yealink T54W, MAC address 80:5e:c0:10:20:01

Location:      Sydney
Address:       8 Quay Street
               Sydney, NSW 2000
               AU
Call back:     +61255501234
Local time:    Wednesday, November 25, 2026, 01:15:02 AEDT (UTC+11:00, Australia/Sydney)
Phone:         Reception
               Polycom VVX 450, MAC address 64:16:7f:10:20:05
or:            Lab
               Polycom VVX 450, MAC address 64:16:7f:10:20:06

Account:       Harbour Lane Dental
Call id:       call-1
"""

QUAY = {"street": "8 Quay Street", "unit": "", "city": "Sydney", "region": "NSW", "postal_code": "2000"}


def place(name: str | None, **changes: Any) -> Place:
    bare = {"location_id": name, "address": None, "callback_number": None, "timezone": None}
    return Place(
        **bare
        | {"name": name, "phones": (Phone(name="", model="Yealink T54W", mac="805ec0102001"),)}
        | changes
    )


def call(*places: Place, dialed: str = "933", caller: str = "Ann (4202)", **changes: Any) -> EmergencyCall:
    told = {"call_id": "call-1", "dialed": dialed, "sip_username": "4202", "device_mac": None}
    form = EmergencyReport.model_construct(**told | {"caller_number": None, "occurred_at": None} | changes)
    scene = Scene(
        account="Harbour Lane Dental",
        timezone="America/New_York",
        caller=caller,
        places=places,
        notes=("One.", "Two."),
    )
    return EmergencyCall("call_1", form, datetime.fromisoformat(AT), scene, ())


def written(told: EmergencyCall, recipient: str = "a@b.example", folder: Path | None = None) -> Received:
    mail = Mail("mail_1", told.id, recipient, told.reported_at, 1)
    letter = Letters("provisioning@p.example", folder).emergency(told, mail)
    return Received(1, letter.sender, letter.recipient, letter.content, False, None)


async def test_it_works(account: Account, relay: MailRelay) -> None:
    await report(account, dialed="911", occurred_at=AT)
    mails = {mail.recipient: mail for mail in await relay.arrived(2)}
    (row,) = await calls(account)
    reported = datetime.fromisoformat(row["reported_at"])
    assert {mail.text for mail in mails.values()} == {TEXT.format(reported=f"{reported:%Y-%m-%d %H:%M:%S}")}
    headers = dict(mails[SAFETY].message.items())
    assert headers.pop("Message-ID") != mails[DESK].message["Message-ID"]
    assert re.fullmatch(r"multipart/alternative; boundary=\"=mail_\w{26}=\"", headers.pop("Content-Type"))
    assert headers == {
        "Subject": "911 dialed: Ann O'Brien (4202) at Portland",
        "From": "Emergency calls <provisioning@[127.0.0.1]>",
        "To": SAFETY,
        "Date": email.utils.format_datetime(reported.replace(microsecond=0)),
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "Importance": "high",
        "X-Priority": "1",
        "MIME-Version": "1.0",
    }
    assert mails[SAFETY].sender == "provisioning@[127.0.0.1]"


def test_a_test_says_so_and_each_place_that_it_may_come_from_is_written_out() -> None:
    two = (
        Phone(name="Reception", model="Polycom VVX 450", mac="64167f102005"),
        Phone(name="Lab", model="Polycom VVX 450", mac="64167f102006"),
    )
    sydney = place(
        "Sydney",
        address=QUAY | {"country": "AU"},
        callback_number="+61255501234",
        timezone="Australia/Sydney",
        phones=two,
    )
    assert written(call(place("Portland"), sydney)).text == UNCLEAR


LOBBY: dict[str, Any] = {"caller": "", "sip_username": None, "device_mac": "805ec0102001"}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (call(place("HQ"), dialed="911", caller="Front Desk (4201)"), "911 dialed: Front Desk (4201) at HQ"),
        (call(place("Main Office")), "TEST 933: Ann (4202) at Main Office"),
        (call(place("A"), place("B")), "TEST 933: Ann (4202) at A or B"),
        (call(place("A"), place(None)), "TEST 933: Ann (4202) at A or an unknown location"),
        (call(*(place(name) for name in "ABCDE")), "TEST 933: Ann (4202) at A, B or 3 more"),
        (call(), "TEST 933: Ann (4202) at an unknown location"),
        (call(caller="", caller_number="+1207"), "TEST 933: +1207 at an unknown location"),
        (call(caller=""), "TEST 933: 4202 at an unknown location"),
        (call(**LOBBY), "TEST 933: phone 805ec0102001 at an unknown location"),
        (call(place("S" * 100), caller="N" * 100), f"TEST 933: {'N' * 39}… at {'S' * 39}…"),
    ],
)
def test_the_subject_alone_tells_what_was_dialed_by_whom_and_where(told: EmergencyCall, words: str) -> None:
    assert subject(told) == words
    assert written(told).message["Subject"] == words


def test_the_html_says_what_the_text_says() -> None:
    mail = written(call(place("Portland"), place("Sydney", address=QUAY | {"country": "AU"})))
    seen = html.unescape(re.sub(r"<[^>]+>", "\n", mail.html.partition("<body")[2]))
    headline, *rows = mail.text.splitlines()
    for words in (*headline.split(". "), *(part for row in rows for part in (row[:14], row[15:]))):
        assert words.strip().rstrip(":") in seen, words


def test_the_html_fetches_nothing_and_leaves_colours_to_the_reader() -> None:
    text = written(call(place("Portland"))).html
    assert not re.search(r"https?:|src=|url\(|<(img|script|link|iframe)|background|[^-]color:", text)
    assert '<meta name="color-scheme" content="light dark">' in text


def test_markup_in_names_is_text() -> None:
    told = call(place('<b>Site</b> & "Co"'), caller="<script>alert(1)</script>")
    mail = written(told)
    assert "<script" not in mail.html and "<b>" not in mail.html
    assert "&lt;b&gt;Site&lt;/b&gt; &amp; &#34;Co&#34;" in mail.html
    assert '<b>Site</b> & "Co"' in mail.text


async def test_names_that_would_be_headers_stay_words(account: Account, relay: MailRelay) -> None:
    """What forms refuse, written behind the server's back."""
    async with account.house.database.write() as session:
        connection = await session.connection()
        evil = "x\r\nBcc: evil@y.example\r\n\r\nbody"
        for table, column in (("extensions", "display_name"), ("locations", "name"), ("accounts", "name")):
            await connection.exec_driver_sql(f"UPDATE {table} SET {column} = '{evil}' || id")
    await report(account)
    for mail in await relay.arrived(2):
        assert mail.message["Bcc"] is None
        assert list(mail.message.keys())[:3] == ["Subject", "From", "To"]
        assert mail.recipient in {SAFETY, DESK}


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=100)


@settings(deadline=None, max_examples=40)
@given(name=TEXTS, site=TEXTS, number=TEXTS)
def test_no_text_makes_a_header_or_breaks_the_mail(name: str, site: str, number: str) -> None:
    mail = written(call(place(site), caller=name, caller_number=number, call_id=number))
    plain = written(call(place("Portland")))
    assert mail.message.keys() == plain.message.keys()
    assert [part.get_content_type() for part in mail.message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert all(len(line) <= 998 for line in mail.content.split(b"\r\n"))
    assert mail.text.count("Account:") >= 1


@settings(deadline=None, max_examples=40)
@given(local=st.from_regex(r"[^@\s\"<>(),:;\\\[\]\x00-\x1f\x7f-\x9f]{1,64}", fullmatch=True))
def test_every_address_that_may_be_set_can_be_written_to(local: str) -> None:

    try:
        (address,) = EmergencyRecipients(emails=[f"{local}@b.example"]).emails
    except ValidationError:
        return
    mail = written(call(place("Portland")), address)
    assert mail.recipient == address
    assert mail.message["Bcc"] is None and mail.message["Subject"] == "TEST 933: Ann (4202) at Portland"


def test_each_attempt_sends_the_same_bytes() -> None:
    assert written(call(place("A"))).content == written(call(place("A"))).content


def test_the_operators_template_is_taken_first_and_a_broken_one_keeps_no_mail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "emergency.txt").write_text("{{ report.dialed }}: {{ scene.account }}\n")
    (tmp_path / "email" / "emergency.html").write_text("{{ no.such.thing }}")
    mail = written(call(place("Portland")), folder=tmp_path)
    assert mail.text == "933: Harbour Lane Dental\n"
    assert "THIS IS A TEST" in mail.html
    assert "email/emergency.html cannot be rendered, the shipped one is used" in caplog.text


def test_a_zone_that_is_no_more_and_a_mad_clock_keep_no_mail() -> None:
    mad = datetime(2, 1, 1, tzinfo=UTC)
    told = call(place("A", timezone="Mars/Olympus"), place("B"), occurred_at=mad)
    assert "Local time:    no clock is known for the zone Mars/Olympus" in written(told).text


async def test_a_name_in_another_script_arrives_as_it_is(
    start_house: StartHouse, relay: MailRelay, sample: str
) -> None:
    house = await start_house(relays=(at(relay),), schedule=QUICK, mail_from="alerts@p.example")
    account = await make_account(
        house, sample.replace("Ann O'Brien", "陳明 Zoë").replace(SAFETY, "zoë@p.example")
    )
    await report(account)
    mail = next(mail for mail in await relay.arrived(2) if mail.recipient == "zoë@p.example")
    assert (mail.sender, mail.message["To"]) == ("alerts@p.example", "zoë@p.example")
    assert mail.message["Subject"] == "TEST 933: 陳明 Zoë (4202) at Portland"
    assert "陳明 Zoë (4202)" in mail.text and "陳明 Zoë (4202)" in mail.html
