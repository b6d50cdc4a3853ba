"""Mails reach the relay whatever it does: they are tried until it has them, or somebody is told."""

import asyncio
import logging
import ssl
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from itertools import accumulate
from pathlib import Path

import pytest
import sqlalchemy as sa

from provisioning import outbox
from provisioning.db import now
from provisioning.relay import Relay
from provisioning.schedule import Schedule
from tests.api.conftest import Account, stocked
from tests.certificates import self_signed
from tests.conftest import StartHouse, Stock
from tests.emergency.conftest import DESK, QUICK, SAFETY, at, calls, report
from tests.mail_relay import Fault, MailRelay

sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def suffer(relay: MailRelay, *faults: Fault) -> None:
    """Each recipient's first attempts meet these, later ones nothing."""
    left: defaultdict[str, list[Fault]] = defaultdict(lambda: list(faults))
    relay.fault = lambda recipient: left[recipient].pop(0) if recipient and left[recipient] else None


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """What the database is to show: it has nobody who tells, so it is asked again and again."""
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def delivered(account: Account) -> list[dict[str, object]]:
    """The mails of the only call, once all are delivered."""
    await until(lambda: states_are(account, "delivered"))
    return list((await calls(account))[0]["mails"])


async def until_failed(account: Account) -> None:
    await until(lambda: states_are(account, "failed"))


async def states_are(account: Account, state: str) -> bool:
    return {mail["state"] for mail in (await calls(account))[0]["mails"]} == {state}


async def age(account: Account, by: timedelta) -> None:
    """The mails have been waiting for so much longer."""
    async with account.house.database.write() as session:
        for row in await session.scalars(sa.select(outbox.Row)):
            row.created_at -= by


def test_the_schedule_is_what_the_operator_is_promised() -> None:
    schedule = Schedule()
    waits = [schedule.delay(attempt) for attempt in range(1, 358)]
    seconds = [wait.total_seconds() for wait in waits if wait is not None]
    assert seconds[:9] == [0, 2, 5, 10, 20, 40, 60, 60, 60]
    ends = list(accumulate(seconds))
    assert seconds.index(300) == len([end for end in ends if end <= 137 + 3600])
    assert ends[-1] == 137 + 3600 + 86400
    assert waits[355] is None
    assert all(schedule.time_for(n) < schedule.lease(n).total_seconds() for n in range(1, 356))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("refuse_recipient", "relay: it refused the recipient: 451 4.7.1 <tell nobody> try again later"),
        ("refuse_data", "relay: it refused the mail: 554 5.7.1 it looks like spam"),
        ("drop_at_recipient", "relay: the connection broke"),
        ("hang_at_recipient", "relay: it did not answer in time"),
        ("hang_at_data", "relay: it did not answer in time"),
    ],
)
@sqlite
async def test_a_mail_that_the_relay_did_not_take_is_tried_again(
    account: Account, relay: MailRelay, fault: Fault, words: str
) -> None:
    suffer(relay, fault, fault)
    await report(account)
    mails = await delivered(account)
    assert [(m["recipient"], m["attempts"], m["last_error"]) for m in mails] == [
        (DESK, 3, words),
        (SAFETY, 3, words),
    ]
    assert sorted(mail.recipient for mail in relay.received) == [DESK, SAFETY]


async def test_a_mail_may_come_twice_only_when_nobody_knows_whether_it_came(
    account: Account, relay: MailRelay
) -> None:
    suffer(relay, "drop_after_data")
    await report(account)
    mails = await delivered(account)
    assert [m["attempts"] for m in mails] == [2, 2]
    assert sorted(mail.recipient for mail in relay.received) == [DESK, DESK, SAFETY, SAFETY]
    assert len({(mail.recipient, mail.content) for mail in relay.received}) == 2
    metrics = await (await account.house.http.get(f"{account.house.url}/metrics")).text()
    assert 'provisioning_emergency_mail_attempts_total{outcome="unclear"} 2.0' in metrics


async def test_a_mail_leaves_as_soon_as_its_call_is_stored(
    start_house: StartHouse, relay: MailRelay, stock: Stock
) -> None:
    house = await start_house(relays=(at(relay),), schedule=replace(QUICK, poll=600.0))
    await report(stocked(house, stock))
    await relay.arrived(2)


async def test_no_recipient_waits_for_anothers_trouble(account: Account, relay: MailRelay) -> None:
    """Eight mails that hang take the places of a first attempt; then they are in the way of none."""
    relay.fault = lambda recipient: "hang_at_recipient" if recipient.startswith("slow") else None
    slow = [f"slow{number}@b.example" for number in range(30)]
    await account.admin.put("/account/emergency-recipients", {"emails": slow})
    await report(account, sip_username="4302")
    await relay.until(lambda: len({r for step, r in relay.steps if step == "recipient"}) == 30)
    await account.admin.put("/account/emergency-recipients", {"emails": [SAFETY]})
    await report(account, call_id="call-2", dialed="911", sip_username="4302")
    (mail,) = await relay.arrived(1)
    assert mail.recipient == SAFETY
    assert relay.most_open <= 2 * QUICK.lane


async def test_a_real_call_goes_before_tests(account: Account, relay: MailRelay) -> None:
    """A sweep of test calls waits for the relay; the mails of a 911 call that comes last go first."""
    relay.fault = lambda _recipient: "hang_at_greeting"
    many = [f"r{number}@b.example" for number in range(50)]
    await account.admin.put("/account/emergency-recipients", {"emails": many})
    await report(account)
    await relay.until(lambda: relay.most_open >= QUICK.lane)
    await account.admin.put("/account/emergency-recipients", {"emails": [SAFETY]})
    await report(account, call_id="call-2", dialed="911", sip_username="4302")
    relay.fault = lambda _recipient: None
    order = [mail.recipient for mail in await relay.arrived(40)]
    assert order.index(SAFETY) < 2 * QUICK.lane


async def test_the_second_relay_takes_over(start_house: StartHouse, relay: MailRelay, stock: Stock) -> None:
    """The first says nothing: who found out is late by half an attempt, the others know already."""
    silent = MailRelay(fault=lambda _recipient: "hang_at_greeting")
    async with silent.running():
        house = await start_house(relays=(at(silent), at(relay)), schedule=replace(QUICK, lane=1))
        account = stocked(house, stock)
        await report(account)
        assert [mail["attempts"] for mail in await delivered(account)] == [1, 1]
        assert len(silent.steps) == 1


@sqlite
async def test_what_each_relay_said_is_told_without_their_names(
    start_house: StartHouse, relay: MailRelay, stock: Stock
) -> None:
    relay.fault = lambda _recipient: "refuse_recipient"
    nowhere = Relay("no-such-host.invalid", 25)
    house = await start_house(relays=(nowhere, at(relay)), schedule=replace(QUICK, delays=()))
    account = stocked(house, stock)
    await report(account)
    await relay.until(lambda: len(relay.steps) >= 4)
    (call,) = await calls(account)
    for mail in call["mails"]:  # whichever is tried first
        assert sorted(mail["last_error"].split("; ")) == [
            "first relay: its name is not known",
            "second relay: it refused the recipient: 451 4.7.1 <tell nobody> try again later",
        ]


async def test_a_mail_that_is_given_up_is_called_out_and_seen(
    start_house: StartHouse, relay: MailRelay, stock: Stock, caplog: pytest.LogCaptureFixture
) -> None:
    relay.fault = lambda recipient: "refuse_data" if recipient == DESK else None
    house = await start_house(relays=(at(relay),), schedule=replace(QUICK, delays=(0.0, 0.0)))
    account = stocked(house, stock)
    await report(account)
    await relay.until(lambda: relay.steps.count(("recipient", DESK)) == 3)
    (call,) = await calls(account)
    assert [(m["state"], m["attempts"]) for m in call["mails"]] == [("failed", 3), ("delivered", 1)]
    given_up = [record.message for record in caplog.records if record.levelno == logging.CRITICAL]
    assert given_up == [f"emergency call {call['id']}: the mail to {DESK} is given up after 3 attempts"]
    metrics = await (await house.http.get(f"{house.url}/metrics")).text()
    assert 'provisioning_emergency_mails{state="failed"} 1.0' in metrics
    assert 'provisioning_emergency_mails{state="delivered"} 1.0' in metrics
    assert 'provisioning_emergency_mail_attempts_total{outcome="failed"} 3.0' in metrics
    warnings = (await account.viewer.get("/account/emergency-recipients")).json["warnings"]
    assert warnings == ["Mails about emergency calls that are not delivered: 1."]


async def test_a_late_mail_is_called_out_once_by_whichever_server_sees_it(
    start_house: StartHouse, stock: Stock, caplog: pytest.LogCaptureFixture
) -> None:
    houses = [await start_house(schedule=QUICK) for _ in range(3)]
    account = stocked(houses[0], stock)
    await report(account)
    await age(account, outbox.LATE)

    async def told() -> bool:
        return sum("is not delivered after 60 seconds" in m for m in caplog.messages) >= 2

    await until(told)
    for house in houses:
        for _ in range(3):
            house.sender.wake()
            await asyncio.sleep(QUICK.poll)  # that nothing comes can only be waited for
    late = [record for record in caplog.records if "is not delivered after 60" in record.message]
    assert [record.levelno for record in late] == [logging.CRITICAL] * 2
    (call,) = await calls(account)
    assert {mail["state"] for mail in call["mails"]} == {"late"}
    for house in houses:
        metrics = await (await house.http.get(f"{house.url}/metrics")).text()
        assert 'provisioning_emergency_mails{state="late"} 2.0' in metrics
        assert 'provisioning_emergency_mails{state="waiting"} 0.0' in metrics


async def test_what_a_server_had_claimed_when_it_died_another_sends(
    start_house: StartHouse, relay: MailRelay, stock: Stock
) -> None:
    """The dead one's claim is in the database, and lapses."""
    account = stocked(await start_house(schedule=QUICK), stock)
    await report(account)
    dead = replace(QUICK, margin=0.5, limit=0.5)
    async with account.house.database.write() as session:
        claimed = await outbox.claim(session, dead, fresh=8, again=8, at=now())
    assert [mail.attempt for mail in claimed] == [1, 1]
    async with account.house.database.write() as session:
        assert await outbox.claim(session, dead, fresh=8, again=8, at=now()) == []
    house = await start_house(relays=(at(relay),), schedule=QUICK)
    assert relay.received == []
    await relay.arrived(2)
    await house.sender.settled()
    assert [mail["attempts"] for mail in await delivered(account)] == [2, 2]


@sqlite
async def test_a_server_that_slept_past_its_own_claim_does_not_send_twice(
    start_house: StartHouse, relay: MailRelay, stock: Stock
) -> None:
    """As after its machine was suspended: the claim has lapsed, and the mail is still being sent."""
    relay.fault = lambda _recipient: "hang_at_recipient"
    house = await start_house(relays=(at(relay),), schedule=replace(QUICK, limit=30.0, margin=-29.9))
    await report(stocked(house, stock))
    await relay.until(lambda: [step for step, _ in relay.steps].count("recipient") == 2)
    await asyncio.sleep(0.5)  # that nothing comes can only be waited for
    assert [step for step, _ in relay.steps].count("recipient") == 2


async def test_what_a_dead_servers_claim_says_later_is_believed_only_when_it_is_good(
    start_house: StartHouse, stock: Stock
) -> None:
    account = stocked(await start_house(schedule=QUICK), stock)
    await report(account)
    database, lapsed = account.house.database, replace(QUICK, limit=0.0, margin=0.0)
    async with database.write() as session:
        slow, other = await outbox.claim(session, lapsed, fresh=8, again=8, at=now())
        await outbox.claim(session, QUICK, fresh=8, again=8, at=now())
        await outbox.put_off(session, slow, until=None, why="too late", unclear=False)
        await outbox.delivered(session, {other.id: now()})
    (call,) = await calls(account)
    assert sorted((m["state"], m["last_error"]) for m in call["mails"]) == [
        ("delivered", None),
        ("waiting", None),
    ]


async def test_a_server_that_ends_lets_its_mails_go(
    start_house: StartHouse, relay: MailRelay, stock: Stock
) -> None:
    """A mail is being sent while the server is told to end: it is free at once, not when a claim lapses."""
    relay.fault = lambda _recipient: "hang_at_recipient"
    long = replace(QUICK, limit=500.0, delays=(600.0,))
    house = await start_house(relays=(at(relay),), schedule=long)
    account = stocked(house, stock)
    async with house.sender.running():  # as the server's own, but it ends before the test does
        await report(account)
        await relay.until(lambda: [step for step, _ in relay.steps].count("recipient") == 2)
    async with house.database.read() as session:
        due = [row.next_attempt_at for row in await session.scalars(sa.select(outbox.Row))]
    assert all(at_ is not None and at_ <= now() for at_ in due)


async def test_a_call_whose_row_is_damaged_keeps_no_other_from_being_told(
    account: Account, relay: MailRelay
) -> None:
    relay.fault = lambda _recipient: "refuse_recipient"
    await report(account)
    await relay.until(lambda: len(relay.steps) >= 2)
    async with account.house.database.write() as session:
        await (await session.connection()).exec_driver_sql("UPDATE emergency_calls SET scene = '{}'")
    relay.fault = lambda _recipient: None
    await report(account, call_id="call-2")
    await relay.arrived(2)
    assert {mail.text.split()[-1] for mail in relay.received} == {"call-2"}

    async def only_our_fault() -> bool:
        async with account.house.database.read() as session:
            failed = sa.select(outbox.Row.last_error).where(outbox.Row.failures > 0)
            return set(await session.scalars(failed)) == {"our fault: ValidationError"}

    await until(only_our_fault)


@sqlite
async def test_what_the_relay_took_while_the_database_was_full_is_not_sent_again(
    account: Account, relay: MailRelay, caplog: pytest.LogCaptureFixture
) -> None:
    refuse = (
        "CREATE TRIGGER full BEFORE UPDATE ON mails WHEN NEW.state = 'delivered'"
        " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
    )
    async with account.house.database.write() as session:
        await session.execute(sa.text(refuse))
    await report(account)
    await relay.arrived(2)
    claims = QUICK.lease(1).total_seconds()
    await asyncio.sleep(claims + 2 * QUICK.poll)  # until the claim has lapsed
    assert "the outbox of emergency mails cannot be used: IntegrityError" in caplog.text
    async with account.house.database.write() as session:
        await session.execute(sa.text("DROP TRIGGER full"))
    assert [mail["attempts"] for mail in await delivered(account)] == [1, 1]
    assert len(relay.received) == 2


class TestEncryption:
    def relay(self, folder: Path, **changes: object) -> MailRelay:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*self_signed(folder))
        return MailRelay(tls=context, **changes)  # type: ignore[arg-type]

    @sqlite
    async def test_starttls_is_used_where_it_is_offered_whoever_offers_it(
        self, start_house: StartHouse, stock: Stock, tmp_path: Path
    ) -> None:
        relay = self.relay(tmp_path)
        async with relay.running():
            house = await start_house(relays=(at(relay),), schedule=QUICK)
            await report(stocked(house, stock))
            assert {mail.encrypted for mail in await relay.arrived(2)} == {True}
            await house.sender.settled()

    @sqlite
    async def test_a_login_on_this_machine_needs_no_proof(
        self, start_house: StartHouse, stock: Stock, tmp_path: Path
    ) -> None:
        relay = self.relay(tmp_path, login=("us er", "p@ss:wörd"))
        async with relay.running():
            relays = (Relay("127.0.0.1", relay.port, username="us er", password="p@ss:wörd"),)
            house = await start_house(relays=relays, schedule=QUICK)
            await report(stocked(house, stock))
            assert {(m.encrypted, m.login) for m in await relay.arrived(2)} == {(True, "us er")}
            await house.sender.settled()

    @sqlite
    async def test_a_wrong_password_is_told_in_plain_words(
        self, start_house: StartHouse, stock: Stock, tmp_path: Path
    ) -> None:
        relay = self.relay(tmp_path, login=("user", "right"))
        async with relay.running():
            relays = (Relay("127.0.0.1", relay.port, username="user", password="wrong-canary"),)
            house = await start_house(relays=relays, schedule=replace(QUICK, delays=(), limit=20.0))
            account = stocked(house, stock)
            await report(account)
            await until_failed(account)
            (call,) = await calls(account)
            assert call["mails"][0]["last_error"] == "relay: it refused our user name or password (535)"

    @pytest.mark.parametrize("scheme", ["smtps", "smtp"])
    @sqlite
    async def test_a_relay_that_cannot_prove_its_name_gets_no_password(
        self, start_house: StartHouse, stock: Stock, tmp_path: Path, scheme: str
    ) -> None:
        """Not on this machine, or so it seems by its name."""
        relay = self.relay(tmp_path, implicit=scheme == "smtps")
        async with relay.running():
            host = "127.0.0.1" if scheme == "smtps" else "0.0.0.0"
            relays = (Relay(host, relay.port, scheme == "smtps", "user", "canary"),)
            assert relays[0].sure
            house = await start_house(relays=relays, schedule=replace(QUICK, delays=()))
            account = stocked(house, stock)
            await report(account)
            await until_failed(account)
            (call,) = await calls(account)
            assert call["mails"][0]["last_error"] == "relay: its certificate is not good for its name"
            assert relay.received == []

    @sqlite
    async def test_a_password_goes_over_no_network_in_the_clear(
        self, start_house: StartHouse, relay: MailRelay, stock: Stock
    ) -> None:
        relays = (Relay("0.0.0.0", relay.port, username="user", password="canary"),)
        house = await start_house(relays=relays, schedule=replace(QUICK, delays=()))
        account = stocked(house, stock)
        await report(account)
        await until_failed(account)
        assert relay.received == []
