"""How long a recipient waits for the mail of an emergency call, and that none is missed in a storm.

    python -m benchmarks.emergency [--calls 1000] [--recipients 5] [--workers 2] [--gap 0.1]
        [--database sqlite|postgresql] [--faults 0] [--kills 0]

reports calls to several server processes and prints the median and the 99th percentile of the seconds from
report to delivery; the goal is under 5 with relays that work. `--faults 0.3 --kills 20` is the storm of the
tests in its full size: it exits 1 when a mail is missing, or came twice without need.
"""

import argparse
import asyncio
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from benchmarks.databases import database
from provisioning import accounts, api_keys, outbox
from provisioning.accounts import EmergencyRecipients
from provisioning.app import make_app
from provisioning.config import Config
from provisioning.db import Database
from provisioning.load import load
from provisioning.parts import DATABASE, VAULT, rendering
from provisioning.samples import account_file
from provisioning.schedule import Schedule
from tests.emergency.storm import Storm

GOAL = 5.0  # seconds, the 99th percentile
# As in production, but that nothing is put off by more than a second: what is measured is not the patience.
QUICK = Schedule(delays=(0.0, *(1.0,) * 600), limit=5.0, patient_limit=5.0, margin=5.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--recipients", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gap", type=float, default=0.1, help="seconds between two calls")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--faults", type=float, default=0.0, help="the share of attempts that go wrong")
    parser.add_argument("--kills", type=int, default=0, help="how many times a process is killed")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder, database(options.database, Path(folder)) as url:
        return asyncio.run(run(url, Path(folder), options))


async def run(url: str, folder: Path, options: argparse.Namespace) -> int:
    recipients = [f"r{number}@example.com" for number in range(options.recipients)]
    storm = Storm(
        url,
        folder / "keys.json",
        await prepared(url, folder, recipients),
        callers=("4302", "4303"),
        calls=options.calls,
        workers=options.workers,
        faults=options.faults,
        kills=options.kills,
        gap=options.gap,
        quiet=True,
        schedule=QUICK if options.faults else Schedule(),
    )
    begun = time.monotonic()
    received = await storm.run()
    took = time.monotonic() - begun
    expected = {(f"call-{number}", to) for number in range(options.calls) for to in recipients}
    missed, strangers = expected - set(received), set(received) - expected
    twice = {mail: times for mail, times in received.items() if times > 1}
    needless = {mail: times for mail, times in twice.items() if times - 1 > storm.unclear[mail]}
    waits = await seconds(url)
    median, worst = statistics.median(waits), statistics.quantiles(waits, n=100)[98]
    print(f"{options.calls} calls, {len(expected)} mails, {took:.0f} s, {len(storm.killed)} processes killed")
    print(f"seconds from report to delivery: p50 {median:.3f}, p99 {worst:.3f}, max {max(waits):.3f}")
    print(f"missed {len(missed)}, to strangers {len(strangers)}, twice {len(twice)} of which needless")
    print(f"{len(needless)}; unclear ends {sum(storm.unclear.values())}")
    slow = not options.faults and worst > GOAL
    return 1 if missed or strangers or needless or slow else 0


async def prepared(url: str, folder: Path, recipients: list[str]) -> str:
    """Makes the sample account with these recipients; the API key of its switch."""
    app = make_app(Config(database_url=url, key_file=folder / "keys.json"))
    await app[DATABASE].migrate()
    try:
        async with app[DATABASE].write() as session:
            loaded = await load(session, app[VAULT], rendering(app), account_file().read_text("utf-8"))
            emails = EmergencyRecipients(emails=recipients)
            await accounts.set_emergency_recipients(session, loaded.account_id, emails)
            return await api_keys.add(session, app[VAULT], loaded.account_id, name="pbx", role="switch")
    finally:
        await app[DATABASE].close()


async def seconds(url: str) -> list[float]:
    found = Database(url)
    try:
        async with found.read() as session:
            rows = await session.scalars(sa.select(outbox.Row).where(outbox.Row.delivered_at.is_not(None)))
            return [(r.delivered_at - r.created_at).total_seconds() for r in rows if r.delivered_at]
    finally:
        await found.close()


if __name__ == "__main__":
    sys.exit(main())
