"""Of a rotation that a power cut overtakes, SQLite's file holds all or nothing."""

import shutil
import struct
from pathlib import Path

import pytest
import sqlalchemy as sa

import tokens
from provisioning import activity
from provisioning.db import Database
from provisioning.vault import Vault, open_vault
from tests.conftest import Stock
from tokens.table import Row

_HEADER, _FRAME_HEADER = 32, 24  # bytes, of a write-ahead log and of each of its frames


def boundaries(log: bytes, begin: int) -> list[int]:
    """Where frames end that were written after the first `begin` bytes, and the middle of each."""
    (page,) = struct.unpack_from(">I", log, 8)
    frame = _FRAME_HEADER + page
    assert (len(log) - _HEADER) % frame == 0 and (begin - _HEADER) % frame == 0
    return [*range(begin, len(log) + 1, frame // 2)]


async def rotated(database: Database, vault: Vault, stock: Stock) -> None:
    async with database.write() as session:
        made = await tokens.rotate(session, vault, stock.account_id, actor="system")
        detail = {"generation": made.generation}
        await activity.record(
            session, stock.account_id, "token.rotate", "account", actor="system", detail=detail
        )


async def found(url: str, vault: Vault, stock: Stock) -> tuple[list[int], int, int | None, str | None]:
    """The generations that are current, the one whose token opens, the rotations in the activity log, and
    where that is broken."""
    database = Database(url)
    async with database.read() as session:
        live = list(await session.scalars(sa.select(Row.generation).where(Row.state == "current")))
        current = await tokens.current(session, vault, stock.account_id)
        entries = sa.select(sa.func.count()).where(activity.Row.event == "token.rotate")
        seen = live, current.generation if current else 0, await session.scalar(entries)
        broken = await activity.verify(session)
    await database.close()
    return *seen, broken


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_wherever_the_log_ends_the_old_token_or_the_new_one_is_live(
    stock: Stock, tmp_path: Path
) -> None:
    """With `synchronous=FULL` the whole of it is on the disk before a rotation is answered; before, any
    part may be missing from its end on."""
    file, vault = Path(stock.url.removeprefix("sqlite:///")), open_vault(stock.key_file)
    database, log = Database(stock.url), file.with_name(f"{file.name}-wal")
    await rotated(database, vault, stock)
    begin = log.stat().st_size
    await rotated(database, vault, stock)
    written, cut = log.read_bytes(), tmp_path / "cut.db"
    ends = boundaries(written, begin)
    for end in ends:
        shutil.copy(file, cut)
        cut.with_name("cut.db-wal").write_bytes(written[:end])
        cut.with_name("cut.db-shm").unlink(missing_ok=True)
        live = 3 if end == len(written) else 2
        assert await found(f"sqlite:///{cut}", vault, stock) == ([live], live, live - 1, None)
    await database.close()
    assert len(ends) > 10 and ends[-1] == len(written)  # so that it is no test of nothing
