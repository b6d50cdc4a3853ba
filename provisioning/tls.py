"""The certificate of https, read again when its file changes, so that renewing it needs no restart."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

_log = logging.getLogger(__name__)
_EVERY = 10  # seconds between looks at the files


def context(cert: Path, key: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(cert, key)
    return made


@contextlib.asynccontextmanager
async def renewed(served: ssl.SSLContext, cert: Path, key: Path) -> AsyncIterator[None]:
    """While this runs, new connections get the certificate that the files hold."""
    task = asyncio.create_task(_watch(served, cert, key))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _watch(served: ssl.SSLContext, cert: Path, key: Path) -> None:
    seen = _stamp(cert, key)
    while True:
        await asyncio.sleep(_EVERY)
        if (now := _stamp(cert, key)) != seen:
            try:
                context(cert, key)  # a try on a context of its own: half a pair must not reach phones
                served.load_cert_chain(cert, key)
                seen = now
                _log.info("the certificate was read again")
            except (OSError, ssl.SSLError) as error:
                _log.error("the new certificate cannot be used: %s", error)


def _stamp(*files: Path) -> list[int]:
    with contextlib.suppress(OSError):
        return [file.stat().st_mtime_ns for file in files]
    return []
