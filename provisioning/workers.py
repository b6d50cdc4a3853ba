"""Several server processes on one port or two: each has sockets of its own, which outlive it."""

import contextlib
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

_log = logging.getLogger(__name__)
_SIGNALS: Final = {signal.SIGCHLD, signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
_READY: Final = 30.0  # seconds that a new worker has to say that it is ready
_DRAIN: Final = 40.0  # seconds that a worker has to end what it has begun
_PAUSE: Final = 1.0  # seconds before a worker that died at once is started again

# Serves on the sockets, one of each port, until it is told to end; `ready` is called once it can.
Serve = Callable[[Sequence[socket.socket], Callable[[], object]], None]


class Workers:
    """`serve` runs in each of the processes.

    The supervisor holds the sockets (SO_REUSEPORT: the kernel spreads connections over them) and serves
    nobody itself. A worker that dies leaves the connections that wait in its socket to the one that takes its
    place. SIGHUP replaces the workers one by one, the next before the last; SIGTERM lets them end what they
    have begun.
    """

    def __init__(self, serve: Serve, host: str, ports: Sequence[int], number: int) -> None:
        self._serve = serve
        self._sockets = [[_listening(host, port) for port in ports] for _ in range(number)]
        # By the number of their sockets.
        self._pids: dict[int, int] = {}
        self._born: dict[int, float] = {}

    def run(self) -> None:
        """Returns when all workers have ended after SIGTERM or SIGINT."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for index in range(len(self._sockets)):
            self._start(index)
        while True:
            wanted = signal.sigwait(_SIGNALS)
            if wanted in {signal.SIGTERM, signal.SIGINT}:
                break
            if wanted is signal.SIGHUP:
                self._replace_all()
            self._reap()
        pids, until = [*self._pids.values()], time.monotonic() + _DRAIN
        for pid in pids:
            _end(pid, signal.SIGTERM)
        for pid in pids:
            _wait(pid, until)

    def _start(self, index: int) -> bool:
        """Forks a worker, and waits until it can serve or has ended: True when it can."""
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            self._work(self._sockets[index], tell)
        os.close(tell)
        self._pids[index], self._born[index] = pid, time.monotonic()
        with os.fdopen(told, "rb") as pipe:
            if not select.select([pipe], [], [], _READY)[0]:
                _log.error("worker %d takes too long to begin", pid)
                _end(pid, signal.SIGKILL)
                return False
            if not pipe.read(1):
                _log.error("worker %d ended before it could serve", pid)
                return False
        return True

    def _work(self, listening: Sequence[socket.socket], tell: int) -> NoReturn:
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)  # of a terminal that closes; the supervisor decides
            with os.fdopen(tell, "wb", buffering=0) as pipe:
                self._serve(listening, lambda: pipe.write(b"1"))
            status = 0
        except BaseException as error:
            _log.error("worker %d: %s", os.getpid(), type(error).__name__)
        finally:
            os._exit(status)  # nothing of the supervisor's is to be done a second time

    def _replace_all(self) -> None:
        for index in range(len(self._sockets)):
            if signal.sigpending() & {signal.SIGTERM, signal.SIGINT}:
                return
            if not self._replace(index):
                _log.error("the workers that are left go on as they were")
                return
            self._reap()

    def _replace(self, index: int) -> bool:
        """False, and the old one stays, when the new one cannot serve."""
        old = self._pids[index]
        if not self._start(index):
            _wait(self._pids[index], time.monotonic() + _DRAIN)
            self._pids[index] = old
            return False
        _end(old, signal.SIGTERM)
        _wait(old, time.monotonic() + _DRAIN)
        return True

    def _reap(self) -> None:
        """Starts workers again in the place of those that died."""
        for index, pid in [*self._pids.items()]:
            if not _is_gone(pid):
                continue
            _log.error("worker %d died and is replaced", pid)
            if time.monotonic() - self._born[index] < _PAUSE:
                time.sleep(_PAUSE)
            self._start(index)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind((host, port))
    made.listen(1024)
    made.setblocking(False)
    return made


def _is_gone(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG) != (0, 0)
    except ChildProcessError:
        return True


def _end(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait(pid: int, until: float) -> None:
    """Until it has ended; one that has not by then is killed."""
    while not _is_gone(pid):
        if time.monotonic() > until:
            _end(pid, signal.SIGKILL)
        signal.sigtimedwait({signal.SIGCHLD}, 0.2)
