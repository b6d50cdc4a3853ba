"""Rotations in processes that are killed, each at another boundary of its statements, and what a server that
is started afterwards finds."""

import asyncio
import itertools
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import aiohttp
import sqlalchemy as sa
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlalchemy import event

import tokens
from provisioning import activity, cli
from provisioning import app as _app
from provisioning.app import make_app
from provisioning.config import Config
from provisioning.parts import DATABASE, VAULT
from tokens.table import Row

_FILE: Final = "805ec0102001.cfg"


@dataclass(frozen=True)
class Account:
    config: Config
    id: str
    key: str  # of an admin


@dataclass(frozen=True)
class Found:
    """After a process that reached `boundaries` and was killed at the last of them, or passed them all. The
    statuses are those that a phone gets with the token before it and with the current one."""

    boundaries: tuple[str, ...]
    killed: bool
    generations: tuple[int, ...]  # that are current
    before: int
    current: int
    entries: int  # of rotations, in the activity log
    broken: str | None  # where the activity log is


# Calls what it is given when the rotation begins.
Way = Callable[[Account, Callable[[], None]], None]


def by_api(account: Account, begin: Callable[[], None]) -> None:
    async def run() -> None:
        async with _api(account) as call:
            begin()
            assert await call("rotate") == 200

    asyncio.run(run())


def by_commit(account: Account, begin: Callable[[], None]) -> None:
    """Of a rotation that is staged, or was by a process that was killed in its commit."""

    async def run() -> None:
        async with _api(account) as call:
            assert await call("stage") in {200, 409}
            begin()
            assert await call("commit") == 200

    asyncio.run(run())


@asynccontextmanager
async def _api(account: Account) -> AsyncIterator[Callable[[str], Awaitable[int]]]:
    """Calls an operation of provisioning and tells the status."""
    async with TestServer(_made(account)) as server, aiohttp.ClientSession() as http:

        async def call(name: str) -> int:
            url = server.make_url(f"/api/v1/account/provisioning/{name}")
            async with http.post(url, headers={"Authorization": f"Bearer {account.key}"}) as answer:
                return answer.status

        yield call


def _made(account: Account) -> web.Application:
    """Without what works beside the API: it would reach boundaries, too, each time at another moment."""
    app = make_app(account.config)
    for beside in (_app._sender, _app._resync_sender, _app._pruner):
        app.cleanup_ctx.remove(beside)
    return app


def by_command(_account: Account, begin: Callable[[], None]) -> None:
    begin()
    assert cli.main(["rotate", "--email", "office@harbourlane.example"]) == 0


def crashes(way: Way, account: Account) -> Iterator[Found]:
    """A process for each boundary, until one has passed them all. They go on from each other's ends, as
    rotations after a crash do; and each is the fork of one that has done it before, which takes a tenth of
    the time."""
    way(account, lambda: None)
    _, token = asyncio.run(_examine(account, token=""))
    for last in itertools.count():
        boundaries, killed = _forked(way, account, last)
        seen, token = asyncio.run(_examine(account, token))
        yield Found(boundaries, killed, **seen)
        if not killed or len(seen["generations"]) != 1:  # nothing can be rotated after that
            return


def _forked(way: Way, account: Account, last: int) -> tuple[tuple[str, ...], bool]:
    """What a process reaches that rotates and is killed at this boundary, and whether it was."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(told)
        _rotate(way, account, last, tell)
    os.close(tell)
    with os.fdopen(told) as lines:
        boundaries = lines.read().splitlines()
    status = os.waitpid(pid, 0)[1]
    assert os.WIFSIGNALED(status) or status == 0, status
    return tuple(boundaries), status != 0


def _rotate(way: Way, account: Account, last: int, tell: int) -> NoReturn:
    left = itertools.count(-last)

    def reach(name: str) -> None:
        os.write(tell, f"{' '.join(name.split())}\n".encode())
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    status = 1
    try:
        way(account, lambda: _listen(reach))
        status = 0
    finally:
        os._exit(status)


def _listen(reach: Callable[[str], None]) -> None:
    """Before each statement and each commit, and as a connection is put back: from one statement to the next
    nothing happens."""
    event.listen(sa.Engine, "before_cursor_execute", lambda *given: reach(str(given[2])))
    event.listen(sa.Engine, "commit", lambda _connection: reach("COMMIT"))
    event.listen(sa.Pool, "checkin", lambda *_given: reach("end"))


async def _examine(account: Account, token: str) -> tuple[Mapping[str, Any], str]:
    """What a server that starts anew sees, if `token` was current before; and the current token."""
    app = _made(account)
    async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/p/")) as phones:

        async def status(token: str) -> int:
            async with phones.get(f"{token}/{_FILE}") as answer:
                return answer.status

        async with app[DATABASE].read() as session:
            current = await tokens.current(session, app[VAULT], account.id)
            live = await session.scalars(sa.select(Row.generation).where(Row.state == "current"))
            cuts = activity.Row.event.in_(("token.rotate", "token.commit"))
            entered = sa.select(sa.func.count()).where(cuts, activity.Row.outcome == "success")
            seen = {
                "generations": tuple(live),
                "before": await status(token),
                "current": await status(current.text if current else ""),
                "entries": await session.scalar(entered),
                "broken": await activity.verify(session, account.id),
            }
    return seen, current.text if current else ""
