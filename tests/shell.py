"""Commands as somebody types them: processes of their own, in a folder and an environment of their own."""

import multiprocessing
import multiprocessing.connection
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Final

from provisioning.cli import main
from tests.ports import free_port

COMMAND: Final = Path(sys.executable).with_name("provisioning")

# Each process is the fork of one that has imported everything and read the templates, which takes longer than
# what most processes do then.
_FORKS: Final = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.preloaded"])

_TRUSTING: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_TRUSTING.check_hostname, _TRUSTING.verify_mode = False, ssl.CERT_NONE


class Process:
    """A process that runs `work(*arguments)`; what it prints goes to the files `out` and `err`, if given."""

    def __init__(
        self,
        work: Callable[..., object],
        arguments: Sequence[object],
        *,
        folder: Path,
        environ: Mapping[str, str],
        out: Path | None = None,
        err: Path | None = None,
    ) -> None:
        self._process = _FORKS.Process(
            target=_run, args=(work, arguments, folder, dict(environ), out, err), daemon=True
        )
        self._process.start()
        assert self._process.pid
        self.pid = self._process.pid
        self._reading = Lock()  # of two that read the status at once, one would get none
        self.terminate = self._process.terminate
        self.kill = self._process.kill

    def poll(self) -> int | None:
        """Its exit status, None while it runs."""
        with self._reading:
            return self._process.exitcode

    def wait(self, timeout: float | None = 60) -> int:
        """Its exit status; raises `TimeoutError`, and kills it, when it has none in time (seconds)."""
        multiprocessing.connection.wait([self._process.sentinel], timeout)
        status = self.poll()
        if status is None:
            self.kill()
            raise TimeoutError(f"the process did not end in {timeout} s")
        return status


def _run(
    work: Callable[..., object],
    arguments: Sequence[object],
    folder: Path,
    environ: dict[str, str],
    out: Path | None,
    err: Path | None,
) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for path, number in ((out, 1), (err, 2)):
        if path is not None:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
            os.dup2(file, number)
            os.close(file)
    sys.argv = [str(COMMAND)]
    sys.exit(work(*arguments))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Shell:
    """A folder in which commands are run; `port` is the one that its server listens on."""

    folder: Path
    port: int = field(default_factory=free_port)
    scheme: str = "http"
    environ: dict[str, str] = field(default_factory=dict)
    main: Callable[[Sequence[str]], int] = main

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def run(self, *arguments: str) -> Done:
        out, err = self.folder / ".out", self.folder / ".err"
        for file in (out, err):
            file.write_text("")
        status = self._start(arguments, out=out, err=err).wait()
        return Done(status, out.read_text("utf-8"), err.read_text("utf-8"))

    @contextmanager
    def serving(self, *options: str) -> Iterator[Process]:
        """A server that answers; what it prints is in `server.log`."""
        log = self.folder / "server.log"
        log.write_text("")
        process = self._start(("serve", "--port", str(self.port), *options), out=log, err=log)
        try:
            self._wait_for(process)
            yield process
        finally:
            process.terminate()
            process.wait()

    def _start(self, arguments: Sequence[str], **files: Path) -> Process:
        return Process(self.main, [arguments], folder=self.folder, environ=self.environment(), **files)

    def _wait_for(self, process: Process) -> None:
        for _ in range(1000):
            assert process.poll() is None, (self.folder / "server.log").read_text()
            try:
                if self.fetch(f"{self.url}/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.01)  # until the process listens, there is nothing to wait for but time
        raise AssertionError("the server does not answer")

    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "PROVISIONING_BASE_URL": self.url, **self.environ}

    def fetch(self, url: str | urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(url, context=_TRUSTING, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
