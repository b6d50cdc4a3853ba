"""Servers of several workers over a copy of the sample account's database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import pytest

from provisioning.cli import main
from tests.conftest import Stock
from tests.rotation.seen import Server, Target
from tests.shell import Shell

Serving = Callable[..., AbstractContextManager[Target]]


@pytest.fixture
def serving(engine: str, stock: Stock, tmp_path: Path) -> Serving:
    """Starts them: one of four workers, on PostgreSQL two of two; `by` is run in the place of the command."""
    environ = {"PROVISIONING_DATABASE_URL": stock.url, "PROVISIONING_KEY_FILE": str(stock.key_file)}
    workers = [4] if engine == "sqlite" else [2, 2]

    @contextmanager
    def serving(by: Callable[[Sequence[str]], int] = main) -> Iterator[Target]:
        with ExitStack() as stack:
            servers = []
            for number, size in enumerate(workers):
                (folder := tmp_path / f"server{number}").mkdir()
                shell = Shell(folder, environ=environ, main=by)
                process = stack.enter_context(shell.serving("--workers", str(size)))
                servers.append(Server(shell.port, process.pid))
            yield Target(servers, stock.url, stock.keys["admin"])

    return serving
