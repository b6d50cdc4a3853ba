"""That a rotation is one moment for all, for as long as one likes.

    python -m benchmarks.rotation --minutes N [--database sqlite|postgresql] [--workers 4] [--clients 24]

lets phones fetch with current and with old tokens from a server of several workers, while admins rotate the
token and the password, change settings, and have workers killed in the middle of it. It prints once a minute
what was done, and exits 1 as soon as no order of events explains what the clients saw.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.databases import database
from provisioning import api_keys
from provisioning.app import make_app
from provisioning.config import Config
from provisioning.load import load
from provisioning.parts import DATABASE, VAULT, rendering
from provisioning.samples import account_file
from tests.rotation.hammer import Hammer, Window
from tests.rotation.seen import Server, Target
from tests.shell import Shell

WINDOW = Window(rotations=40, kills=2, most=300)
PATIENCE = 300  # seconds; a window takes about ten


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--clients", type=int, default=24)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as name, database(options.database, Path(name)) as url:
        folder = Path(name)
        keys = folder / "keys.json"
        key = asyncio.run(prepared(Config(url, key_file=keys)))
        environ = {"PROVISIONING_DATABASE_URL": url, "PROVISIONING_KEY_FILE": str(keys)}
        shell = Shell(folder, environ=environ)
        with shell.serving("--workers", str(options.workers)) as process:
            target = Target([Server(shell.port, process.pid)], url, key)
            return asyncio.run(run(target, options))


async def prepared(config: Config) -> str:
    """Makes the sample account; the API key of an admin."""
    app = make_app(config)
    await app[DATABASE].migrate()
    try:
        async with app[DATABASE].write() as session:
            loaded = await load(session, app[VAULT], rendering(app), account_file().read_text("utf-8"))
            return await api_keys.add(session, app[VAULT], loaded.account_id, name="hammer", role="admin")
    finally:
        await app[DATABASE].close()


async def run(target: Target, options: argparse.Namespace) -> int:
    hammer = Hammer(target, clients=options.clients)
    begun = told = time.monotonic()
    faults: list[str] = []
    async with hammer.ready():
        while not faults and time.monotonic() < begun + 60 * options.minutes:
            async with asyncio.timeout(PATIENCE):
                faults = await hammer.window(WINDOW)
            if time.monotonic() >= told + 60:
                told = time.monotonic()
                tell(hammer, told - begun)
    tell(hammer, time.monotonic() - begun)
    print(*faults or ["no faults"], sep="\n")
    return 1 if faults else 0


def tell(hammer: Hammer, seconds: float) -> None:
    done = ", ".join(f"{name} {number}" for name, number in sorted(hammer.counts.items()))
    print(f"{seconds / 60:.1f} minutes: {done}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
