"""`provisioning rotate-keys`: another master key, in three steps with a restart after each."""

import argparse
import asyncio
import sys
from typing import Any

from provisioning import key_file
from provisioning.config import Config
from provisioning.db import migrated
from provisioning.errors import Conflict
from provisioning.reseal import left, reseal
from provisioning.vault import open_vault


def add_command(commands: Any) -> None:
    """`commands` is what `ArgumentParser.add_subparsers` gives."""
    steps = commands.add_parser(
        "rotate-keys", help="change the key that seals secrets: add, reseal, drop, in this order"
    ).add_subparsers(required=True, metavar="STEP")
    for name, run, help_ in (
        ("add", _add, "put a new key into the key file, which seals nothing yet"),
        ("reseal", _reseal, "seal with the new key from now on, and again what older ones have sealed"),
        ("drop", _drop, "take the older keys out of the key file once nothing is sealed with them"),
    ):
        steps.add_parser(name, help=help_).set_defaults(run=run)


def _add(environment: Config, _options: argparse.Namespace) -> int:
    key_file.read(environment.key_file)
    with key_file.locked(environment.key_file) as file:
        keys = key_file.read(file).with_new()
        key_file.write(file, keys)
    print(f"{file} holds key {keys.newest}, which seals nothing yet.")
    print("Copy the file to every server and restart them all, then: provisioning rotate-keys reseal")
    return 0


def _reseal(environment: Config, _options: argparse.Namespace) -> int:
    with key_file.locked(environment.key_file) as file:
        keys = key_file.read(file)
        if len(keys.keys) == 1:
            raise Conflict(f"{file} holds one key alone: rotate-keys add")
        if keys.current != keys.newest:
            # On the disk before the first row is sealed with it: without its key a row is lost.
            keys = keys.with_newest_current()
            key_file.write(file, keys)

    async def run() -> int:
        total = 0
        async with migrated(environment.database_url) as database:
            async for done in reseal(database, open_vault(file)):
                total += done
                print(f"\r{total} sealed again", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return total

    print(f"{asyncio.run(run())} values are sealed again with key {keys.current}.")
    print("Copy the key file to every server and restart them all, then: provisioning rotate-keys drop")
    return 0


def _drop(environment: Config, _options: argparse.Namespace) -> int:
    async def count(number: int) -> int:
        async with migrated(environment.database_url) as database, database.read() as session:
            return await left(session, number)

    with key_file.locked(environment.key_file) as file:
        keys = key_file.read(file)
        if keys.current != keys.newest:
            raise Conflict(f"key {keys.newest} seals nothing yet: rotate-keys reseal")
        if still := asyncio.run(count(keys.current)):
            raise Conflict(
                f"{still} values are sealed with other keys than {keys.current}: rotate-keys reseal"
            )
        key_file.write(file, keys.without_old())
    print(f"{file} holds key {keys.current} alone.")
    print("Copy it to every server. Keep the file of before for as long as backups from before are kept.")
    return 0
