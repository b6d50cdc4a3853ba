"""How long a page of the activity log takes when the log is large.

    python -m benchmarks.activity [--rows 5000000] [--database sqlite|postgresql] [--runs 100]

builds the log of one account among others and prints, for each filter, the first page's median and 99th
percentile in milliseconds, the first run's, and what the worst of its queries reads by its plan.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from benchmarks.databases import database
from provisioning import activity
from provisioning.activity import EVENTS, Entry, Filters
from provisioning.activity_table import START, Head, Row, Value, link, values
from provisioning.db import Database, new_id

ACCOUNT = "acc_0000000000000000000000main"
OTHERS = [f"acc_00000000000000000000other{n}" for n in range(9)]
BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=730)
GOAL = 20  # ms

USERS = [f"user/person{n:03}@example.com" for n in range(300)]
KEYS = [f"api_key/ak_{n:026}" for n in range(10)]
DEVICES = [f"device/dev_{n:026}" for n in range(3000)]
EXTENSIONS = [f"extension/ext_{n:026}" for n in range(3000)]
ADDRESSES = [f"10.1.{n % 4}.{n // 4}" for n in range(400)]
COMMON = ["device.read"] * 6 + ["device.list"] * 4 + ["activity.list"] * 2 + ["account.read"] * 2
USUAL = [*COMMON, "telephony.read", "button_template.list", "device.update", "button_template.update"]


@dataclass
class Chain:
    seq: int = 0
    hash: bytes = START


def entries(rows: int) -> Iterator[Entry]:
    """`rows` entries of the account and a ninth as many of others, as they came in."""
    chance = random.Random(7)
    for n in range(rows):
        at = BEGIN + SPAN * (n / rows)
        yield _entry(ACCOUNT, at, n / rows, n, chance)
        if n % 9 == 0:
            yield _entry(OTHERS[n // 9 % len(OTHERS)], at, n / rows, n, chance)


def _entry(account_id: str, at: datetime, age: float, n: int, chance: random.Random) -> Entry:
    """Usual work; in the log's first 5 % extensions are made, at 40 % a rotation leaves 5,000 phones behind,
    failures end at 50 %; of a token's first generation, of one address and of one user there are few."""
    draw = chance.random()
    event, resource = USUAL[int(draw * len(USUAL))], DEVICES[int(3000 * chance.random())]
    actor = USERS[int(299 * chance.random() ** 3)] if draw > 0.4 else KEYS[n % 10]
    outcome, ip = "denied" if chance.random() < 0.01 else "success", ADDRESSES[int(400 * chance.random())]
    if age < 0.05 and draw < 0.2:
        event, resource = "extension.create", EXTENSIONS[n % 3000]
    elif 0.4 < age < 0.41 and draw < 0.5:
        actor = resource = f"phone/805ec0{n % 5000:06x}"
        event, outcome = "phone.fetch", "denied"
    elif age < 0.5 and draw < 0.001:
        outcome = "failure"
    if 1000 <= n < 1003:
        event, resource, actor, ip = "token.generate", f"account/{account_id}", USERS[299], "203.0.113.77"
    return Entry(new_id("act"), account_id, at, event, resource, actor, outcome, ip, {})


def rows(made: Iterable[Entry], chains: dict[str, Chain], last: dict[Any, Any]) -> Iterator[tuple[Any, ...]]:
    """The rows of the table; on the way, the chains' ends and the values are collected."""
    for entry in made:
        chain = chains.setdefault(entry.account_id, Chain())
        chain.seq += 1
        chain.hash = link(chain.hash, entry, chain.seq)
        for value in values(entry):
            last[value["account_id"], value["field"], value["value"]] = value["last"]
        yield (*astuple(entry), chain.seq, chain.hash)


async def build(url: str, count: int) -> None:
    database = Database(url)
    await database.migrate()
    # Built afterwards, as every bulk load does.
    indexes = list(cast(sa.Table, Row.__table__).indexes)
    async with database.write() as session:
        for index in indexes:
            await session.execute(sa.schema.DropIndex(index))
    chains: dict[str, Chain] = {}
    last: dict[Any, Any] = {}
    made = rows(entries(count), chains, last)
    if url.startswith("sqlite"):
        _fill_sqlite(url.removeprefix("sqlite:///"), made)
    else:
        await _fill_postgresql(url, made)
    async with database.write() as session:
        for index in indexes:
            await session.execute(sa.schema.CreateIndex(index))
        heads = [
            {"account_id": a, "seq": c.seq, "hash": c.hash, "time": BEGIN + SPAN, "entry_id": ""}
            for a, c in chains.items()
        ]
        await session.execute(sa.insert(Head), heads)
        known = [{"account_id": a, "field": f, "value": v, "last": t} for (a, f, v), t in last.items()]
        await session.execute(sa.insert(Value), known)
    await database.close()


def _fill_sqlite(file: str, made: Iterator[tuple[Any, ...]]) -> None:
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA synchronous = OFF")
    while slice_ := [(*r[:2], _bare(r[2]), *r[3:8], "{}", *r[9:]) for r in islice(made, 50_000)]:
        connection.executemany("INSERT INTO activity VALUES (?,?,?,?,?,?,?,?,?,?,?)", slice_)  # as migrated
        connection.commit()
    connection.close()


def _bare(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")


async def _fill_postgresql(url: str, made: Iterator[tuple[Any, ...]]) -> None:
    connection = await asyncpg.connect(url)
    try:
        while slice_ := [(*r[:8], "{}", *r[9:]) for r in islice(made, 50_000)]:
            await connection.copy_records_to_table("activity", records=slice_)
        await connection.execute("VACUUM ANALYZE activity")  # autovacuum's work, done before we measure
    finally:
        await connection.close()


def cases() -> Iterator[tuple[str, Filters]]:
    month = BEGIN + SPAN / 2
    reads = frozenset(name for name, kind in EVENTS.items() if kind == "read")
    yield "no filter", Filters()
    yield "time: a day in the middle", Filters(start=month, end=month + timedelta(days=1))
    yield "event: one, common", Filters(events=frozenset({"device.read"}))
    yield "event: one, three old entries", Filters(events=frozenset({"token.generate"}))
    yield "event: one, none", Filters(events=frozenset({"token.rotate"}))
    yield "event: all reads", Filters(events=reads)
    yield "event: all writes", Filters(events=frozenset(EVENTS) - reads)
    yield "resource: prefix, common", Filters(resource="device/")
    yield "resource: one device", Filters(resource=DEVICES[77])
    yield "resource: prefix, 1,000 devices", Filters(resource=DEVICES[1000][:-3])
    yield "resource: prefix, 3,000 old values", Filters(resource="extension/")
    yield "resource: three old entries", Filters(resource="account/")
    yield "resource: none", Filters(resource="location/")
    yield "actor: prefix, common", Filters(actor="user/")
    yield "actor: one user", Filters(actor=USERS[250])
    yield "actor: prefix, 5,000 old values", Filters(actor="phone/")
    yield "actor: one phone", Filters(actor="phone/805ec0000123")
    yield "actor: three old entries", Filters(actor=USERS[299])
    yield "outcome: success", Filters(outcome="success")
    yield "outcome: denied", Filters(outcome="denied")
    yield "outcome: failure, only old", Filters(outcome="failure")
    yield "ip: whole", Filters(ip="10.1.3.99")
    yield "ip: part, common", Filters(ip=".1.")
    yield "ip: part, three old entries", Filters(ip="0.113")
    yield "ip: none", Filters(ip="%")
    yield "common event + outcome", Filters(events=frozenset({"device.update"}), outcome="denied")
    yield (
        "user + event + a month",
        Filters(
            start=month, end=month + timedelta(days=30), actor=USERS[9], events=frozenset({"device.update"})
        ),
    )
    yield "user + device", Filters(actor=USERS[3], resource=DEVICES[77])
    yield "old phones + an address", Filters(actor="phone/", ip="10.1.3.99")
    yield (
        "writes + failure + part of ip",
        Filters(events=frozenset(EVENTS) - reads, outcome="failure", ip=".1.3"),
    )
    yield (
        "all filters",
        Filters(
            start=BEGIN,
            end=month,
            events=reads,
            resource="device/",
            actor="user/",
            outcome="failure",
            ip="10.1",
        ),
    )
    yield "common apart, never together", Filters(events=frozenset({"extension.create"}), outcome="failure")
    early = BEGIN + SPAN * 0.04
    yield "far back: extensions", Filters(end=early, resource="extension/")
    yield "far back: one user, denied", Filters(end=early, actor=USERS[250], outcome="denied")
    yield "users + failure since the middle", Filters(actor=USERS[0], outcome="failure", start=month)


async def measure(database: Database, runs: int) -> None:
    print(f"{'filter':36} {'rows':>4} {'more':>4} {'first':>7} {'median':>7} {'p99':>7}  worst query")
    for name, filters in [*cases()]:
        times = []
        for _ in range(runs):
            async with database.read() as session:
                await session.connection()
                began = time.perf_counter()
                found, cursor = await activity.page(session, ACCOUNT, filters)
                times.append((time.perf_counter() - began) * 1000)
        async with database.read() as session:
            worst = await worst_plan(session, ACCOUNT, filters)
        first, sorted_ = times[0], sorted(times)
        p99 = sorted_[max(0, int(len(sorted_) * 0.99) - 1)]
        late = " <- over the goal" if p99 > GOAL else ""
        print(
            f"{name:36} {len(found):4} {'yes' if cursor else 'no':>4} {first:7.1f} "
            f"{statistics.median(times):7.1f} {p99:7.1f}  {worst}{late}",
            flush=True,
        )


async def worst_plan(session: AsyncSession, account_id: str, filters: Filters, **page: Any) -> str:
    """What the queries of a page read: on PostgreSQL the most rows that one of them takes from the log, on
    SQLite the ways into its tables. A `SCAN` of the log would be a read of all of it."""
    plans = [plan async for plan in explain(session, account_id, filters, **page)]
    if session.get_bind().dialect.name == "postgresql":
        rows = max(plan["rows"] for plan in plans)
        return f"{rows:,} rows by " + ", ".join(sorted({way for plan in plans for way in plan["ways"]}))
    return ", ".join(sorted({way for plan in plans for way in plan["ways"]}))


async def explain(
    session: AsyncSession, account_id: str, filters: Filters, **page: Any
) -> AsyncIterator[dict[str, Any]]:
    """The plan of each query of a page: `ways` into the log's tables, on PostgreSQL also the `rows` read."""
    connection = await session.connection()
    sync = connection.sync_connection
    assert sync is not None
    sent: list[tuple[str, Any]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        sent.append((statement, parameters))

    sa.event.listen(sync, "before_cursor_execute", note)
    await activity.page(session, account_id, filters, **page)
    sa.event.remove(sync, "before_cursor_execute", note)
    for statement, parameters in sent:
        if connection.dialect.name == "sqlite":
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            yield {"ways": {_sqlite_way(way) for *_, way in plan.all() if "activity" in way}}
        else:
            text = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
            plan = await connection.exec_driver_sql(text, parameters)
            whole = plan.scalar_one()
            nodes = [*_nodes((json.loads(whole) if isinstance(whole, str) else whole)[0]["Plan"])]
            yield {"ways": {way for way, _ in nodes}, "rows": sum(rows for _, rows in nodes)}


def _sqlite_way(detail: str) -> str:
    """`SEARCH activity USING INDEX ix (account_id=? AND …)` without the columns."""
    words = detail.split(" (")[0].split()
    return f"{words[0]} {words[-1]}" if words[-1].startswith("ix_") else " ".join(words)


def _nodes(node: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Each look into a table of the log, and the rows that it took from there."""
    if node.get("Relation Name", node.get("Index Name", "")).startswith(
        ("activity", "ix_activity", "pk_act")
    ):
        taken = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        way = f"{node['Node Type']} {node.get('Index Name', node.get('Relation Name'))}"
        yield way, round(taken * node["Actual Loops"])
    for child in node.get("Plans", ()):
        yield from _nodes(child)


async def inserts(database: Database, runs: int) -> None:
    times = []
    for n in range(runs):
        began = time.perf_counter()
        async with database.write() as session:
            await activity.record(
                session, ACCOUNT, "device.read", DEVICES[n], actor=USERS[n % 300], ip="10.1.0.1"
            )
        times.append((time.perf_counter() - began) * 1000)
    print(f"one entry and its commit: median {statistics.median(times):.2f} ms, worst {max(times):.1f} ms")


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], action="append")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--verify", action="store_true", help="also walk the whole chain")
    options = parser.parse_args()
    for kind in options.database or ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
            began = time.perf_counter()
            await build(url, options.rows)
            print(f"\n{kind}: {options.rows:,} entries built in {time.perf_counter() - began:.0f} s")
            log = Database(url)
            await measure(log, options.runs)
            if options.verify:
                began = time.perf_counter()
                async with log.read() as session:
                    broken = await activity.verify(session, ACCOUNT)
                print(f"the chain walked in {time.perf_counter() - began:.0f} s: {broken or 'whole'}")
            await inserts(log, options.runs)
            await log.close()


if __name__ == "__main__":
    asyncio.run(main())
