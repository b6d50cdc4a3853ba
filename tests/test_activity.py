"""The activity log: nothing is missing from it, nothing changes in it, and a page of it is always quick."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa

import tokens
from benchmarks import activity as benchmark
from provisioning import activity, activity_search
from provisioning.activity import EVENTS, Entry, Filters, Row
from provisioning.activity_table import Head
from provisioning.db import Database
from provisioning.errors import Invalid, NotFound
from tests.conftest import House
from tests.shell import Shell

A, B = "acc_a", "acc_b"
YEALINK = "805ec0102001"


async def record(database: Database, account_id: str = A, event: str = "user.update", **more: str) -> Entry:
    said = {"resource": "user/usr_1", "actor": "user/ann@example.com", "ip": "192.0.2.7", **more}
    outcome = said.pop("outcome", "success")
    async with database.write() as session:
        return await activity.record(session, account_id, event, outcome=outcome, **said)  # type: ignore[arg-type]


async def entries(database: Database, filters: Filters = Filters(), account_id: str = A) -> list[Entry]:  # noqa: B008
    """All entries that the filters let through, page by page."""
    found: list[Entry] = []
    cursor = None
    async with database.read() as session:
        for _ in range(200):
            page, cursor = await activity.page(session, account_id, filters, limit=7, cursor=cursor)
            assert len(page) <= 7
            found += page
            if cursor is None:
                return found
    raise AssertionError("the pages do not end")


async def verify(database: Database, account_id: str | None = A) -> str | None:
    async with database.read() as session:
        return await activity.verify(session, account_id)


# An entry


async def test_it_works(database: Database) -> None:
    made = await record(database, event="device.create", resource="device/dev_1", outcome="failure")
    assert await entries(database) == [made]
    assert made.as_json() == {
        "id": made.id,
        "time": made.time.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "event": "device.create",
        "resource": "device/dev_1",
        "actor": "user/ann@example.com",
        "outcome": "failure",
        "ip": "192.0.2.7",
        "detail": {},
    }
    assert made.id.startswith("act_")


@pytest.mark.parametrize("event", ["user.destroy", "user.*", "", "User.create"])
async def test_an_event_that_is_not_on_the_list_is_refused(database: Database, event: str) -> None:
    with pytest.raises(ValueError, match="not an event"):
        await record(database, event=event)
    assert await entries(database) == []


def test_the_list_of_events_is_the_contracts() -> None:
    assert EVENTS["user.create"] == EVENTS["token.rotate"] == EVENTS["fax.admit"] == "write"
    assert EVENTS["user.list"] == EVENTS["device.reveal"] == EVENTS["phone.fetch"] == "read"
    assert all(re.fullmatch(r"[a-z_]+\.[a-z_]+", name) for name in EVENTS)
    families = [
        "location",
        "extension",
        "phone_number",
        "audio_clip",
        "user",
        "api_key",
        "device",
        "button_template",
    ]
    for family in families:
        assert {f"{family}.{verb}" for verb in ["list", "read", "create", "update", "delete"]} <= set(EVENTS)


async def test_no_entry_is_left_by_a_transaction_that_fails(database: Database) -> None:
    first = await record(database)
    with pytest.raises(RuntimeError):
        async with database.write() as session:
            await activity.record(session, A, "user.create", "user/usr_2", actor="system")
            raise RuntimeError
    second = await record(database)
    assert await entries(database) == [second, first]
    assert await verify(database) is None


async def test_a_detail_is_read_as_it_was_written(database: Database) -> None:
    detail = {"name": {"old": "Zoë \ud83d", "new": None}, "lines": [1, 2.5], "count": 2**70}
    async with database.write() as session:
        made = await activity.record(
            session,
            A,
            "user.update",
            "user/1",
            actor="system",
            detail=detail | {"pair": (1, 2), "by": {10: 2}},
        )
    assert (await entries(database))[0].detail == detail | {"pair": [1, 2], "by": {"10": 2}} == made.detail
    assert await verify(database) is None


async def test_what_a_stranger_sends_is_made_fit_for_the_log(database: Database) -> None:
    made = await record(database, actor="user/a\0\ud800\r\n" + "x" * 5000, ip="", account_id="")
    assert made.actor == "user/a????" + "x" * 245
    assert await entries(database, Filters(actor="user/a\0"), account_id="") == [made]


async def test_entries_follow_each_other_in_time_even_when_servers_clocks_differ(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [datetime(2026, 11, 24, 12, 0, second, tzinfo=UTC) for second in (5, 1, 5)]
    monkeypatch.setattr(activity, "now", lambda: times.pop(0))
    made = [await record(database) for _ in range(3)]
    assert [entry.time.microsecond for entry in made] == [0, 1, 2]
    assert await entries(database) == made[::-1]


async def test_a_clock_that_was_far_ahead_does_not_set_the_time_of_what_follows(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = datetime(2026, 11, 24, 12, tzinfo=UTC)
    times = [right + timedelta(days=365), right]
    monkeypatch.setattr(activity, "now", lambda: times.pop(0))
    made = [await record(database) for _ in range(2)]
    assert made[1].time == right
    assert await entries(database) == made
    assert await verify(database) is None


# Filters


@pytest.fixture
async def log(database: Database) -> list[Entry]:
    """Oldest first; another account has the same."""
    rows = [
        ("user.create", "user/usr_1", "user/ann@example.com", "success", "192.0.2.7"),
        ("user.read", "user/usr_10", "user/ann_b@example.com", "denied", "192.0.2.70"),
        ("device.update", "device/dev_1", "api_key/ak_1", "failure", "2001:db8::7"),
        ("device.read", "device/dev_2", "api_key/ak_1", "success", "198.51.100.2"),
        ("account.load", "account/100%", "system", "success", ""),
    ]
    made = []
    for event, resource, actor, outcome, ip in rows:
        said = {"event": event, "resource": resource, "actor": actor, "outcome": outcome, "ip": ip}
        made.append(await record(database, A, **said))
        await record(database, B, **said)
    return made


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), [0, 1, 2, 3, 4]),
        (Filters(events=frozenset({"user.read"})), [1]),
        (Filters(events=frozenset({"user.read", "device.read", "fax.admit"})), [1, 3]),
        (Filters(resource="user/"), [0, 1]),
        (Filters(resource="user/usr_1"), [0, 1]),
        (Filters(resource="user/usr_10"), [1]),
        (Filters(resource="ser/"), []),
        (Filters(actor="user/ann"), [0, 1]),
        (Filters(actor="user/ann@"), [0]),
        (Filters(actor="system"), [4]),
        (Filters(outcome="success"), [0, 3, 4]),
        (Filters(outcome="denied"), [1]),
        (Filters(outcome="failure"), [2]),
        (Filters(ip="192.0.2.7"), [0, 1]),
        (Filters(ip="2.70"), [1]),
        (Filters(ip="2001:DB8"), [2]),
        (Filters(ip="203"), []),
        (Filters(resource="device/", outcome="success"), [3]),
        (Filters(events=frozenset({"user.read"}), outcome="success"), []),
        (
            Filters(events=frozenset({"user.read"}), resource="user", actor="user", outcome="denied", ip="."),
            [1],
        ),
    ],
)
async def test_each_filter_alone_and_several_together(
    database: Database, log: list[Entry], filters: Filters, expected: list[int]
) -> None:
    assert await entries(database, filters) == [log[index] for index in reversed(expected)]


@pytest.mark.parametrize("text", ["%", "_", "user/%", "user/usr__", "\\", "user/\\", "'", "\0", "\ud800"])
async def test_no_character_of_a_filter_is_special(database: Database, log: list[Entry], text: str) -> None:
    for filters in (Filters(resource=text), Filters(actor=text), Filters(ip=text)):
        assert await entries(database, filters) == []
    assert await entries(database, Filters(resource="account/100%")) == [log[4]]
    assert await entries(database, Filters(actor="user/ann_")) == [log[1]]


async def test_the_start_is_included_and_the_end_is_not(database: Database, log: list[Entry]) -> None:
    assert await entries(database, Filters(start=log[1].time, end=log[3].time)) == [log[2], log[1]]
    assert await entries(database, Filters(start=log[3].time, end=log[1].time)) == []
    zone = datetime.fromisoformat("2026-01-01T00:00:00+05:00").tzinfo
    assert await entries(database, Filters(end=log[1].time.astimezone(zone))) == [log[0]]


async def test_an_account_sees_its_own_entries_only(database: Database, log: list[Entry]) -> None:
    assert {entry.account_id for entry in await entries(database)} == {A}
    assert await entries(database, account_id="acc_c") == []


async def test_any_filters_find_what_a_look_at_every_entry_finds(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With so small bounds that a few hundred entries are many, and every way of searching is taken."""
    bounds = {"NEWEST": 10, "SCAN": 30, "ALONG": 12, "_VALUES": 6, "_LANES": 4}
    for name, bound in bounds.items():
        monkeypatch.setattr(activity_search, name, bound)
    chance = random.Random(11)
    hour = datetime(2026, 11, 24, tzinfo=UTC)
    made: list[Entry] = []
    monkeypatch.setattr(activity, "now", lambda: hour + timedelta(minutes=7 * len(made)))
    async with database.write() as session:
        for number in range(400):
            young = number > 250
            made.append(
                await activity.record(
                    session,
                    A,
                    chance.choice(["user.read"] * 20 + ["user.update", "device.read"]),
                    f"{'device' if young else 'extension'}/{chance.randrange(3 if young else 40)}",
                    actor=f"user/{int(20 * chance.random() ** 3)}",
                    outcome=chance.choices(["success", "failure", "denied"], [1, 0.2, 0.02])[0],  # type: ignore[arg-type]
                    ip=f"10.0.{chance.randrange(3)}.{int(30 * chance.random() ** 2)}",
                )
            )
    for _ in range(60):
        some = Filters(
            start=chance.choice([None, None, made[chance.randrange(400)].time]),
            end=chance.choice([None, None, made[chance.randrange(400)].time]),
            events=frozenset(chance.choice([(), (), ("user.update",), ("user.update", "device.read")])),
            resource=chance.choice(
                ["", "", "extension/", "extension/1", "extension/39", "device/", "device/2"]
            ),
            actor=chance.choice(["", "", "user/", "user/1", "user/19", "system"]),
            outcome=chance.choice(["", "", "success", "failure", "denied"]),
            ip=chance.choice(["", "", ".0.2", "10.0.1.1", "29", "."]),
        )
        assert await entries(database, some) == [entry for entry in reversed(made) if _passes(some, entry)]


def _passes(some: Filters, entry: Entry) -> bool:
    return (
        (some.start is None or some.start <= entry.time)
        and (some.end is None or entry.time < some.end)
        and (not some.events or entry.event in some.events)
        and entry.resource.startswith(some.resource)
        and entry.actor.startswith(some.actor)
        and some.outcome in ("", entry.outcome)
        and some.ip in entry.ip
    )


# Pages


async def test_pages_neither_repeat_nor_miss_an_entry_while_new_ones_come_in(database: Database) -> None:
    old = [await record(database) for _ in range(20)]
    seen: list[Entry] = []
    cursor = None
    while True:
        async with database.read() as session:
            page, cursor = await activity.page(session, A, Filters(actor="user/ann"), limit=6, cursor=cursor)
        seen += page
        await record(database)
        if cursor is None:
            break
    assert seen == old[::-1]


async def test_a_search_gets_on_where_more_values_than_it_looks_at_were_used_lately(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, bound in {"NEWEST": 2, "SCAN": 3, "ALONG": 2, "_VALUES": 2, "_LANES": 2}.items():
        monkeypatch.setattr(activity_search, name, bound)
    actors = [f"user/{number}" for number in (0, 4, 3, 2, 4, 3, 1)] + ["system"] * 6
    made = [await record(database, actor=actor) for actor in actors]
    assert await entries(database, Filters(actor="user/")) == made[:7][::-1]
    assert await entries(database, Filters(actor="user/", ip="192.")) == made[:7][::-1]


async def test_a_full_last_page_has_no_cursor(database: Database) -> None:
    for _ in range(3):
        await record(database)
    async with database.read() as session:
        page, cursor = await activity.page(session, A, Filters(), limit=3)
    assert (len(page), cursor) == (3, None)


@pytest.mark.parametrize(
    "cursor", ["", "x", "act_1", "////////////", "_" * 11, "AAAAAAAAAAA=", "A" * 300, "é\0"]
)
async def test_a_cursor_that_no_page_gave_is_refused(database: Database, cursor: str) -> None:
    async with database.read() as session:
        with pytest.raises(Invalid, match="cursor"):
            await activity.page(session, A, Filters(), cursor=cursor)


@pytest.fixture
async def large(database_url: str) -> AsyncIterator[Database]:
    await benchmark.build(database_url, 40_000)
    database = Database(database_url)
    yield database
    await database.close()


async def test_no_page_reads_the_whole_log(large: Database) -> None:
    """Each query goes through an index, and takes no more than its bound of entries from there."""
    async with large.read() as session:
        for name, filters in benchmark.cases():
            for page in ({}, {"cursor": activity_search._to_cursor(benchmark.BEGIN + benchmark.SPAN / 3)}):
                async for plan in benchmark.explain(session, benchmark.ACCOUNT, filters, **page):
                    for way in plan["ways"]:
                        assert re.match(r"SEARCH |Index (Only )?Scan ", way), (name, way)
                    assert plan.get("rows", 0) <= 21_000, name
        assert await activity.verify(session, benchmark.OTHERS[0]) is None


# The chain


async def tamper(database: Database, *statements: str) -> None:
    """Changes rows as somebody does who is at home in the database."""
    async with database.write() as session:
        if session.get_bind().dialect.name == "postgresql":
            await session.execute(sa.text("ALTER TABLE activity DISABLE TRIGGER USER"))
        else:
            await session.execute(sa.text("DROP TRIGGER activity_refuses_update"))
            await session.execute(sa.text("DROP TRIGGER activity_refuses_delete"))
        for statement in statements:
            await session.execute(sa.text(statement))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE activity SET event = 'user.read'",
        "DELETE FROM activity",
        "UPDATE activity SET event = 'user.read' WHERE seq = 1",
        "DELETE FROM activity WHERE seq = 1",
    ],
)
async def test_the_database_itself_refuses_to_change_or_remove_an_entry(
    database: Database, statement: str
) -> None:
    made = await record(database)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"):
        async with database.write() as session:
            await session.execute(sa.text(statement))
    assert await entries(database) == [made]


async def test_an_untouched_log_is_whole(
    database: Database, log: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "_SLICE", 2)
    assert await verify(database, A) is None
    assert await verify(database, None) is None


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE activity SET actor = 'user/bob' WHERE seq = 2", 1),
        ("UPDATE activity SET resource = 'user/usr_9' WHERE seq = 2", 1),
        ("UPDATE activity SET event = 'user.list' WHERE seq = 2", 1),
        ("UPDATE activity SET outcome = 'success' WHERE seq = 2", 1),
        ("UPDATE activity SET ip = '192.0.2.71' WHERE seq = 2", 1),
        ("UPDATE activity SET detail = '{\"a\": 1}' WHERE seq = 2", 1),
        ("UPDATE activity SET time = '2020-01-01 00:00:00.000000' WHERE seq = 2", 1),
        ("UPDATE activity SET hash = (SELECT max(hash) FROM activity_heads) WHERE seq = 2", 1),
        ("DELETE FROM activity WHERE seq = 1", 1),
        ("DELETE FROM activity WHERE seq = 3", 3),
        ("DELETE FROM activity WHERE seq = 5", 4),
        ("DELETE FROM activity", 4),
        ("DELETE FROM activity_heads", 0),
        ("UPDATE activity_heads SET seq = 4", 4),
    ],
)
async def test_a_change_behind_the_servers_back_is_found(
    database: Database, log: list[Entry], statement: str, broken: int
) -> None:
    where = " AND" if "WHERE seq" in statement else " WHERE"
    await tamper(database, f"{statement}{where} account_id = '{A}'")
    assert await verify(database, A) == await verify(database, None) == log[broken].id
    assert await verify(database, B) is None


async def test_entries_that_changed_places_are_found(database: Database, log: list[Entry]) -> None:
    moves = ((2, 99), (3, 2), (99, 3))
    await tamper(
        database,
        *(f"UPDATE activity SET seq = {to} WHERE seq = {of} AND account_id = '{A}'" for of, to in moves),
    )
    assert await verify(database) == log[2].id


async def test_an_entry_of_another_account_is_found(database: Database, log: list[Entry]) -> None:
    await tamper(
        database,
        f"UPDATE activity SET account_id = '{A}', seq = 6, time = '2100-01-01 00:00:00.000000' "
        f"WHERE seq = 5 AND account_id = '{B}'",
    )
    broken = await verify(database, A)
    assert broken not in {None, *(entry.id for entry in log)}


async def test_an_account_without_activity_is_not_called_whole(database: Database) -> None:
    with pytest.raises(NotFound):
        await verify(database, "acc_typo")
    assert await verify(database, None) is None


async def test_many_servers_at_once_leave_one_unbroken_chain(database_url: str) -> None:
    servers = [Database(database_url) for _ in range(4)]
    await asyncio.gather(
        *(record(server, account_id) for server in servers for account_id in (A, B, "") for _ in range(12))
    )
    async with servers[0].read() as session:
        seqs = list(await session.scalars(sa.select(Row.seq).where(Row.account_id == A).order_by(Row.time)))
        assert seqs == list(range(1, 49))
        assert await activity.verify(session) is None
        assert len(await entries(servers[0])) == 48
    for server in servers:
        await server.close()


async def test_what_was_entered_before_there_was_a_chain_is_carried_over(empty_url: str) -> None:
    database = Database(empty_url)
    columns = ("id", "account_id", "event", "resource", "actor", "outcome", "ip")
    old = sa.table(
        "activity", *map(sa.column, columns), sa.column("time", Row.time.type), sa.column("detail", sa.JSON)
    )
    at = datetime(2024, 11, 24, 12, 0, 0, 5, tzinfo=UTC)
    row = dict.fromkeys(columns, "x") | {"event": "account.load", "outcome": "success", "time": at}

    def before(connection: sa.Connection) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(resources.files("provisioning") / "migrations"))
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0001")
        rows = [
            row | {"id": f"act_{n}", "account_id": A if n % 2 else B, "detail": {"é": n}} for n in range(6)
        ]
        connection.execute(sa.insert(old), rows)

    async with database.write() as session:
        await (await session.connection()).run_sync(before)
    await database.migrate()
    found = await entries(database)
    assert [entry.id for entry in found] == ["act_5", "act_3", "act_1"]
    assert [entry.time - at for entry in found] == [timedelta(microseconds=n) for n in (2, 1, 0)]
    assert found[0].detail == {"é": 5}
    made = await record(database)
    assert await entries(database, Filters(events=frozenset({"account.load"}))) == found
    assert await entries(database) == [made, *found]
    assert await verify(database, None) is None
    await database.close()


def test_the_command_names_the_first_broken_entry(tmp_path: Path) -> None:
    run = Shell(tmp_path).run
    run("account", "add", "--name", "A", "--email", "a@example.com")
    done = run("verify-activity")
    assert (done.returncode, done.stdout) == (0, "The activity log is whole.\n")
    assert run("verify-activity", "--account", "acc_typo").returncode == 1

    async def forge() -> str:
        database = Database(f"sqlite:///{tmp_path}/var/provisioning.db")
        await tamper(database, "UPDATE activity SET actor = 'user/bob'")
        async with database.read() as session:
            made = await session.scalar(sa.select(Row.id))
        await database.close()
        return str(made)

    made = asyncio.run(forge())
    done = run("verify-activity")
    assert (done.returncode, done.stdout) == (1, f"The activity log is broken at {made}.\n")


# Phones that ask with a rotated token


async def stale(database: Database, mac: str = YEALINK, ip: str = "192.0.2.9") -> None:
    async with database.write() as session:
        await activity.record_stale_fetch(session, A, mac, ip=ip)


async def test_a_stale_fetch_is_entered_once_per_phone_and_hour(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = datetime(2026, 11, 24, 12, 30, tzinfo=UTC)
    monkeypatch.setattr(activity, "now", lambda: time)
    await stale(database)
    await stale(database)
    await stale(database, "64167f102005")
    time += timedelta(minutes=59)
    await stale(database)
    assert len(await entries(database)) == 2
    time += timedelta(minutes=1)
    await stale(database)
    found = await entries(database)
    assert [entry.actor for entry in found] == [f"phone/{m}" for m in (YEALINK, "64167f102005", YEALINK)]
    assert {(entry.event, entry.outcome, entry.ip) for entry in found} == {
        ("phone.fetch", "denied", "192.0.2.9")
    }
    assert all(entry.resource == entry.actor for entry in found)


async def test_a_stale_fetch_is_entered_once_when_many_come_to_several_servers(database_url: str) -> None:
    servers = [Database(database_url) for _ in range(4)]
    await asyncio.gather(*(stale(server) for server in servers for _ in range(5)))
    assert len(await entries(servers[0])) == 1
    for server in servers:
        await server.close()


async def test_a_phone_with_a_rotated_url_is_entered_and_a_stranger_is_not(house: House, sample: str) -> None:
    loaded = await house.load(sample)
    async with house.database.write() as session:
        await tokens.rotate(session, house.vault, loaded.account_id, actor="system")
    for file in (f"{YEALINK}.cfg", f"{YEALINK}.cfg", f"{YEALINK}-contacts.xml", "805ec0ffffff.cfg", "y0.cfg"):
        async with house.http.get(f"{loaded.provisioning_url}{file}") as answer:
            assert answer.status == 404
    await house.log.flush()
    found = await entries(house.database, Filters(outcome="denied"), loaded.account_id)
    assert [replace(entry, id="", time=entry.time) for entry in found] == [
        Entry(
            id="",
            account_id=loaded.account_id,
            time=found[0].time,
            event="phone.fetch",
            resource=f"phone/{YEALINK}",
            actor=f"phone/{YEALINK}",
            outcome="denied",
            ip="127.0.0.1",
            detail={},
        )
    ]
    assert await verify(house.database, None) is None


async def test_the_log_holds_the_end_of_each_chain_apart(database: Database, log: list[Entry]) -> None:
    async with database.read() as session:
        heads = (await session.execute(sa.select(Head.account_id, Head.seq).order_by(Head.account_id))).all()
    assert [tuple(head) for head in heads] == [(A, 5), (B, 5)]
