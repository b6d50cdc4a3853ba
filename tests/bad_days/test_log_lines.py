"""The log: what fails on and on is told once, and nobody waits for a log that takes nothing."""

import contextlib
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from provisioning.log_lines import Once
from tests.shell import Shell


@pytest.fixture
def lines() -> Iterator[tuple[logging.Logger, list[str]]]:
    """A logger as the command line sets it up, and what it tells."""
    told: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())  # type: ignore[method-assign]
    handler.addFilter(Once())
    logger = logging.getLogger("provisioning.of_this_test")
    logger.addHandler(handler)
    yield logger, told
    logger.removeHandler(handler)


def test_the_same_line_is_told_once_a_minute(
    lines: tuple[logging.Logger, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    logger, told = lines
    at = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: at)
    for _ in range(50):
        logger.error("the database: %s", "OperationalError")
    logger.error("the database: %s", "TimeoutError")
    assert told == ["the database: OperationalError", "the database: TimeoutError"]
    at += 61
    logger.error("the database: %s", "OperationalError")
    assert told[2:] == ["the database: OperationalError (49 times more before)"]


def test_what_is_remembered_of_lines_is_bounded(lines: tuple[logging.Logger, list[str]]) -> None:
    logger, told = lines
    for number in range(3000):
        logger.error("%d", number)
    assert len(told) == 3000
    (handler,) = logger.handlers
    (once,) = handler.filters
    assert isinstance(once, Once) and len(once._told) <= 1000


@pytest.mark.parametrize("log", ["a pipe that nobody reads", "a full disk", "closed"])
def test_a_server_serves_whatever_becomes_of_its_log(log: str, tmp_path: Path) -> None:
    """It has something to say as it begins: no mail relay is set."""
    shell = Shell(tmp_path)
    file, pipe = tmp_path / "server.log", -1
    if log == "a pipe that nobody reads":
        os.mkfifo(file)
        pipe = os.open(file, os.O_RDWR | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(pipe, bytes(4096))
    elif log == "a full disk":
        file.symlink_to("/dev/full")
    else:
        shell.main = closed
        file.write_text("")
    try:
        process = shell._start(("serve", "--port", str(shell.port)), out=file, err=file)
        try:
            shell._wait_for(process)
        finally:
            process.terminate()
            process.wait(10)
    finally:
        if pipe >= 0:
            os.close(pipe)


def closed(arguments: Sequence[str]) -> int:
    from provisioning.cli import main

    os.close(1)
    os.close(2)
    return main(arguments)
