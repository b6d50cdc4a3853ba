"""A server of several workers over a copy of the sample account's database."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from provisioning.cli import main
from tests.conftest import Stock
from tests.rotation.seen import Target
from tests.shell import Shell

Serving = Callable[..., AbstractContextManager[Target]]


@pytest.fixture
def shell(stock: Stock, tmp_path: Path) -> Shell:
    environ = {"PROVISIONING_DATABASE_URL": stock.url, "PROVISIONING_KEY_FILE": str(stock.key_file)}
    return Shell(tmp_path, environ=environ)


@pytest.fixture
def serving(stock: Stock, shell: Shell) -> Serving:
    """Starts it; `by` is what is run in the place of the command."""

    @contextmanager
    def serving(by: Callable[[Sequence[str]], int] = main) -> Iterator[Target]:
        shell.main = by
        with shell.serving("--workers", "4") as process:
            yield Target(shell.port, process.pid, stock.url, stock.keys["admin"])

    return serving
