"""How long the admission of a fax takes on an account that has 100,000 an hour, and a day of them kept.

    python -m benchmarks.faxes [--hourly 100000] [--hours 24] [--runs 300]

prints for each database the median and 99th percentile in milliseconds of an admission, of a refusal and
of the same fax again, without the commit.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from benchmarks.databases import database
from provisioning import accounts, faxes
from provisioning.accounts import General
from provisioning.db import Database, new_id
from provisioning.errors import TooMany
from provisioning.faxes import FaxForm, Row
from provisioning.vault import open_vault

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
SLICE = 10_000


async def fill(database: Database, account_id: str, hourly: int, hours: int) -> None:
    total, step = hourly * hours, timedelta(hours=1) / hourly
    for start in range(1, total + 1, SLICE):
        rows = [
            {
                "account_id": account_id,
                "direction": "inbound",
                "seq": seq,
                "fax_id": f"{seq * 2654435761 % 2**32:08x}-{seq}@sip.example.com",
                "time": END - (total - seq) * step,
            }
            for seq in range(start, min(start + SLICE, total + 1))
        ]
        async with database.write() as session:
            await session.execute(sa.insert(Row), rows)


async def measure(url: str, folder: Path, options: argparse.Namespace) -> None:
    database = Database(url)
    await database.migrate()
    async with database.write() as session:
        vault = open_vault(folder / "keys.json")
        account = await accounts.add(session, vault, General(name="A", email="a@example.com"))
    began = time.perf_counter()
    await fill(database, account.id, options.hourly, options.hours)
    print(f"{url[:10]}: {options.hourly * options.hours} rows in {time.perf_counter() - began:.0f} s")
    for name, limit, again in (
        ("admitted, limit above", options.hourly * 10, False),
        ("admitted, no limit", None, False),
        ("refused, limit below", options.hourly // 2, False),
        ("the same again", options.hourly * 10, True),
    ):
        times = []
        for run in range(options.runs):
            fax = FaxForm(direction="inbound", fax_id="again" if again else new_id("fax"))
            at = END + run * timedelta(milliseconds=36)
            async with database.write() as session:
                started = time.perf_counter()
                with suppress(TooMany):
                    await faxes.admit(session, account.id, fax, limit=limit, at=at)
                times.append((time.perf_counter() - started) * 1000)
        median, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(f"  {name:24} {median:6.2f} ms  p99 {p99:6.2f} ms")
    await database.close()


async def main(options: argparse.Namespace) -> None:
    for kind in ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as folder, database(kind, Path(folder)) as url:
            await measure(url, Path(folder), options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hourly", type=int, default=100_000)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--runs", type=int, default=300)
    asyncio.run(main(parser.parse_args()))
