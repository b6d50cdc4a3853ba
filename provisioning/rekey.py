"""`provisioning rekey`: another master key, while servers run."""

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
    rekey = commands.add_parser(
        "rekey",
        help="change the key that seals secrets, while servers run; without a step: add and reseal, "
        "for servers that read this very key file",
    )
    rekey.set_defaults(run=_rekey)
    steps = rekey.add_subparsers(metavar="STEP")
    for name, run, help_ in (
        ("add", _add, "put a new key into the key file, which seals nothing yet"),
        ("reseal", _reseal, "seal with the new key from now on, and again what older ones have sealed"),
        ("drop", _drop, "take the older keys out of the key file once nothing is sealed with them"),
    ):
        steps.add_parser(name, help=help_).set_defaults(run=run)


def _rekey(environment: Config, _options: argparse.Namespace) -> int:
    key_file.read(environment.key_file)
    with key_file.locked(environment.key_file) as file:
        keys = key_file.read(file)
        if keys.newest == keys.current:
            keys = keys.with_new()
        key_file.write(file, keys.with_newest_current())
        _seal_again(environment)
    print("When no backup needs the older keys: provisioning rekey drop")
    return 0


def _add(environment: Config, _options: argparse.Namespace) -> int:
    key_file.read(environment.key_file)
    with key_file.locked(environment.key_file) as file:
        keys = key_file.read(file).with_new()
        key_file.write(file, keys)
    print(f"{file} holds key {keys.newest}, which seals nothing yet.")
    print("Copy the file to every server, then: provisioning rekey reseal")
    return 0


def _reseal(environment: Config, _options: argparse.Namespace) -> int:
    with key_file.locked(environment.key_file) as file:
        keys = key_file.read(file)
        if len(keys.keys) == 1:
            raise Conflict(f"{file} holds one key alone: rekey add")
        if keys.current != keys.newest:
            # On the disk before the first row is sealed with it: without its key a row is lost.
            key_file.write(file, keys.with_newest_current())
        _seal_again(environment)
    print("Copy the key file to every server, then: provisioning rekey drop")
    return 0


def _seal_again(environment: Config) -> None:
    vault = open_vault(environment.key_file)

    async def run() -> int:
        total = 0
        async with migrated(environment.database_url) as database:
            async for done in reseal(database, vault):
                total += done
                print(f"\r{total} sealed again", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
        return total

    print(f"{asyncio.run(run())} values are sealed again with key {vault.current}.")


def _drop(environment: Config, _options: argparse.Namespace) -> int:
    async def count(number: int) -> int:
        async with migrated(environment.database_url) as database, database.read() as session:
            return await left(session, number)

    with key_file.locked(environment.key_file) as file:
        keys = key_file.read(file)
        if keys.current != keys.newest:
            raise Conflict(f"key {keys.newest} seals nothing yet: rekey reseal")
        if still := asyncio.run(count(keys.current)):
            raise Conflict(f"{still} values are sealed with other keys than {keys.current}: rekey reseal")
        key_file.write(file, keys.without_old())
    print(f"{file} holds key {keys.current} alone.")
    print("Copy it to every server. Keep the file of before for as long as backups from before are kept.")
    return 0
