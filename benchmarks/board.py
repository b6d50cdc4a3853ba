"""How long the board of a rotation takes on an account with 10,000 phones.

    python -m benchmarks.board [--phones 10000] [--rounds 9]

Half of the phones are back, a tenth knocks, some say that they are another model; each has a boot of 6
requests in the boot log. Prints for each database the medians of the whole answer, of its counts alone (what
an open page asks for every few seconds), of one location with its 100 phones, of what a page shows, of a
search and of the CSV file: how long it took, the CPU of this process in it, and the longest time in which
nobody else was served meanwhile.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import tokens
from benchmarks.databases import database
from provisioning import accounts, board, board_csv, boot_log, devices, extensions, locations, sightings
from provisioning.accounts import General
from provisioning.api.board import BoardAnswer
from provisioning.board import Board, Filters
from provisioning.db import Base, Database, new_id, now
from provisioning.vault import open_vault

AT_ONE_SITE = 100
BOOT = (".boot", ".cfg", "-local.cfg", "-contact.xml", "-calllog.xml", "-sys.log")


async def insert(database: Database, table: type[Base], rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), 1000):
        async with database.write() as session:
            await session.execute(sa.insert(table), rows[start : start + 1000])


async def fill(database: Database, folder: Path, phones: int) -> str:
    vault, made = open_vault(folder / "keys.json"), now()
    async with database.write() as session:
        account = await accounts.add(session, vault, General(name="A", email="a@example.com"))
        await tokens.generate(session, vault, account.id, actor="benchmark")
        await tokens.rotate(session, vault, account.id, actor="benchmark")
    owned = {"account_id": account.id, "created_at": made}
    sites = [new_id("loc") for _ in range(-(-phones // AT_ONE_SITE))]
    await insert(
        database,
        locations.Row,
        [
            {**owned, "id": id, "name": f"Site {number:03}", "emergency_recipients": []}
            for number, id in enumerate(sites)
        ],
    )
    ids = [(new_id("ext"), new_id("dev"), f"805ec0{number:06x}") for number in range(phones)]
    rows: dict[type[Base], list[dict[str, Any]]] = {}
    for number, (line, device, mac) in enumerate(ids):
        told = {"number": str(100_000 + number), "display_name": "A", "sip_username": str(100_000 + number)}
        rows.setdefault(extensions.Row, []).append(
            {**owned, **told, "id": line, "sip_password": b"sealed", "voicemail_enabled": True}
        )
        rows.setdefault(devices.Row, []).append(
            {
                **owned,
                "id": device,
                "mac": mac,
                "vendor": "yealink",
                "model": "T54W",
                "name": f"Desk {number}",
                "location_id": sites[number // AT_ONE_SITE],
                "button_overrides": [],
                "options": {},
            }
        )
        rows.setdefault(devices.LineRow, []).append({"device_id": device, "index": 1, "extension_id": line})
        at = made + timedelta(seconds=1, milliseconds=number)
        back = number % 2 == 0
        refused = {"refused_at": at, "refused_ip": "192.0.2.7", "refused_generation": 1}
        rows.setdefault(sightings.Row, []).append(
            {
                "account_id": account.id,
                "mac": mac,
                "fetched_at": at if back else made - timedelta(days=1),
                "fetched_ip": "192.0.2.7",
                "generation": 2 if back else 1,
                **(refused if number % 10 == 1 else dict.fromkeys(refused)),
            }
        )
        for order, suffix in enumerate(BOOT):
            rows.setdefault(boot_log.Row, []).append(
                {
                    "time": at - timedelta(milliseconds=order),
                    "account_id": account.id,
                    "device_id": device,
                    "mac": mac,
                    "method": "GET",
                    "file": mac + suffix,
                    "status": 200,
                    "verdict": "served",
                    "reason": "the phone says model T46S, not T54W" if number % 100 == 0 else "",
                    "ip": "192.0.2.7",
                    "user_agent": "Yealink SIP-T54W 96.86.0.15 80:5e:c0:aa:bb:cc",
                    "generation": 2,
                    "bytes": 9000,
                }
            )
    for table, of_table in rows.items():
        await insert(database, table, of_table)
    return account.id


async def answer(found: Board) -> None:
    """As the API gives it."""
    made = await BoardAnswer.of(found)
    made.etag()
    made.model_dump_json()


async def csv_file(found: Board) -> None:
    await board_csv.export(found)


async def longest_wait(work: Awaitable[None]) -> float:
    """Seconds in which the loop did nothing else."""
    longest, last = 0.0, time.perf_counter()

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.001)
            at = time.perf_counter()
            longest, last = max(longest, at - last), at

    task = asyncio.create_task(tick())
    await work
    await asyncio.sleep(0)
    task.cancel()
    return longest


async def measure(url: str, folder: Path, options: argparse.Namespace) -> None:
    database = Database(url)
    await database.migrate()
    account_id = await fill(database, folder, options.phones)
    if url.startswith("postgresql"):
        async with database.write() as session:
            await session.execute(sa.text("ANALYZE"))
    async with database.read() as session:
        site = await session.scalar(sa.select(sa.func.min(locations.Row.id)))

    async def run(filters: Filters, limit: int | None, shape: Callable[[Board], Awaitable[None]]) -> None:
        async with database.read() as session:
            await shape(await board.read(session, account_id, filters, limit=limit))

    print(f"{url[:10]}: {options.phones} phones, median of {options.rounds}")
    for name, filters, limit, shape in (
        ("whole", Filters(), None, answer),
        ("counts alone", Filters(), 0, answer),
        ("one location", Filters(location_id=str(site)), None, answer),
        ("500 that are shown", Filters(), 500, answer),
        ("a search", Filters(text="desk 77"), 500, answer),
        ("CSV", Filters(), None, csv_file),
    ):
        times, spent, waits = [], [], []
        for _ in range(options.rounds):
            begun, cpu = time.perf_counter(), time.process_time()
            waits.append(await longest_wait(run(filters, limit, shape)))
            times.append(time.perf_counter() - begun)
            spent.append(time.process_time() - cpu)
        took, work, waited = (statistics.median(each) * 1e3 for each in (times, spent, waits))
        print(f"  {name:20} {took:7.1f} ms, {work:6.1f} ms of CPU, {waited:6.1f} ms at a stretch")
    await database.close()


async def main(options: argparse.Namespace) -> None:
    for kind in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
            await measure(url, Path(folder), options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--phones", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    asyncio.run(main(parser.parse_args()))
