"""SIGKILL, of a worker and of all at once: what was acknowledged is there, and what was not is
there wholly or not at all."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from tests.bad_days.load import Load
from tests.conftest import Stock
from tests.rotation.processes import children
from tests.shell import Shell


async def test_nothing_acknowledged_is_lost_whoever_is_killed(stock: Stock, tmp_path: Path) -> None:
    environ = {"PROVISIONING_DATABASE_URL": stock.url, "PROVISIONING_KEY_FILE": str(stock.key_file)}
    shell = Shell(tmp_path, environ=environ)
    load = Load(shell.url, f"{shell.url}/p/{stock.token}/", stock.keys["admin"], pause=0.005)
    async with contextlib.AsyncExitStack() as stack:
        with shell.serving("--workers", "2") as supervisor:
            await stack.enter_async_context(load.running())
            await more(load)
            _kill(children(supervisor.pid)[:1])
            await more(load)
            _kill([supervisor.pid, *children(supervisor.pid)])
            await asyncio.to_thread(supervisor.wait)
        with shell.serving("--workers", "2"):
            await load.whole()
            await stack.aclose()
            assert load.wrong == []
            assert await load.lost() == []
            assert len(load.locations) > 5 and len(load.calls) > 5 and load.uploaded
    said = shell.run("verify-activity")
    assert (said.returncode, said.stdout) == (0, "The activity log is whole.\n")


async def more(load: Load) -> None:
    """Until a few more writes of each kind are acknowledged."""
    locations, calls, uploaded = len(load.locations), len(load.calls), load.uploaded
    async with asyncio.timeout(60):
        while (  # noqa: ASYNC110
            len(load.locations) < locations + 3 or len(load.calls) < calls + 3 or load.uploaded == uploaded
        ):
            await asyncio.sleep(0.005)


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
