"""The certificate of https, read again when its file changes, so that renewing it needs no restart."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

from aiohttp import web

from provisioning.config import Config

_log = logging.getLogger(__name__)
_EVERY: Final = 10  # seconds between looks at the files
_QUIET: Final = 60.0  # seconds
_NO_CHECK_TIME: Final = 0x200000  # X509_V_FLAG_NO_CHECK_TIME, for which Python has no name


def context(cert: Path, key: Path) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(cert, key)
    return made


def following(served: ssl.SSLContext, config: Config) -> Callable[[web.Application], AsyncIterator[None]]:
    """For an app's `cleanup_ctx`: while it runs, the context has what the certificate's files hold."""
    cert, key = config.tls_cert, config.tls_key
    assert cert is not None and key is not None

    async def run(_app: web.Application) -> AsyncIterator[None]:
        async with renewed(served, cert, key):
            yield

    return run


def ask_phones(served: ssl.SSLContext, cas: str) -> None:
    """From now on clients are asked for a certificate, which they may lack, of one of `cas` (PEM).

    OpenSSL sees to it that the client has the key of a certificate that such a CA signed. What else is wrong
    with one is left to `phone_certificates`, which says so in the boot log: here the client would go without
    an answer. An issuing CA is enough, without its root, and may itself be signed with SHA-1.
    """
    served.verify_mode = ssl.CERT_OPTIONAL
    served.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
    served.set_ciphers(f"{':'.join(c['name'] for c in served.get_ciphers())}:@SECLEVEL=0")
    served.minimum_version = ssl.TLSVersion.TLSv1_2
    served.load_verify_locations(cadata=cas)
    served.sslobject_class = _Handshake


class _Handshake(ssl.SSLObject):
    """Says in the log why a certificate was refused: no request comes of it, so that the boot log cannot."""

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            _refusals.say(error.verify_message)
            raise


class _Refusals:
    """Of what strangers can bring about as often as they like, a line a minute for each reason."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}

    def say(self, reason: str) -> None:
        now = time.monotonic()
        if now - self._said.get(reason, -_QUIET) >= _QUIET:
            self._said[reason] = now
            _log.warning("a certificate was refused at the phones' port: %s", reason)


_refusals: Final = _Refusals()


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
