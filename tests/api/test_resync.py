"""Resyncs: phones are asked, one or many, spread over time, whoever looks and whichever server dies."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, Final

import pytest
import sqlalchemy as sa

from provisioning import resyncs
from provisioning.db import new_id, now
from provisioning.reach import Reach
from provisioning.resync_sender import Pace, ResyncSender
from provisioning.resyncs import PhoneRow
from provisioning.sip.notify import Timings
from tests.api.conftest import Account, Answer, make_account, stocked
from tests.conftest import House, StartHouse, Stock
from tests.sip_peer import Peer, Request
from tests.test_sip_notify import challenge

SWIFT: Final = Pace(poll=0.02, lane=4)
QUICK: Final = replace(SWIFT, timings=Timings(t1=0.02, t2=0.05, f=0.3, whole=5.0))  # where nobody answers
EAGER: Final = replace(SWIFT, timings=Timings(t1=0.02, t2=0.05, f=30.0, whole=30.0))  # asks again and again
HERE: Final = Reach("any", (ip_network("127.0.0.0/8"),))
FRONT_DESK: Final = "805ec0102001"  # a Yealink of the sample, its first line 4201
LOBBY: Final = "64167f102005"  # a Polycom
sqlite = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


@pytest.fixture
async def house(start_house: StartHouse) -> House:
    return await start_house(pace=SWIFT, reach=HERE)


@pytest.fixture
async def switch() -> AsyncIterator[Peer]:
    """The SIP server of the account's phones, which takes everything."""
    async with Peer(lambda asked: [asked.answered("200 OK")]).udp() as peer:
        yield peer


@pytest.fixture
async def at_switch(account: Account, switch: Peer) -> Account:
    """The account, its phones registered with the switch."""
    await use(account, switch)
    return account


async def use(account: Account, switch: Peer, **changes: Any) -> None:
    options = {"sip_server": "127.0.0.1", "sip_port": switch.port, "sip_domain": "sip.example.com", **changes}
    assert (await account.admin.patch("/account/device-options", options)).status == 200


async def devices(account: Account) -> dict[str, str]:
    """The ids of the account's devices, by MAC address."""
    return {each["mac"]: each["id"] for each in (await account.admin.get("/devices?limit=200")).json["data"]}


async def resync(account: Account, mac: str = FRONT_DESK, **body: Any) -> Answer:
    return await account.technician.post(f"/devices/{(await devices(account))[mac]}/resync", body)


async def ended(account: Account, answer: Answer) -> Any:
    """The run once no phone is left to be asked."""
    assert answer.status == 202, answer.text
    async with asyncio.timeout(60):
        while True:
            await account.house.resyncs.settled()
            found = (await account.viewer.get(f"/resyncs/{answer.json['id']}?limit=200")).json
            if found["ended"]:
                return found
            await asyncio.sleep(0.02)  # what is spread over time is asked at its time


async def outcome(account: Account, answer: Answer) -> tuple[str, str]:
    (phone,) = (await ended(account, answer))["data"]
    return phone["state"], phone["answer"]


async def fetched(account: Account, mac: str = FRONT_DESK) -> None:
    async with account.house.http.get(f"{account.url}{mac}.cfg") as got:
        assert got.status == 200
    await account.house.log.flush()


class TestOnePhone:
    async def test_it_is_asked_through_the_switch_and_its_answer_is_told(
        self, at_switch: Account, switch: Peer
    ) -> None:
        answer = await resync(at_switch)
        assert answer.json["total"] == 1 and not answer.json["ended"]
        found = await ended(at_switch, answer)
        (phone,) = found["data"]
        assert (phone["state"], phone["answer"], phone["status"]) == ("answered", "answered 200 OK", 200)
        assert phone["mac"] == FRONT_DESK and phone["sent_at"] <= phone["ended_at"]
        assert found["counts"]["answered"] == 1 and found["via"] is None
        (sent,) = switch.requests
        assert sent.first == "NOTIFY sip:4201@sip.example.com SIP/2.0"
        assert sent["From"].startswith("<sip:4201@sip.example.com>;tag=")
        assert sent["Event"] == "check-sync;reboot=false"

    @sqlite
    async def test_it_is_told_to_restart_where_its_vendor_knows_how(
        self, at_switch: Account, switch: Peer
    ) -> None:
        assert await outcome(at_switch, await resync(at_switch, reboot=True)) == (
            "answered",
            "answered 200 OK",
        )
        assert switch.requests[0]["Event"] == "check-sync;reboot=true"
        refused = await resync(at_switch, LOBBY, reboot=True)
        assert (refused.status, refused.fields) == (422, ["reboot"])
        assert refused.json["errors"][0]["message"] == "phones of Polycom cannot be told to restart"
        await ended(at_switch, await resync(at_switch, LOBBY))
        assert switch.requests[1]["Event"] == "check-sync"

    @sqlite
    async def test_a_challenge_is_met_with_the_extensions_password(self, account: Account) -> None:
        async with Peer(challenge("407", 'Digest realm="sip.example.com", nonce="n", qop="auth"')).udp() as p:
            await use(account, p)
            assert (await outcome(account, await resync(account)))[0] == "answered"
            assert p.requests[1].parameter("Proxy-Authorization", "username") == "4201"

    @sqlite
    async def test_an_outbound_proxy_is_asked_in_the_servers_place(
        self, account: Account, switch: Peer
    ) -> None:
        proxy = f"127.0.0.1:{switch.port}"
        await use(account, switch, sip_server="sip.example.com", sip_port=5099, outbound_proxy=proxy)
        assert (await outcome(account, await resync(account)))[0] == "answered"
        assert switch.requests[0].first == "NOTIFY sip:4201@sip.example.com SIP/2.0"
        assert switch.requests[0]["Route"] == f"<sip:{proxy};transport=udp;lr>"

    @sqlite
    async def test_the_transport_is_that_of_its_options(self, account: Account) -> None:
        async with Peer(lambda asked: [asked.answered("200 OK")]).tcp() as peer:
            await use(account, peer, sip_transport="tcp")
            assert (await outcome(account, await resync(account)))[0] == "answered"
            assert "/TCP " in peer.requests[0]["Via"]

    @sqlite
    @pytest.mark.parametrize(
        ("answers", "told"),
        [
            (["100 Trying", "403 Forbidden"], ("refused", "refused: 403 Forbidden")),
            (["404 Not Found"], ("refused", "refused: 404 Not Found")),
            (["503 Service Unavailable"], ("refused", "refused: 503 Service Unavailable")),
            (["603 Decline"], ("refused", "refused: 603 Decline")),
            (["202 Accepted"], ("answered", "answered 202 Accepted")),
        ],
    )
    async def test_each_answer_is_told_as_it_is(
        self, account: Account, answers: list[str], told: tuple[str, str]
    ) -> None:
        def give(asked: Request) -> list[bytes]:
            return [asked.answered(each) for each in answers]

        async with Peer(give).udp() as peer:
            await use(account, peer)
            assert await outcome(account, await resync(account)) == told

    async def test_silence_is_told_as_such(self, start_house: StartHouse, stock: Stock) -> None:
        account = stocked(await start_house(pace=QUICK, reach=HERE), stock)
        async with Peer(lambda _asked: []).udp() as peer:
            await use(account, peer)
            assert await outcome(account, await resync(account)) == ("no_answer", "no answer")
        assert len(peer.requests) > 1

    @sqlite
    async def test_at_its_address_nobody_is_told_a_password(self, account: Account) -> None:
        """Port 5060 of the address that it fetched from, which here is this machine."""
        never = await resync(account, via="address")
        assert never.status == 409
        assert "has never fetched, so its address is not known" in never.json["detail"]
        await fetched(account)
        state, words = await outcome(account, await resync(account, via="address"))
        assert (state, words) == ("no_answer", "no answer: nothing takes SIP there")

    @sqlite
    async def test_a_phone_that_can_be_asked_nowhere_is_told_why(self, account: Account) -> None:
        form = {"mac": "805ec0000001", "model": "T54W", "lines": []}
        assert (await account.admin.post("/devices", form)).status == 201
        for via, why in (
            (None, "the phone has never fetched, so its address is not known"),
            ("server", "the phone has no line, so no switch knows it"),
            ("address", "the phone has never fetched, so its address is not known"),
        ):
            answer = await resync(account, "805ec0000001", via=via)
            assert (answer.status, answer.json["detail"]) == (409, why)
        assert await account.count(resyncs.Row) == 0

    @sqlite
    async def test_wrong_input_is_named(self, account: Account) -> None:
        for body, field in (({"reboot": 1}, "reboot"), ({"via": "mail"}, "via"), ({"to": "x"}, "to")):
            answer = await resync(account, **body)
            assert (answer.status, answer.fields) == (422, [field])
        assert (await account.admin.post(f"/devices/{new_id('dev')}/resync", {})).status == 404

    @sqlite
    async def test_the_entry_says_who_asked_which_phone(self, at_switch: Account) -> None:
        answer = await resync(at_switch, reboot=True)
        entry = next(e for e in await at_switch.entries() if e.event == "device.resync")
        assert entry.resource == f"device/{(await devices(at_switch))[FRONT_DESK]}"
        assert entry.detail == {"resync": answer.json["id"], "reboot": True, "via": None}

    @sqlite
    async def test_another_account_neither_asks_nor_looks(self, at_switch: Account, sample: str) -> None:
        text = sample.replace("office@harbourlane.example", "other@b.example")
        other = await make_account(at_switch.house, text)
        mine = (await devices(at_switch))[FRONT_DESK]
        run = (await resync(at_switch)).json["id"]
        assert (await other.admin.post(f"/devices/{mine}/resync", {})).status == 404
        assert (await other.admin.get(f"/resyncs/{run}")).status == 404
        assert (await other.admin.delete(f"/resyncs/{run}")).status == 404
        assert (await other.admin.post("/devices/resync", {"which": [mine]})).status == 422


class TestTheSetting:
    @sqlite
    async def test_the_operator_may_turn_it_off(self, start_house: StartHouse, stock: Stock) -> None:
        account = stocked(await start_house(pace=QUICK, reach=Reach("off")), stock)
        for answer in (await resync(account), await account.admin.post("/devices/resync", {})):
            assert answer.status == 409 and "PROVISIONING_RESYNC" in answer.json["detail"]

    @sqlite
    async def test_the_operator_may_allow_sip_servers_alone(
        self, start_house: StartHouse, stock: Stock, switch: Peer
    ) -> None:
        account = stocked(await start_house(pace=QUICK, reach=replace(HERE, mode="server")), stock)
        await use(account, switch)
        await fetched(account)
        answer = await resync(account, via="address")
        assert answer.status == 409 and "PROVISIONING_RESYNC" in answer.json["detail"]
        assert (await outcome(account, await resync(account)))[0] == "answered"

    @sqlite
    async def test_this_machine_is_not_reached_unless_its_network_is_named(
        self, start_house: StartHouse, stock: Stock, switch: Peer
    ) -> None:
        account = stocked(await start_house(pace=QUICK), stock)
        await use(account, switch)
        told = await outcome(account, await resync(account))
        assert told == ("not_sent", "not asked: its address may not be asked from this server")
        assert switch.requests == []


class TestManyPhones:
    async def test_all_are_asked_each_once(self, at_switch: Account, switch: Peer) -> None:
        answer = await at_switch.technician.post("/devices/resync", {"which": "all"})
        found = await ended(at_switch, answer)
        assert found["total"] == 8 == len(found["data"])
        assert len({sent.first for sent in switch.requests}) == 7
        assert len({sent["Call-ID"] for sent in switch.requests}) == 7 == found["counts"]["answered"]
        # One has sip_transport = "tls", and this switch speaks UDP alone.
        told = {phone["mac"]: phone["answer"] for phone in found["data"]}
        assert told["482567102006"] == "not asked: the connection was refused"

    @sqlite
    async def test_those_that_are_meant_and_no_others(self, at_switch: Account) -> None:
        place = (await at_switch.admin.get("/locations")).json["data"][0]["id"]
        here = {
            each["id"] for each in (await at_switch.admin.get(f"/devices?location_id={place}")).json["data"]
        }
        await fetched(at_switch)
        ids = await devices(at_switch)
        current = ids[FRONT_DESK]
        polycoms = {id for mac, id in ids.items() if mac.startswith(("0004f2", "64167f", "482567"))}
        for body, meant in (
            ({"location_id": place}, here),
            ({"which": "not_current"}, set(ids.values()) - {current}),
            ({"which": "not_current", "location_id": place}, here - {current}),
            ({"which": [current, ids[LOBBY], current]}, {current, ids[LOBBY]}),
            ({"q": "front desk, portland"}, {current}),
            ({"vendor": "polycom"}, polycoms),
            ({"status": "provisioned"}, {current}),
        ):
            answer = await at_switch.technician.post("/devices/resync", body)
            found = await ended(at_switch, answer)
            assert {phone["device_id"] for phone in found["data"]} == meant, body
        # What has changed since it fetched is not current, though it came with the present URL.
        await at_switch.admin.patch(f"/devices/{current}", {"options": {"ring_type": 2}})
        answer = await at_switch.technician.post("/devices/resync", {"which": "not_current"})
        found = await ended(at_switch, answer)
        assert {phone["device_id"] for phone in found["data"]} == set(ids.values())

    @sqlite
    async def test_what_cannot_be_meant_is_named(self, account: Account) -> None:
        known = (await devices(account))[FRONT_DESK]
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"which": "some"}, "which"),
            ({"which": [1]}, "which"),
            ({"which": None}, "which"),
            ({"which": [known, new_id("dev")]}, "which[1]"),
            ({"over_seconds": 3601}, "over_seconds"),
            ({"over_seconds": -1}, "over_seconds"),
            ({"location_id": "x"}, "location_id"),
            ({"reboot": "yes"}, "reboot"),
        ]
        for body, field in wrong:
            answer = await account.technician.post("/devices/resync", body)
            assert (answer.status, answer.fields) == (422, [field]), answer.text
        nobody: list[dict[str, Any]] = [{"q": "nobody"}, {"which": []}]
        for body in nobody:
            assert (await account.technician.post("/devices/resync", body)).status == 409

    @sqlite
    async def test_phones_that_cannot_restart_are_told_apart(self, at_switch: Account) -> None:
        answer = await at_switch.technician.post("/devices/resync", {"reboot": True})
        told = {phone["mac"]: phone["answer"] for phone in (await ended(at_switch, answer))["data"]}
        assert told[FRONT_DESK] == "answered 200 OK"
        assert told[LOBBY] == "not asked: reboot: phones of Polycom cannot be told to restart"

    async def test_they_are_spread_over_the_time(self, at_switch: Account, switch: Peer) -> None:
        """The first at once, the last at seven eighths of it; until then they wait."""
        answer = await at_switch.technician.post("/devices/resync", {"over_seconds": 3600})
        await switch.came.wait()
        await at_switch.house.resyncs.settled()
        found = (await at_switch.viewer.get(f"/resyncs/{answer.json['id']}")).json
        assert found["counts"] | {"answered": 0, "not_sent": 0} == {
            **dict.fromkeys(found["counts"], 0),
            "waiting": 7,
        }
        due = [phone["due_at"] for phone in found["data"]]
        assert due[0] is None and due[1:] == sorted(due[1:])
        start, last = (datetime.fromisoformat(each) for each in (found["created_at"], due[-1]))
        assert timedelta(seconds=3149) < last - start < timedelta(seconds=3151)

    @sqlite
    async def test_a_run_that_is_stopped_asks_no_further_phone(
        self, at_switch: Account, switch: Peer
    ) -> None:
        run = (await at_switch.technician.post("/devices/resync", {"over_seconds": 3600})).json["id"]
        await switch.came.wait()
        await at_switch.house.resyncs.settled()
        assert (await at_switch.viewer.delete(f"/resyncs/{run}")).status == 403
        for _ in range(2):
            assert (await at_switch.technician.delete(f"/resyncs/{run}")).status == 204
        found = (await at_switch.viewer.get(f"/resyncs/{run}?state=stopped")).json
        assert (
            found["ended"] and found["stopped_at"] and found["counts"]["stopped"] == 7 == len(found["data"])
        )
        assert {phone["answer"] for phone in found["data"]} == {"not asked: the run was stopped"}
        assert len(switch.requests) == 1

    @sqlite
    async def test_its_phones_come_in_pages(self, at_switch: Account) -> None:
        answer = await at_switch.technician.post("/devices/resync", {})
        whole = [phone["mac"] for phone in (await ended(at_switch, answer))["data"]]
        macs: list[str] = []
        cursor = ""
        while cursor is not None:
            query = f"?limit=3{f'&cursor={cursor}' if cursor else ''}"
            page = (await at_switch.viewer.get(f"/resyncs/{answer.json['id']}{query}")).json
            macs += [phone["mac"] for phone in page["data"]]
            cursor = page["next_cursor"]
        assert macs == whole and len(macs) == 8

    @sqlite
    async def test_a_press_on_one_phone_goes_before_a_run_of_many(
        self, start_house: StartHouse, stock: Stock
    ) -> None:
        """One at a time: while the first waits for its answer, somebody presses for the last."""
        answering = asyncio.Event()

        def held(asked: Request) -> list[bytes]:
            return [asked.answered("200 OK")] if answering.is_set() else []

        async with Peer(held).udp() as peer:
            account = stocked(await start_house(pace=replace(EAGER, lane=1), reach=HERE), stock)
            await use(account, peer)
            many = await account.technician.post("/devices/resync", {})
            await peer.came.wait()
            ids = await devices(account)
            one = await resync(account, max(ids, key=lambda mac: ids[mac]))
            answering.set()
            (pressed,) = (await ended(account, one))["data"]
            others = sorted(phone["sent_at"] for phone in (await ended(account, many))["data"])
            assert others[0] < pressed["sent_at"] < others[1]


class TestTheQueue:
    async def test_a_phone_is_asked_once_at_a_time(self, start_house: StartHouse, stock: Stock) -> None:
        """Three runs that all hold it, and a switch that lets each wait."""
        held: dict[str, Request] = {}
        most = 0
        account = stocked(await start_house(pace=EAGER, reach=HERE), stock)

        def hold(asked: Request) -> list[bytes]:
            nonlocal most
            if asked["Call-ID"] in held:
                del held[asked["Call-ID"]]
                return [asked.answered("200 OK")]
            held[asked["Call-ID"]] = asked
            most = max(most, len(held))
            return []

        async with Peer(hold).udp() as peer:
            await use(account, peer)
            runs = [await resync(account) for _ in range(3)]
            for run in runs:
                assert (await outcome(account, run))[0] == "answered"
        assert most == 1
        assert len({sent["Call-ID"] for sent in peer.requests}) == 3  # in three runs

    async def test_several_servers_share_a_run(
        self, start_house: StartHouse, stock: Stock, switch: Peer
    ) -> None:
        houses = [await start_house(pace=replace(SWIFT, lane=1), reach=HERE) for _ in range(3)]
        account = stocked(houses[0], stock)
        await use(account, switch)
        found = await ended(account, await account.technician.post("/devices/resync", {}))
        assert found["counts"]["answered"] == 7 == len({sent["Call-ID"] for sent in switch.requests})
        assert found["counts"]["not_sent"] == 1

    async def test_what_a_dead_server_had_begun_another_does(
        self, start_house: StartHouse, stock: Stock, switch: Peer
    ) -> None:
        house = await start_house(pace=replace(QUICK, lane=0), reach=HERE)  # it takes nothing itself
        account = stocked(house, stock)
        await use(account, switch)
        run = await resync(account)
        async with house.database.write() as session:
            (claim,) = await resyncs.claim(session, timedelta(seconds=0.3), limit=9, at=now())
        assert claim.attempt == 1
        other = await start_house(pace=QUICK, reach=HERE)
        assert (await account.viewer.get(f"/resyncs/{run.json['id']}")).json["counts"]["sent"] == 1
        await switch.came.wait()
        await other.resyncs.settled()
        assert (await outcome(account, run))[0] == "answered"
        # The dead one comes back and tells how it ended for it: nobody believes it.
        async with house.database.write() as session:
            await resyncs.ended(session, [(claim, resyncs.End("no_answer"))])
        assert (await outcome(account, run))[0] == "answered"

    @sqlite
    async def test_a_phone_that_every_server_dies_of_is_given_up(
        self, start_house: StartHouse, stock: Stock
    ) -> None:
        house = await start_house(pace=replace(QUICK, lane=0), reach=HERE)
        account = stocked(house, stock)
        run = await resync(account)
        for attempt in (1, 2, 3, None):
            async with house.database.write() as session:
                found = await resyncs.claim(session, timedelta(0), limit=9, at=now())
            assert [claim.attempt for claim in found] == ([attempt] if attempt else [])
        told = await outcome(account, run)
        assert told == ("no_answer", "no answer: the server that asked it ended before an answer came")

    async def test_a_server_that_ends_gives_back_whom_it_asks(
        self, start_house: StartHouse, stock: Stock
    ) -> None:
        house = await start_house(pace=replace(SWIFT, lane=0), reach=HERE)  # it takes nothing itself
        account = stocked(house, stock)
        other = ResyncSender(house.database, house.vault, house.rendering, HERE, SWIFT)
        async with Peer(lambda _asked: []).udp() as peer:
            await use(account, peer)
            await resync(account)
            async with other.running():
                await peer.came.wait()
        async with house.database.read() as session:
            (row,) = await session.scalars(sa.select(PhoneRow))
        assert (row.state, row.attempts) == ("waiting", 1)
        assert row.due_at is not None and row.due_at <= now()

    @sqlite
    async def test_a_server_that_was_given_up_ends_nothing_that_another_has_begun(
        self, start_house: StartHouse, stock: Stock
    ) -> None:
        house = await start_house(pace=replace(SWIFT, lane=0), reach=HERE)
        account = stocked(house, stock)
        run = await resync(account)
        claims = []
        for _ in range(2):
            async with house.database.write() as session:
                claims += await resyncs.claim(session, timedelta(0), limit=9, at=now())
        for claim, state in zip(claims, ("sent", "answered"), strict=True):
            async with house.database.write() as session:
                await resyncs.ended(session, [(claim, resyncs.End("answered", 200, "OK"))])
            (phone,) = (await account.viewer.get(f"/resyncs/{run.json['id']}")).json["data"]
            assert phone["state"] == state

    @sqlite
    async def test_a_device_that_is_deleted_takes_its_answers_along(self, at_switch: Account) -> None:
        run = await resync(at_switch)
        await ended(at_switch, run)
        await at_switch.admin.delete(f"/devices/{(await devices(at_switch))[FRONT_DESK]}")
        assert (await at_switch.viewer.get(f"/resyncs/{run.json['id']}")).json["data"] == []

    async def test_old_runs_are_deleted(self, start_house: StartHouse, at_switch: Account) -> None:
        old, new = await resync(at_switch), await resync(at_switch)
        await ended(at_switch, old)
        await ended(at_switch, new)
        async with at_switch.house.database.write() as session:
            row = await session.get_one(resyncs.Row, old.json["id"])
            row.created_at -= resyncs.KEPT
        await start_house(pace=QUICK, reach=HERE)
        async with asyncio.timeout(60):
            while (await at_switch.viewer.get(f"/resyncs/{old.json['id']}")).status != 404:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert (await at_switch.viewer.get(f"/resyncs/{new.json['id']}")).status == 200

    @sqlite
    async def test_no_password_is_in_the_log(
        self, at_switch: Account, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        await ended(at_switch, await at_switch.technician.post("/devices/resync", {}))
        assert "Kq7vTz2mWx94LpRd" not in caplog.text
