"""Listeners: the port with everything, and the one at which phones show certificates and find their files."""

import asyncio
import contextlib
import signal
import ssl
import weakref
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from aiohttp import web

from provisioning import boot, tls
from provisioning.answer import TEXT, Answer
from provisioning.config import Config
from provisioning.connection import Connection, as_http_1, keep_looking
from provisioning.parts import IS_PHONES, PHONE_CERTIFICATES

_HANDSHAKE: Final = 10  # seconds
_BACKLOG: Final = 1024
_DRAIN: Final = 30  # seconds that requests have to end when the server does
_PHONES_DRAIN: Final = 8  # the other listener has had its own before
_MOMENT: Final = 1.0  # seconds of these, in which those that have connected may ask
_CUT: Final = 0.1  # seconds that what has not ended by then has to see that it is cut off
_CLOSING: Final = 300  # seconds, over TLS: connections have limits of their own before


@contextlib.asynccontextmanager
async def listening(
    app: web.Application, context: ssl.SSLContext | None = None, drain: float = _DRAIN, **where: Any
) -> AsyncIterator[None]:
    """While this runs, so does the app, and is served where `where` says (see `loop.create_server`)."""
    runner = web.AppRunner(app, shutdown_timeout=_CUT)
    await runner.setup()
    manager = runner.server
    assert manager is not None
    manager.request_handler = as_http_1(manager.request_handler)
    begun = weakref.WeakSet[Connection]()

    def begin() -> Connection:
        connection = Connection(manager)
        if context:
            begun.add(connection)
        return connection

    looking = asyncio.create_task(keep_looking(manager))
    try:
        server = await asyncio.get_running_loop().create_server(
            begin,
            ssl=context,
            ssl_handshake_timeout=_HANDSHAKE if context else None,
            ssl_shutdown_timeout=_CLOSING if context else None,
            backlog=_BACKLOG,
            **where,
        )
        try:
            yield
        finally:
            server.close()
            await _end(manager, begun, drain)
    finally:
        looking.cancel()
        await runner.cleanup()


async def _end(manager: web.Server, begun: Iterable[Connection], drain: float) -> None:
    """What was begun is answered: aiohttp's own would read no more of it, nor wait until answers are sent."""
    clock, pause = asyncio.get_running_loop().time, 0.001
    start = clock()
    while (passed := clock() - start) < drain:
        for connection in manager.connections:
            assert isinstance(connection, Connection)
            connection.end(patiently=passed < _MOMENT)
        if not manager.connections and (passed >= _MOMENT or all(each.is_made for each in begun)):
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, 0.05)


def serve(app: web.Application, context: ssl.SSLContext | None = None, **where: Any) -> None:
    """Serves until the process is told to end (SIGTERM, SIGINT), and ends what was begun."""

    async def run() -> None:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        async with listening(app, context, **where):
            await asyncio.Event().wait()

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(run())


def listen_for_phones(app: web.Application, config: Config, **where: Any) -> None:
    """While the app runs, phones are served where `where` says, and nothing else is there.

    Over https where the server has a certificate; it asks for the phone's unless a proxy passes that on.
    """
    certificates = app[PHONE_CERTIFICATES]
    assert certificates is not None
    context: ssl.SSLContext | None = None
    if config.tls_cert is not None and config.tls_key is not None:
        context = tls.context(config.tls_cert, config.tls_key)
        if not config.phone_cert_header:
            tls.ask_phones(context, certificates.pem)

    async def serving(_app: web.Application) -> AsyncIterator[None]:
        async with listening(_phones(app), context, _PHONES_DRAIN, **where):
            yield

    if context is not None:
        app.cleanup_ctx.append(tls.following(context, config))
    app.cleanup_ctx.append(serving)


def _phones(app: web.Application) -> web.Application:
    """Holds the same parts, and has no other routes than the phones'."""
    phones = web.Application()
    for key, part in app.items():
        phones[key] = part
    phones[IS_PHONES] = True
    boot.add_routes(phones.router)
    phones.router.add_route("*", "/{path:.*}", _nothing, expect_handler=boot.go_on)
    return phones


async def _nothing(_request: web.Request) -> Answer:
    return Answer(404, TEXT, b"")
