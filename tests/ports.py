"""Ports of 127.0.0.1 that no other test is given, and that no client's connection is given by the kernel."""

import os
import socket
from itertools import cycle
from typing import Final

# Below what Linux hands to clients (32768 to 60999). A port that was merely free a moment ago may be
# another test's by the time a server that was stopped begins again.
_FIRST: Final = 10_000
_EACH: Final = 2_000  # for each of at most ten processes that run tests
_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
_OURS: Final = cycle(range(_FIRST + _WORKER * _EACH, _FIRST + (_WORKER + 1) * _EACH))


def free_port() -> int:
    """The next of this process's ports that nobody listens on."""
    return next(port for port in _OURS if is_free(port))


def is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
